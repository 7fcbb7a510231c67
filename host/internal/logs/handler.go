package logs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// The attributes that lines are chosen by.
const (
	keyPart     = "part"
	keyPlugin   = "plugin"
	keyStreamer = "streamer"
)

// maxValue bounds what one text of a line takes in memory.
const maxValue = 4096

// Handler passes records on to next and keeps a copy in the ring.
func (r *Ring) Handler(next slog.Handler) slog.Handler { return &handler{next: next, ring: r} }

type handler struct {
	next slog.Handler
	ring *Ring
	// attrs are those of every record, and group what goes before the names of further ones.
	attrs []Attr
	group string
}

var _ slog.Handler = (*handler)(nil)

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	kept := Record{Time: record.Time, Level: record.Level, Message: text(record.Message), Attrs: slices.Clip(h.attrs)}
	if kept.Time.IsZero() {
		kept.Time = time.Now()
	}
	record.Attrs(func(attr slog.Attr) bool {
		kept.Attrs = appendAttr(kept.Attrs, h.group, attr)
		return true
	})
	h.ring.add(kept)
	return h.next.Handle(ctx, record) //nolint:wrapcheck // a handler adds nothing to what it passes on
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.next = h.next.WithAttrs(attrs)
	with.attrs = slices.Clip(h.attrs)
	for _, attr := range attrs {
		with.attrs = appendAttr(with.attrs, h.group, attr)
	}
	return &with
}

func (h *handler) WithGroup(name string) slog.Handler {
	with := *h
	with.next = h.next.WithGroup(name)
	if name != "" {
		with.group = h.group + name + "."
	}
	return &with
}

// appendAttr resolves a value at once: what it points to may change, and what it holds must not be kept alive.
func appendAttr(attrs []Attr, group string, attr slog.Attr) []Attr {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if attr.Key != "" {
			group += attr.Key + "."
		}
		for _, member := range value.Group() {
			attrs = appendAttr(attrs, group, member)
		}
		return attrs
	}
	if attr.Key == "" {
		return attrs
	}
	key := group + attr.Key
	if isSecretName(key) {
		return append(attrs, Attr{key, masked})
	}
	switch value.Kind() {
	case slog.KindInt64, slog.KindUint64, slog.KindBool:
		return append(attrs, Attr{key, value.Any()})
	case slog.KindTime:
		return append(attrs, Attr{key, value.Time().UTC().Format(time.RFC3339Nano)})
	default:
		return append(attrs, Attr{key, text(value.String())})
	}
}

// text is what may be shown and kept of a text.
func text(full string) string {
	if len(full) > maxValue {
		full = strings.ToValidUTF8(full[:maxValue], "") + fmt.Sprintf("… (%d bytes more)", len(full)-maxValue)
	}
	return Mask(strings.ToValidUTF8(full, "\uFFFD"))
}
