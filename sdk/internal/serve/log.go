package serve

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// newLogger writes one JSON object a line with the keys of hclog ("@level", "@message", "@timestamp", "@module"), which
// go-plugin's tools and the host read.
func newLogger(w io.Writer, level slog.Level, module string) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: hclogKeys})
	return slog.New(handler).With("@module", module)
}

func hclogKeys(groups []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	if len(groups) > 0 {
		return a
	}
	switch {
	case a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime:
		return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
	case a.Key == slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			return slog.String("@level", levelName(level))
		}
	case a.Key == slog.MessageKey:
		return slog.String("@message", a.Value.String())
	}
	return a
}

// levelName has only the names that hclog knows: a reader takes any other for no level.
func levelName(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warn"
	}
	return "error"
}

// parseLevel reads the level that the host gave; info when it gave none or a strange one.
func parseLevel(text string) slog.Level {
	switch strings.ToLower(text) {
	case "debug", "trace":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// libraryLogger is for go-plugin itself, whose chatter below "warn" helps nobody.
func libraryLogger(w io.Writer, module string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: module, Level: hclog.Warn, Output: w, JSONFormat: true})
}

// parseTTL reads a duration from the environment; def when it is empty or wrong.
func parseTTL(text string, def time.Duration) (time.Duration, error) {
	if text == "" {
		return def, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return def, fmt.Errorf("duration %q must be positive, like 12h; using %s", text, def)
	}
	return d, nil
}
