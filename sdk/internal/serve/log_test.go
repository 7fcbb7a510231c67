package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLogLinesAreWhatAHostReads(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(&out, slog.LevelDebug, "line-acme")
	l.WithGroup("chunk").With("n", 1).Log(t.Context(), slog.LevelWarn+1, "sent\nslowly", "took", 1500*time.Millisecond,
		"error", errors.New("oops"), "level", "mine")
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("not one line: %q", &out)
	}
	var line struct {
		Level     string `json:"@level"`
		Message   string `json:"@message"`
		Module    string `json:"@module"`
		Timestamp string `json:"@timestamp"`
		Chunk     map[string]any
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "warn" || line.Message != "sent\nslowly" || line.Module != "line-acme" {
		t.Errorf("got %s", &out)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", line.Timestamp); err != nil {
		t.Error(err)
	}
	if line.Chunk["took"] != "1.5s" || line.Chunk["error"] != "oops" || line.Chunk["n"] != 1.0 || line.Chunk["level"] != "mine" {
		t.Errorf("got %v", line.Chunk)
	}
}

func TestAttributesNamedLikeOurKeysDoNoHarm(t *testing.T) {
	var out bytes.Buffer
	newLogger(&out, slog.LevelInfo, "m").Info("x", "level", 7, "time", "later")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["@level"] != "info" || line["level"] != 7.0 || line["time"] != "later" {
		t.Errorf("got %s, %v", &out, err)
	}
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]slog.Level{
		"": slog.LevelInfo, "DEBUG": slog.LevelDebug, "trace": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError,
		"loud": slog.LevelInfo,
	} {
		if got := parseLevel(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestOrphanTTL(t *testing.T) {
	if d, err := parseTTL("", time.Hour); d != time.Hour || err != nil {
		t.Error(d, err)
	}
	if d, err := parseTTL("90m", time.Hour); d != 90*time.Minute || err != nil {
		t.Error(d, err)
	}
	for _, bad := range []string{"soon", "-1h", "0s", "5"} {
		if d, err := parseTTL(bad, time.Hour); d != time.Hour || err == nil {
			t.Errorf("%q: %v, %v", bad, d, err)
		}
	}
}

func TestLogFileRotatesOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugin.log")
	l, err := openLogFile(path, 25)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, line := range []string{"line one 12\n", "line two 12\n", "line three 14\n", "much longer than the limit, and still one line\n", "last\n"} {
		if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
	}
	now, _ := os.ReadFile(path)
	before, _ := os.ReadFile(path + ".1")
	if string(now) != "last\n" || !strings.HasPrefix(string(before), "much longer") {
		t.Errorf("now %q, before %q", now, before)
	}
}

func TestLogFileGoesOnWhereAnEarlierProcessStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugin.log")
	for range 2 {
		l, err := openLogFile(path, 100)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = l.Write([]byte("a line\n"))
		_ = l.Close()
	}
	if content, _ := os.ReadFile(path); string(content) != "a line\na line\n" {
		t.Errorf("got %q", content)
	}
}

func TestLogFileThatCannotBeMade(t *testing.T) {
	if _, err := openLogFile(filepath.Join(t.TempDir(), "missing", "plugin.log"), 100); err == nil {
		t.Error("no error")
	}
}
