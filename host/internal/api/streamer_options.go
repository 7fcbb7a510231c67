package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/hooks"
	"github.com/lubod/lubod/host/internal/naming"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/window"
)

// streamerOptions are the fields that a draft and a change of a streamer have in common and few rooms set.
type streamerOptions struct {
	filenamePrefix   nullable.Nullable[FilenamePrefix]
	format           nullable.Nullable[FormatChoice]
	timeRange        nullable.Nullable[TimeRange]
	excludedKeywords nullable.Nullable[ExcludedKeywords]
	publish          nullable.Nullable[PublishChoice]
	hooks            [4]hookField
}

// hookField is the list of steps of one stage.
type hookField struct {
	stage hooks.Stage
	steps nullable.Nullable[json.RawMessage]
}

func draftOptions(d *StreamerDraft) streamerOptions {
	return streamerOptions{d.FilenamePrefix, d.Format, d.TimeRange, d.ExcludedKeywords, d.Publish, [4]hookField{
		{hooks.Preprocessor, d.Preprocessor}, {hooks.SegmentProcessor, d.SegmentProcessor},
		{hooks.DownloadedProcessor, d.DownloadedProcessor}, {hooks.Postprocessor, d.Postprocessor},
	}}
}

func changeOptions(c *StreamerChange) streamerOptions {
	return streamerOptions{c.FilenamePrefix, c.Format, c.TimeRange, c.ExcludedKeywords, c.Publish, [4]hookField{
		{hooks.Preprocessor, c.Preprocessor}, {hooks.SegmentProcessor, c.SegmentProcessor},
		{hooks.DownloadedProcessor, c.DownloadedProcessor}, {hooks.Postprocessor, c.Postprocessor},
	}}
}

// stored puts JSON into the form in which the database takes it: half a surrogate pair or a number of a million digits are
// JSON for Go, and not for PostgreSQL.
func stored(raw json.RawMessage) (json.RawMessage, error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return nil, errors.New("holds a number that is too large")
	}
	return json.Marshal(value)
}

// checkOptions refuses what cannot be kept. Steps that the row has already are not refused for what the server was started
// with: what GET answers can be sent back as it is.
func (s *Server) checkOptions(options *streamerOptions, before db.Streamer) error {
	if template := valueOr(options.filenamePrefix, ""); template != "" {
		if err := naming.Check(template); err != nil {
			return invalid("filename_prefix", said(err, reason.APIRefused))
		}
	}
	if err := checkTimeRange(&options.timeRange); err != nil {
		return err
	}
	for i := range options.hooks {
		hook := &options.hooks[i]
		raw := valueOr(hook.steps, nil)
		steps, err := hooks.Parse(hook.stage, raw)
		if err != nil {
			return invalid(string(hook.stage), said(err, reason.APIRefused))
		}
		if len(steps) > 0 {
			if raw, err = stored(raw); err != nil {
				return invalid(string(hook.stage), said(err, reason.APIRefused))
			}
			hook.steps.Set(raw)
		}
		if current, err := hooks.Parse(hook.stage, *hookColumn(&before, hook.stage)); err == nil && slices.Equal(current, steps) {
			continue
		}
		if hooks.Runs(steps) && !s.runHooks {
			return &problem{
				status: http.StatusForbidden, code: codeClosed,
				field: string(hook.stage), why: reason.New(reason.APIRunSwitchedOff),
			}
		}
		if err := s.hooks.Check(steps); err != nil {
			return invalid(string(hook.stage), said(err, reason.APIRefused))
		}
	}
	return nil
}

// checkTimeRange refuses what is no time range; one that is empty becomes null.
func checkTimeRange(field *nullable.Nullable[TimeRange]) error {
	raw, err := field.Get()
	if err != nil {
		return nil //nolint:nilerr // absent or null
	}
	if !window.Set(raw) {
		field.SetNull()
		return nil
	}
	// Whose clock it is changes nothing about what is right.
	if _, err = window.Parse(raw, time.UTC); err == nil {
		raw, err = stored(raw)
	}
	if err != nil {
		return invalid("time_range", said(err, reason.APIRefused))
	}
	field.Set(raw)
	return nil
}

// apply puts what the options name into a row; null is the default.
func (o streamerOptions) apply(row *db.Streamer) {
	row.FilenamePrefix = orNil(kept(o.filenamePrefix, text(row.FilenamePrefix), ""))
	row.Format = orNil(string(kept(o.format, FormatChoice(text(row.Format)), "")))
	row.Publish = orNil(string(kept(o.publish, PublishChoice(text(row.Publish)), "")))
	row.TimeRange = kept(o.timeRange, row.TimeRange, nil)
	row.ExcludedKeywords = trimmedKeywords(kept(o.excludedKeywords, row.ExcludedKeywords, nil))
	for _, hook := range o.hooks {
		column := hookColumn(row, hook.stage)
		if *column = kept(hook.steps, *column, nil); len(*column) == 0 {
			*column = []byte("[]")
		}
	}
}

// hookColumn is where a row keeps the steps of a stage.
func hookColumn(row *db.Streamer, stage hooks.Stage) *[]byte {
	switch stage {
	case hooks.Preprocessor:
		return &row.Preprocessor
	case hooks.SegmentProcessor:
		return &row.SegmentProcessor
	case hooks.DownloadedProcessor:
		return &row.DownloadedProcessor
	}
	return &row.Postprocessor
}

// trimmedKeywords leaves out what would be in every title.
func trimmedKeywords(words []string) []string {
	trimmed := make([]string, 0, len(words))
	for _, word := range words {
		if word = strings.TrimSpace(word); word != "" {
			trimmed = append(trimmed, word)
		}
	}
	return trimmed
}

func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// rawOr is JSON from the database, or a default where there is none.
func rawOr(raw []byte, or string) json.RawMessage {
	if len(bytes.TrimSpace(raw)) == 0 {
		return json.RawMessage(or)
	}
	return raw
}
