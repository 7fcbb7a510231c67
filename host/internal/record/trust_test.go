package record

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk/recorder"
)

func TestNothingButAFileOfItsSessionIsTaken(t *testing.T) {
	base := t.TempDir()
	make := func(name string, size int) {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	make("new/a_001.flv", 7)
	make("new/a_002.flv.part", 7)
	make("new/b_001.flv", 7)
	make("new/a_003.flv", 8)
	make("old/a_004.flv", 7) // by a recorder that does not know that its folder was moved, and made it again
	make("else/a_001.flv", 7)
	if err := os.Symlink(filepath.Join(base, "new", "b_001.flv"), filepath.Join(base, "new", "a_005.flv")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(base, "new", "a_006.flv"), 0o700); err != nil {
		t.Fatal(err)
	}
	remembered, err := json.Marshal(room{Prefix: filepath.Join(base, "old", "a")})
	if err != nil {
		t.Fatal(err)
	}
	row := db.RecorderSession{PathPrefix: filepath.Join(base, "new", "a"), Room: remembered}
	for name, want := range map[string]struct{ path, problem string }{
		"new/a_001.flv":      {"new/a_001.flv", ""},
		"old/a_001.flv":      {"new/a_001.flv", ""}, // moved
		"old/a_004.flv":      {"old/a_004.flv", ""},
		"new/a_099.flv":      {"new/a_099.flv", ""}, // not there
		"new/a_002.flv.part": {"", reason.WordFileElsewhere},
		"new/b_001.flv":      {"", reason.WordFileElsewhere},
		"else/a_001.flv":     {"", reason.WordFileElsewhere},
		"new/a_001.flv/..":   {"", reason.WordFileElsewhere},
		"new/x/../a_001.flv": {"", reason.WordFileElsewhere},
		"new/a_003.flv":      {"", reason.WordFileSize},
		"new/a_005.flv":      {"", reason.WordFileIrregular},
		"new/a_006.flv":      {"", reason.WordFileIrregular},
	} {
		got, why := trusted(row, recorder.Segment{Index: 1, Path: base + "/" + name, SizeBytes: 7})
		if why.Args["problem"] != want.problem || want.problem == "" && got.Path != filepath.Join(base, want.path) {
			t.Errorf("%s: at %s, %+v", name, got.Path, why)
		}
	}
}

// A recorder that names the files of others has none of them uploaded or removed; what is its own is published, and so is what
// another room records.
func TestRecorderThatTellsOfForeignFiles(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.noDelay()
	h.process.recover = func(string) ([]recorder.Segment, error) {
		return []recorder.Segment{{Index: 7, Path: "/etc/passwd", SizeBytes: 1, StartedAt: time.Now(), EndedAt: time.Now()}}, nil
	}
	s := h.start()
	id := h.begin(s)
	prefix := h.request(id).PathPrefix
	h.touch(prefix + "_001.flv")
	foreign := file(prefix, 2)
	foreign.Path = "/etc/passwd"
	h.process.emit(id, recorder.MediaArrived{}, recorder.SegmentClosed{Segment: foreign}, h.closed(id, 1),
		recorder.Ended{Reason: recorder.EndEOF})
	h.untilRows(1, "recordings WHERE state = 'ended'")
	if got := h.code("SELECT string_agg(path, ' ') FROM segments"); got != prefix+"_001.flv" {
		t.Errorf("segments: %s", got)
	}
	if code := h.code("SELECT reason ->> 'code' FROM recordings"); code != reason.RecordingUntrusted {
		t.Errorf("the recording says %q", code)
	}
	if text := h.logged(); !strings.Contains(text, "a file that a recorder told of is refused") || !strings.Contains(text, "/etc/passwd") {
		t.Errorf("the log says nothing of it:\n%s", text)
	}
	if h.publisher.ordered() != 1 {
		t.Errorf("%d orders, want 1", h.publisher.ordered())
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Error(err)
	}
}

// What a recorder recovers is trusted no more than what it tells of while it records.
func TestRecoveredForeignFilesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.noDelay()
	h.process.recover = func(prefix string) ([]recorder.Segment, error) {
		_ = os.Rename(prefix+"_001.flv.part", prefix+"_001.flv")
		foreign := file(prefix, 2)
		foreign.Path = "/etc/passwd"
		return []recorder.Segment{file(prefix, 1), foreign}, nil
	}
	s := h.start()
	id := h.begin(s)
	h.touch(h.request(id).PathPrefix + "_001.flv.part")
	h.process.emit(id, recorder.MediaArrived{}, recorder.Ended{Reason: recorder.EndEOF})
	h.untilRows(1, "recordings WHERE state = 'ended'")
	if n := h.rows("segments"); n != 1 {
		t.Errorf("%d segments", n)
	}
	if code := h.code("SELECT reason ->> 'code' FROM recordings"); code != reason.RecordingUntrusted {
		t.Errorf("the recording says %q", code)
	}
}
