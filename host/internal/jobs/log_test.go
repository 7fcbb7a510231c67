package jobs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTheLibraryDoesNotFloodTheLog(t *testing.T) {
	var out bytes.Buffer
	logger := quiet(slog.New(slog.NewTextHandler(&out, nil)))
	for range 100 {
		logger.Error("notifier: error", "attempt", 1)
		logger.With("queue", "x").Error("producer: error")
		logger.Info("routine")
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines for two messages:\n%s", n, out.String())
	}
	s := &said{lines: make(map[string]line)}
	now := time.Now()
	s.again("x", now)
	s.again("x", now.Add(time.Second))
	if pass, unsaid := s.again("x", now.Add(2*time.Minute)); !pass || unsaid != 1 {
		t.Errorf("after two minutes: %v, %d unsaid", pass, unsaid)
	}
}
