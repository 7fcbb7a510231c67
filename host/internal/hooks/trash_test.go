package hooks

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// trashed are the files in the trash of a folder, without the stamps before their names.
func (h *harness) trashed(place string) (names []string) {
	h.t.Helper()
	entries, err := os.ReadDir(filepath.Join(place, ".trash"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	for _, entry := range entries {
		_, name, _ := strings.Cut(entry.Name(), "-")
		names = append(names, name)
	}
	return names
}

// removed is a recording whose only segment, with its chat, was removed; its path is not what it was.
func (h *harness) removed(s *Service, path string) int64 {
	h.t.Helper()
	recording := h.recording()
	segment := h.closed(s, recording, 1, "wanted")
	if path != "" {
		h.exec("UPDATE segments SET path = $2 WHERE id = $1", []any{segment, path})
	}
	h.end(s, recording)
	h.accept(s, recording)
	if run := h.workOff(s, Postprocessor, recording); run.State != "done" || run.Error != "" {
		h.t.Fatalf("%s: %s", run.State, run.Error)
	}
	return segment
}

func TestRemovedFilesLieInTheTrash(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Postprocessor, `"rm"`)
	s := h.service()
	h.write(filepath.Join(h.root, "room", "r1_001.xml"), "chat")
	h.write(filepath.Join(h.root, "room", "other.xml"), "not its chat")
	h.removed(s, "")
	if diff := cmp.Diff([]string{"1-r1_001.flv", "1-r1_001.xml"}, h.trashed(h.root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	content := ""
	for _, name := range h.files() {
		content += h.read(filepath.Join(h.root, name)) + ";"
	}
	if !strings.Contains(content, "media of segment 1") || !strings.Contains(content, "chat;") || !strings.Contains(content, "not its chat") {
		t.Errorf("the files hold %q", content)
	}
}

func TestNothingIsKeptWithoutATrash(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec(`INSERT INTO configuration (value) VALUES ('{"trash_days": 0}')`, nil)
	h.hook(Postprocessor, `"rm"`)
	h.removed(h.service(), "")
	if files := h.files(); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

// A process that died after it said that files are removed, and before they were, goes on.
func TestKillBetweenTheRowAndTheFile(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Postprocessor, `"rm"`)
	s := h.service()
	recording := h.recording()
	first, second := h.closed(s, recording, 1, "wanted"), h.closed(s, recording, 2, "wanted")
	h.end(s, recording)
	h.accept(s, recording)
	if err := h.db.MarkSegmentsRemoved(t.Context(), []int64{first, second}); err != nil {
		t.Fatal(err)
	}
	if err := s.discard(h.path(recording, 1), first, time.Hour); err != nil {
		t.Fatal(err)
	}
	if run := h.workOff(s, Postprocessor, recording); run.State != "done" || run.Error != "" {
		t.Errorf("%s: %s", run.State, run.Error)
	}
	if diff := cmp.Diff([]string{"1-r1_001.flv", "2-r1_002.flv"}, h.trashed(h.root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if files := h.files(); len(files) != 2 {
		t.Errorf("files: %v", files)
	}
}

// The trash is emptied of what lay there for its time, and of nothing else.
func TestTrashIsEmptiedWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	trash := filepath.Join(h.root, ".trash")
	now := time.Now()
	old, young := trashName(now.Add(-73*time.Hour), 1, "old.flv"), trashName(now.Add(-71*time.Hour), 2, "young.flv")
	for _, name := range []string{old, young, "mine.flv", "20200101-x.flv", filepath.Join(trashName(now.Add(-99*time.Hour), 3, "folder"), "in.flv")} {
		h.write(filepath.Join(trash, name), "x")
	}
	h.write(filepath.Join(h.root, "kept"), "x")
	if err := os.Symlink(filepath.Join(h.root, "kept"), filepath.Join(trash, trashName(now.Add(-99*time.Hour), 4, "link"))); err != nil {
		t.Fatal(err)
	}
	if err := s.emptyTrashes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(trash, old)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is too old: %v", err)
	}
	if entries, _ := os.ReadDir(trash); len(entries) != 5 {
		t.Errorf("left: %v", entries)
	}
	h.read(filepath.Join(trash, young))
	h.read(filepath.Join(h.root, "kept"))
}

// A disk that runs short gets what it needs, the oldest first.
func TestTrashIsEmptiedEarlyWhenTheDiskRunsShort(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s := h.service()
	now := time.Now()
	for i, age := range []time.Duration{3 * time.Hour, time.Hour, 4 * time.Hour, 2 * time.Hour} {
		h.write(filepath.Join(h.root, ".trash", trashName(now.Add(-age), int64(i+1), age.String())), "x")
	}
	looks := 0
	s.short = func(string) bool { looks++; return looks <= 2 }
	if err := s.emptyTrashes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"4-2h0m0s", "2-1h0m0s"}, h.trashed(h.root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A folder on another disk than its root has its trash there, and that is emptied too.
func TestTrashOfAnotherDisk(t *testing.T) {
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
	mount := filepath.Join(h.root, "mount") // as good as one: what is in it is on another disk
	if err := os.Symlink(other, mount); err != nil {
		t.Fatal(err)
	}
	h.hook(Postprocessor, `"rm"`)
	s := h.service()
	path := filepath.Join(mount, "far.flv")
	h.write(path, "far")
	h.removed(s, path)
	if diff := cmp.Diff([]string{"1-far.flv"}, h.trashed(other)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	s.short = func(string) bool { return true }
	if err := s.emptyTrashes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := h.trashed(other); len(left) != 0 {
		t.Errorf("never emptied: %v", left)
	}
}

// A link in the place of the trash leads nowhere: nothing is put there, and nothing there is removed.
func TestTrashThatIsALinkLeadsNowhere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	outside := t.TempDir()
	theirs := filepath.Join(outside, trashName(time.Now().Add(-1000*time.Hour), 1, "theirs.flv"))
	h.write(theirs, "theirs")
	if err := os.Symlink(outside, filepath.Join(h.root, ".trash")); err != nil {
		t.Fatal(err)
	}
	h.hook(Postprocessor, `"rm"`)
	s := h.service()
	if err := s.emptyTrashes(t.Context()); err == nil {
		t.Error("a link in the place of the trash is not told of")
	}
	if h.read(theirs) != "theirs" {
		t.Error("another's file changed")
	}
	recording := h.recording()
	segment := h.closed(s, recording, 1, "wanted")
	h.end(s, recording)
	h.accept(s, recording)
	if run := h.workOff(s, Postprocessor, recording); run.Error == "" {
		t.Error("a file was removed through a link")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("outside: %v", entries)
	}
	h.read(h.segment(segment).Path)
}

func TestNamesInTheTrashFitTheFileSystem(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.hook(Postprocessor, `"rm"`)
	path := filepath.Join(h.root, "room", strings.Repeat("长", 83)+".flv")
	h.write(path, "long")
	h.removed(h.service(), path)
	names := h.trashed(h.root)
	if len(names) != 1 || !strings.HasSuffix(names[0], "长.flv") {
		t.Errorf("names: %q", names)
	}
}
