// Package logs keeps the last lines of the host's log in memory and shows them to those who watch, without the secrets
// that are in them.
package logs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Record is one line of the log.
type Record struct {
	// Seq numbers the lines of this process from 1.
	Seq     uint64
	Time    time.Time
	Level   slog.Level
	Message string
	// Attrs are in the order of the line; groups are part of the names.
	Attrs []Attr
}

// Attr is a name and a text, number or truth value.
type Attr struct {
	Key   string
	Value any
}

// Text returns an attribute as text, "" when there is none.
func (r Record) Text(key string) string {
	// The last one wins, as it does for a reader.
	for _, attr := range slices.Backward(r.Attrs) {
		if attr.Key == key {
			return fmt.Sprint(attr.Value)
		}
	}
	return ""
}

const timeFormat = "2006-01-02T15:04:05.000Z"

// Line is the record as one line of text: time, level, the part of the host, the message, and the attributes.
func (r Record) Line() string {
	var line strings.Builder
	line.WriteString(r.Time.UTC().Format(timeFormat))
	line.WriteByte(' ')
	line.WriteString(strings.ToUpper(levelName(r.Level)))
	line.WriteByte(' ')
	part := r.Text(keyPart)
	if part != "" {
		line.WriteString(onOneLine(part) + ": ")
	}
	line.WriteString(onOneLine(r.Message))
	for _, attr := range r.Attrs {
		if attr.Key == keyPart {
			continue
		}
		line.WriteString(" " + quoted(attr.Key) + "=" + quoted(fmt.Sprint(attr.Value)))
	}
	return line.String()
}

// MarshalJSON is the record as the contract describes it.
func (r Record) MarshalJSON() ([]byte, error) {
	attrs := make(map[string]any, len(r.Attrs))
	for _, attr := range r.Attrs {
		attrs[attr.Key] = attr.Value
	}
	return json.Marshal(struct {
		Seq     uint64         `json:"seq"`
		Time    time.Time      `json:"time"`
		Level   string         `json:"level"`
		Message string         `json:"message"`
		Attrs   map[string]any `json:"attributes"`
	}{r.Seq, r.Time.UTC(), levelName(r.Level), r.Message, attrs})
}

// levelName is one of the four words that the filter takes.
func levelName(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "error"
	case level >= slog.LevelWarn:
		return "warn"
	case level >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// ParseLevel reads debug, info, warn or error.
func ParseLevel(name string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if levelName(level) == name {
			return level, nil
		}
	}
	return 0, fmt.Errorf("%.40q is no level; there are debug, info, warn and error", name)
}

func quoted(text string) string {
	plain := text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r == '=' || r == '"' || unicode.IsSpace(r) || !unicode.IsPrint(r) })
	if plain {
		return text
	}
	return strconv.Quote(text)
}

// onOneLine keeps a message readable and still on one line.
func onOneLine(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	quotedText := strconv.Quote(text)
	return quotedText[1 : len(quotedText)-1]
}
