package api

import (
	"context"
	"encoding/json"

	"github.com/oapi-codegen/nullable"

	"github.com/lubod/lubod/host/internal/settings"
)

// roomView shows rooms: their overrides without secrets, and what they inherit.
type roomView struct {
	catalog *settings.Catalog
	global  []byte
	// known are the overrides that were seen: most rooms have the same one, or none.
	known map[string]shownOverride
}

// shownOverride is an override as it may be shown, and how long the files of a room get that says nothing else.
type shownOverride struct {
	masked json.RawMessage
	limits settings.Configuration
}

func (s *Server) roomView(ctx context.Context) (*roomView, error) {
	global, err := s.db.GetConfiguration(ctx)
	if err != nil {
		return nil, err
	}
	return newRoomView(s.plugins.Options(), global), nil
}

func newRoomView(catalog *settings.Catalog, global []byte) *roomView {
	return &roomView{catalog, global, make(map[string]shownOverride)}
}

func (v *roomView) of(override []byte) shownOverride {
	shown, ok := v.known[string(override)]
	if ok {
		return shown
	}
	limits, err := settings.Layered(v.global, override)
	if err != nil { // it was checked when it was stored
		limits = settings.DefaultConfiguration()
	}
	shown = shownOverride{v.catalog.Masked(override), limits}
	v.known[string(override)] = shown
	return shown
}

// mebibytes rounds up: a limit is never shown as none.
func mebibytes(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 }

// given is a value that a body names; nil: it says nothing, or null.
func given[T any](value nullable.Nullable[T]) *T {
	if got, err := value.Get(); err == nil {
		return &got
	}
	return nil
}

// ownLimit is what a room keeps as its own after a change. What it was shown and sends back is no choice.
func ownLimit(sent nullable.Nullable[int64], before *int64, shown int64) *int64 {
	switch wanted := given(sent); {
	case !sent.IsSpecified(), wanted != nil && before == nil && *wanted == shown:
		return before
	default:
		return wanted
	}
}
