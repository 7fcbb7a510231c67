package process

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink keeps whole lines.
type sink struct {
	lines   []string
	partial string
}

func (s *sink) Write(p []byte) (int, error) {
	for _, b := range string(p) {
		if b == '\n' {
			s.Flush()
			continue
		}
		s.partial += string(b)
	}
	return len(p), nil
}

func (s *sink) Flush() {
	if s.partial != "" {
		s.lines = append(s.lines, s.partial)
	}
	s.partial = ""
}

func (s *sink) Pending() int { return len(s.partial) }

// followOnce runs a tail over what is there and returns what it forwarded.
func followOnce(dir string) []string {
	var all sink
	follower := &tail{path: filepath.Join(dir, "log"), placePath: filepath.Join(dir, "place"), lines: &all}
	follower.place = readPlace(follower.placePath)
	for range 2 { // the second pass finds nothing new
		follower.catchUp()
	}
	follower.close()
	return all.lines
}

func TestTailGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	step := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, followOnce(dir)); diff != "" {
			t.Error(diff)
		}
	}
	step()
	appendTo(t, log, "one\ntwo\nhalf")
	step("one", "two")
	appendTo(t, log, " a line\nthree\n")
	step("half a line", "three")
	step()
	// Rotated while nobody looked: the rest of the old file, then the new one.
	appendTo(t, log, "four\n")
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, "five\n")
	step("four", "five")
	// Rotated twice: what was in between is lost, what is there is not, though the file system reuses inodes.
	for _, text := range []string{"six\n", "seven\n"} {
		appendTo(t, log, text)
		if err := os.Rename(log, log+".1"); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, log, "eight\n")
	step("seven", "eight")
	// A place that makes no sense counts as none.
	if err := os.WriteFile(filepath.Join(dir, "place"), []byte("what?"), 0o600); err != nil {
		t.Fatal(err)
	}
	step("eight")
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := fmt.Fprint(file, text); err != nil {
		t.Fatal(err)
	}
}
