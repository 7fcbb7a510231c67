package hooks

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMove(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, step(map[string]any{"mv": "done/今天"}))
	s := h.service()
	recording := h.recording()
	h.write(stem(h.path(recording, 1))+".xml", "chat")
	segment := h.closed(s, recording, 1, "wanted")
	before := h.read(h.path(recording, 1))
	run := h.workOff(s, SegmentProcessor, recording)
	if run.State != "done" || run.Error != "" {
		t.Fatalf("%s %s", run.State, run.Error)
	}
	want := []string{"done/今天/r1_001.flv", "done/今天/r1_001.xml"}
	if diff := cmp.Diff(want, h.files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	row := h.segment(segment)
	if row.Path != filepath.Join(h.root, want[0]) || h.read(row.Path) != before || row.RecordedPath == nil || *row.RecordedPath != h.path(recording, 1) {
		t.Errorf("the row is %+v", row)
	}
	// A recorder that reports the file once more, after a crash, reports nothing new.
	h.write(h.path(recording, 1), before)
	if n := h.count("segments"); n != 1 {
		t.Fatal(n)
	}
	_, err := h.db.InsertSegment(t.Context(), insert(recording, h.path(recording, 1)))
	if err == nil {
		t.Error("a file that was moved became a second segment")
	}
}

func TestFoldersThatFilesAreMovedToHaveFolderMode(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, step(map[string]any{"mv": "done/deep"}))
	if _, err := h.db.Pool.Exec(t.Context(), `INSERT INTO configuration (value) VALUES ('{"folder_mode": "0770"}') ON CONFLICT (id) DO UPDATE SET value = excluded.value`); err != nil {
		t.Fatal(err)
	}
	s := h.service()
	recording := h.recording()
	h.closed(s, recording, 1, "wanted")
	if run := h.workOff(s, SegmentProcessor, recording); run.Error != "" {
		t.Fatal(run.Error)
	}
	for _, folder := range []string{"done", "done/deep"} {
		if info, err := os.Stat(filepath.Join(h.root, folder)); err != nil || info.Mode().Perm() != 0o770 {
			t.Errorf("%s has %v, %v", folder, info.Mode(), err)
		}
	}
}

func TestMoveNeverReplacesAFile(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(SegmentProcessor, step(map[string]any{"mv": "done"}))
	s := h.service()
	recording := h.recording()
	h.write(filepath.Join(h.root, "done", "r1_001.flv"), "mine")
	segment := h.closed(s, recording, 1, "wanted")
	h.workOff(s, SegmentProcessor, recording)
	if got := h.read(filepath.Join(h.root, "done", "r1_001.flv")); got != "mine" {
		t.Errorf("somebody's file holds %q now", got)
	}
	if got := h.segment(segment).Path; got != filepath.Join(h.root, "done", "r1_001-2.flv") {
		t.Errorf("the file went to %s", got)
	}
}

func TestWhereFilesMayBeMoved(t *testing.T) {
	t.Parallel()
	outside, allowed := t.TempDir(), t.TempDir()
	t.Cleanup(func() { // commands may move files there, and nothing else is made
		if made, err := os.ReadDir(outside); err != nil || len(made) != 1 || made[0].Name() != "r1_001.flv" {
			t.Errorf("made outside: %v %v", made, err)
		}
	})
	tests := map[string]struct {
		folder string
		run    bool
		ok     bool
	}{
		"relative":          {"a/b", false, true},
		"absolute inside":   {"ROOT/a", false, true},
		"the root itself":   {"ROOT", false, true},
		"outside":           {outside, false, false},
		"beside the root":   {"ROOT-evil", false, false},
		"allowed":           {allowed + "/x", false, true},
		"beside allowed":    {allowed + "x", false, false},
		"link out":          {"link/x", false, false},
		"far below a link":  {"link/new/x", false, false},
		"link to allowed":   {"good/x", false, true},
		"dots":              {"ROOT/../x", false, false},
		"outside, commands": {outside, true, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.options.AllowRun, h.options.MoveDirs = test.run, []string{allowed}
			if err := errors.Join(os.Symlink(outside, filepath.Join(h.root, "link")), os.Symlink(allowed, filepath.Join(h.root, "good"))); err != nil {
				t.Fatal(err)
			}
			h.hook(SegmentProcessor, step(map[string]any{"mv": strings.ReplaceAll(test.folder, "ROOT", h.root), "on_error": "hold", "retries": 3}))
			s := h.service()
			recording := h.recording()
			segment := h.closed(s, recording, 1, "wanted")
			run := h.workOff(s, SegmentProcessor, recording)
			row := h.segment(segment)
			if _, err := os.Stat(row.Path); err != nil {
				t.Error(err)
			}
			if strings.Contains(row.Path, "/good/") {
				t.Errorf("the file got a name with a link in it: %s", row.Path)
			}
			if moved := row.Path != h.path(recording, 1); moved != test.ok || (run.State == "done") != test.ok {
				t.Errorf("moved %v: %s %s", moved, run.State, run.Error)
			}
			if !test.ok && (!strings.Contains(run.Error, "--hook-dirs") || run.Attempts != 1) {
				t.Errorf("error = %s after %d attempts", run.Error, run.Attempts)
			}
		})
	}
}

