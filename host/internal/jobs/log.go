package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// sameAgain is how long a warning of the job library that was said is not said again: while a database is away, the library says
// the same some twenty times a second.
const sameAgain = time.Minute

// quiet passes on what the job library says from warnings up, each once a minute with how often it came: its routine messages
// are not for operators.
func quiet(logger *slog.Logger) *slog.Logger {
	return slog.New(silent{logger.Handler(), &said{lines: make(map[string]line)}})
}

type silent struct {
	slog.Handler
	said *said
}

// said are the messages that were passed on a moment ago. There are as many as the library has texts.
type said struct {
	mu    sync.Mutex
	lines map[string]line
}

type line struct {
	at     time.Time
	unsaid int
}

// again tells whether a message is to be passed on, and how often it came unsaid.
func (s *said) again(text string, now time.Time) (pass bool, unsaid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, seen := s.lines[text]
	if seen && now.Sub(known.at) < sameAgain {
		known.unsaid++
		s.lines[text] = known
		return false, 0
	}
	s.lines[text] = line{at: now}
	return true, known.unsaid
}

func (h silent) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h silent) Handle(ctx context.Context, record slog.Record) error {
	pass, unsaid := h.said.again(record.Message, record.Time)
	if !pass {
		return nil
	}
	if unsaid > 0 {
		record.AddAttrs(slog.Int("repeated", unsaid))
	}
	return h.Handler.Handle(ctx, record)
}

func (h silent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return silent{h.Handler.WithAttrs(attrs), h.said}
}

func (h silent) WithGroup(name string) slog.Handler {
	return silent{h.Handler.WithGroup(name), h.said}
}
