package segment

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// steps notes what happens to files, in order.
type steps struct {
	mu    sync.Mutex
	taken []string
}

func (s *steps) note(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, step)
}

func (s *steps) names() names {
	return names{
		rename:   func(from, to string) error { s.note("rename"); return renameNew(from, to) },
		syncDir:  func(dir string) error { s.note("sync " + filepath.Base(dir)); return syncDir(dir) },
		patience: time.Minute,
	}
}

type notedFile struct {
	*os.File
	steps *steps
}

func (f notedFile) Sync() error { f.steps.note("sync"); return f.File.Sync() }

// A power cut at any moment leaves what was announced: content first, then the name, then the folder that holds it.
func TestWriterAnnouncesWhatAPowerCutCannotTakeBack(t *testing.T) {
	var s steps
	h := &host{}
	c := newConfig(t, h)
	c.Emit = func(p recorder.Payload) {
		if _, ok := p.(recorder.SegmentClosed); ok {
			s.note("announced")
		}
		h.emit(p)
	}
	w := newWriter(c, func(prefix string, index int) (handle, int, error) {
		f, index, err := create(prefix, index)
		return notedFile{f, &s}, index, err
	})
	w.disk.names = s.names()
	if err := errors.Join(feed(w, stream(1)), w.Close()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"sync", "rename", "sync sub", "announced"}; !slices.Equal(s.taken, want) {
		t.Errorf("%q, want %q", s.taken, want)
	}
}

func TestRecoverAnswersWhatAPowerCutCannotTakeBack(t *testing.T) {
	var s steps
	dir := filepath.Join(t.TempDir(), "rec")
	prefix := filepath.Join(dir, "room")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, prefix+"_001.flv.part", unfinished(t, 1))
	write(t, prefix+"_002.flv.part", nil)
	r := recovery{s.names(), func(f *os.File) error { s.note("sync"); return f.Sync() }}
	if segments, err := r.all(t.Context(), prefix); err != nil || len(segments) != 1 {
		t.Fatalf("%+v, %v", segments, err)
	}
	if want := []string{"sync", "rename", "sync rec", "sync rec"}; !slices.Equal(s.taken, want) {
		t.Errorf("%q, want %q: the last one is for the empty file that was removed", s.taken, want)
	}
}

// away fails so many times as a network share does that is away.
func away(times int) func() error {
	return func() error {
		if times--; times >= 0 {
			return &os.PathError{Op: "test", Path: "x", Err: syscall.EROFS}
		}
		return nil
	}
}

// A folder that cannot be written to for a moment, while a segment ends and the next one begins, costs nothing.
func TestWriterOutlastsAFolderThatIsAwayForAMoment(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	c.Limits.Duration = time.Second
	opening, renaming, syncing := away(3), away(3), away(3)
	w := newWriter(c, func(prefix string, index int) (handle, int, error) {
		if index == 2 {
			if err := opening(); err != nil {
				return nil, 0, err
			}
		}
		return openFile(prefix, index)
	})
	w.disk.names = names{
		rename: func(from, to string) error {
			if err := renaming(); err != nil {
				return err
			}
			return renameNew(from, to)
		},
		syncDir:  func(dir string) error { return errors.Join(syncing(), syncDir(dir)) },
		patience: time.Minute,
	}
	if err := errors.Join(feed(w, stream(3)), w.Close()); err != nil {
		t.Fatal(err)
	}
	var ids []uint32
	for _, s := range h.segments() {
		ids = append(ids, mediaOf(t, s.Path)...)
	}
	if !slices.Equal(ids, numbers(150)) || len(h.segments()) != 3 {
		t.Errorf("%d tags in %d segments, want 150 in 3", len(ids), len(h.segments()))
	}
}

// A folder that stays away ends the session with what is the matter, and what was recorded is found by whoever recovers it.
func TestWriterKeepsWhatItCannotFinish(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	w := NewWriter(c)
	w.disk.names = names{rename: func(string, string) error { return syscall.EROFS }, syncDir: syncDir, patience: 50 * time.Millisecond}
	err := errors.Join(feed(w, stream(2)), w.Close())
	var typed *sdk.Error
	if !errors.As(err, &typed) || typed.Kind != sdk.Unavailable || typed.Code != sdk.CodeDiskKept || typed.Args["path"] != c.Prefix+"_001.flv.part" {
		t.Errorf("error %+v, want that the file is kept", typed)
	}
	if len(h.segments()) > 0 {
		t.Errorf("announced: %+v", h.segments())
	}
	segments, err := Recover(context.Background(), c.Prefix)
	if err != nil || len(segments) != 1 {
		t.Fatalf("%+v, %v", segments, err)
	}
	if ids := mediaOf(t, segments[0].Path); !slices.Equal(ids, numbers(100)) {
		t.Errorf("%d tags", len(ids))
	}
}

func TestWriterTellsAFullDisk(t *testing.T) {
	h := &host{}
	w := newWriter(newConfig(t, h), func(string, int) (handle, int, error) { return nil, 0, syscall.ENOSPC })
	w.disk.openPatience = 10 * time.Millisecond
	err := errors.Join(feed(w, stream(1)), w.Close())
	var typed *sdk.Error
	if !errors.As(err, &typed) || typed.Code != sdk.CodeDiskFull {
		t.Errorf("error %v, want %s", err, sdk.CodeDiskFull)
	}
}

// A disk that is full after one, two or three tags costs none of them.
func TestWriterSalvagesASingleTag(t *testing.T) {
	whole := &host{}
	c := newConfig(t, whole)
	w := NewWriter(c)
	if err := errors.Join(feed(w, stream(1)), w.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(whole.segments()[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	for tags := 1; tags <= 3; tags++ {
		room := endOfTag(file, tags)
		h := &host{}
		w := newWriter(newConfig(t, h), faulty(func(_ int, f *faultyFile) { f.room, f.failing = room, syscall.ENOSPC }))
		if err := errors.Join(feed(w, stream(1)), w.Close()); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("error %v, want ENOSPC", err)
		}
		segments := h.segments()
		if len(segments) != 1 {
			t.Errorf("%d tags fit, and %d segments are left", tags, len(segments))
			continue
		}
		if ids := mediaOf(t, segments[0].Path); !slices.Equal(ids, numbers(tags)) {
			t.Errorf("%d tags fit, and the segment holds %v", tags, ids)
		}
	}
}

// endOfTag is the position behind so many media tags of a file.
func endOfTag(file []byte, tags int) int {
	for at := 13; at+11 <= len(file); {
		size := 11 + int(file[at+1])<<16 + int(file[at+2])<<8 + int(file[at+3]) + 4
		if (flv.Tag{Raw: file[at : at+size]}).Kind().IsMedia() {
			tags--
		}
		if at += size; tags == 0 {
			return at
		}
	}
	return len(file)
}