func TestMoveWaitsForUploads(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.uploads = false
	h.hook(DownloadedProcessor, step(map[string]any{"mv": "done"}))
	s := h.service()
	h.start(s)
	recording := h.recording()
	segment := h.closed(s, recording, 1, "wanted")
	h.end(s, recording)
	due := h.the(DownloadedProcessor, recording).DueAt
	for range 3 {
		h.until("it looked once more", func() bool { return h.the(DownloadedProcessor, recording).DueAt.After(due) })
		due = h.the(DownloadedProcessor, recording).DueAt
	}
	if states := h.toldStates(recording); !slices.Equal(states, []string{"pending"}) {
		t.Errorf("whoever watches is told of %v while it waits", states)
	}
	if got := h.segment(segment).Path; got != h.path(recording, 1) {
		t.Errorf("the file of an open upload went to %s", got)
	}
	h.exec("UPDATE uploads SET state = 'uploaded', remote_name = 'n'", nil)
	run := h.untilState(DownloadedProcessor, recording, "done")
	if run.Error != "" || h.segment(segment).Path != filepath.Join(h.root, "done", "r1_001.flv") {
		t.Errorf("%s, %s", run.Error, h.segment(segment).Path)
	}
	if states := h.toldStates(recording); !slices.Equal(states, []string{"pending", "running", "done"}) {
		t.Errorf("whoever watches is told of %v", states)
	}
}

// Other devices have no hard links between them: then the file is copied. /dev/shm is another device on Linux.
func TestMoveToAnotherDevice(t *testing.T) {
	t.Parallel()
	other, err := os.MkdirTemp("/dev/shm", "lubod-hooks-")
	if err != nil {
		t.Skip("there is no other device:", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	h := newHarness(t)
	probe := filepath.Join(h.root, "probe")
	h.write(probe, "x")
	if os.Link(probe, filepath.Join(other, "probe")) == nil {
		t.Skip("/dev/shm is the device of the temporary directory")
	}
	h.options.MoveDirs = []string{other}
	h.hook(SegmentProcessor, step(map[string]any{"mv": other}))
	s := h.service()
	recording := h.recording()
	segment := h.closed(s, recording, 1, "wanted")
	before := h.read(h.path(recording, 1))
	run := h.workOff(s, SegmentProcessor, recording)
	row := h.segment(segment)
	if run.Error != "" || row.Path != filepath.Join(other, "r1_001.flv") || h.read(row.Path) != before {
		t.Errorf("%s: %s", run.Error, row.Path)
	}
	if _, err := os.Stat(h.path(recording, 1)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is in both places")
	}
	left, _ := filepath.Glob(filepath.Join(other, "*"+partSuffix))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPlaceLooksAtWhatIsThere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	from, to := filepath.Join(h.root, "from"), filepath.Join(h.root, "new", "to")
	h.write(from, "content")
	if err := os.Mkdir(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := place(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	if err := place(t.Context(), from, to); err != nil {
		t.Errorf("a second time: %v", err)
	}
	copied := filepath.Join(h.root, "copied")
	if err := copyFile(t.Context(), from, copied); err != nil {
		t.Fatal(err)
	}
	if err := place(t.Context(), from, copied); err != nil {
		t.Errorf("a copy of before: %v", err)
	}
	if err := copyFile(t.Context(), from, copied); !errors.Is(err, os.ErrExist) {
		t.Errorf("a copy replaced a file: %v", err)
	}
	for _, text := range []string{"Content", "contents"} {
		h.write(copied, text)
		if err := place(t.Context(), from, copied); err == nil || h.read(copied) != text {
			t.Errorf("a file with %q counts as a copy of another one: %v", text, err)
		}
	}
}
