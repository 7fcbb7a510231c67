package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"
)

const (
	// maxLine caps one log line in bytes; the rest of it is dropped.
	maxLine = 64 << 10
	// lineRate and lineBurst bound how many lines a second one plugin can push into the host's log.
	lineRate  = 200
	lineBurst = 2000
	// keptLines and keptLength are what of a plugin's last words goes into an error message.
	keptLines  = 5
	keptLength = 300
)

// lines is an io.Writer that takes what a plugin writes to its log and forwards it line by line. Nothing that a plugin
// writes can make it fail: a line that is not a JSON object in hclog's form is a text.
type lines struct {
	limiter *rate.Limiter

	mu        sync.Mutex
	logger    *slog.Logger
	partial   []byte
	skipping  bool
	panicking bool
	dropped   int
	last      []string
}

func newLines(logger *slog.Logger, plugin string) *lines {
	return &lines{
		limiter: rate.NewLimiter(lineRate, lineBurst),
		logger:  logger.With("plugin", plugin),
	}
}

// setPid adds the process id to the lines from here on.
func (l *lines) setPid(pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logger = l.logger.With("pid", pid)
}

// Write implements io.Writer; it never fails.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			l.keep(rest)
			break
		}
		l.keep(rest[:end])
		l.finish()
		rest = rest[end+1:]
	}
	return len(p), nil
}

// Flush forwards a last line that has no end, and says how many lines were dropped.
func (l *lines) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.finish()
	}
	l.reportDropped()
}

// Pending returns how many bytes of a line without an end are waiting for the rest of it.
func (l *lines) Pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.partial)
}

// tail returns the last lines as one text for an error message.
func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, " / ")
}

func (l *lines) keep(part []byte) {
	if l.skipping {
		return
	}
	if room := maxLine - len(l.partial); len(part) > room {
		l.partial = append(l.partial, part[:room]...)
		l.skipping = true
		return
	}
	l.partial = append(l.partial, part...)
}

func (l *lines) finish() {
	line := bytes.TrimRight(l.partial, "\r")
	if len(line) > 0 {
		l.forward(line, l.skipping)
	}
	l.partial, l.skipping = l.partial[:0], false
}

func (l *lines) forward(line []byte, cut bool) {
	record := parseLine(line)
	if cut {
		record.message += " … (line cut)"
	}
	if record.text {
		if strings.HasPrefix(record.message, "panic: ") || strings.HasPrefix(record.message, "fatal error: ") {
			l.panicking = true
		}
		if l.panicking {
			record.level = slog.LevelError
		}
	}
	l.remember(record.message)
	if !l.logger.Enabled(context.Background(), record.level) {
		return
	}
	if !l.limiter.Allow() {
		l.dropped++
		return
	}
	l.reportDropped()
	out := slog.NewRecord(record.at, record.level, record.message, 0)
	out.AddAttrs(record.attrs...)
	_ = l.logger.Handler().Handle(context.Background(), out)
}

func (l *lines) reportDropped() {
	if l.dropped > 0 {
		l.logger.Warn("the plugin logged too fast; lines were dropped", "dropped", l.dropped)
		l.dropped = 0
	}
}

func (l *lines) remember(message string) {
	if len(message) > keptLength {
		message = strings.ToValidUTF8(message[:keptLength], "") + "…"
	}
	if len(l.last) == keptLines {
		l.last = l.last[1:]
	}
	l.last = append(l.last, message)
}

// parsedLine is one line of a plugin's log.
type parsedLine struct {
	at      time.Time
	level   slog.Level
	message string
	attrs   []slog.Attr
	// text: the line was not in the form that plugins log in.
	text bool
}

// parseLine reads a line in the JSON form of hclog: "@level", "@message", "@timestamp", "@module", and one key per
// value. Members of a wrong type make the whole line a text: it is some other program's JSON.
func parseLine(line []byte) parsedLine {
	asText := parsedLine{at: time.Now(), level: slog.LevelInfo, message: printable(line), text: true}
	if line[0] != '{' {
		return asText
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var members map[string]any
	if decoder.Decode(&members) != nil || decoder.More() {
		return asText
	}
	message, ok := members["@message"].(string)
	if !ok {
		return asText
	}
	parsed := parsedLine{at: asText.at, level: levelOf(members["@level"]), message: printable([]byte(message))}
	if stamp, ok := members["@timestamp"].(string); ok {
		if at, err := time.Parse("2006-01-02T15:04:05.999999Z07:00", stamp); err == nil {
			parsed.at = at
		}
	}
	parsed.attrs = attributes(members)
	return parsed
}

func levelOf(name any) slog.Level {
	text, _ := name.(string)
	switch strings.ToLower(text) {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// attributes returns the members that are no keys of hclog's own, sorted by name. A name that the host gives every line
// of a plugin cannot be forged.
func attributes(members map[string]any) []slog.Attr {
	var attrs []slog.Attr
	for key, value := range members {
		if strings.HasPrefix(key, "@") {
			continue
		}
		if key == "plugin" || key == "pid" || key == slog.LevelKey || key == slog.TimeKey || key == slog.MessageKey {
			key = "plugin_" + key
		}
		attrs = append(attrs, slog.Any(key, plain(value)))
	}
	slices.SortFunc(attrs, func(a, b slog.Attr) int { return strings.Compare(a.Key, b.Key) })
	return attrs
}

// plain keeps scalars and writes lists and objects as JSON: a text handler would print a Go map.
func plain(value any) any {
	switch value := value.(type) {
	case []any, map[string]any:
		encoded, err := json.Marshal(value)
		if err != nil {
			return ""
		}
		return string(encoded)
	case json.Number:
		return value.String()
	}
	return value
}

// printable replaces what could move the cursor of a terminal or is no UTF-8.
func printable(line []byte) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || (r < ' ' && r != '\t' && r != '\n') || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, string(line))
}
