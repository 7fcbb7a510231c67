package segment

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/sdk/recorder"
)

// host collects what a Writer tells.
type host struct {
	mu     sync.Mutex
	events []recorder.Payload
}

func (h *host) emit(p recorder.Payload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, p)
}

func (h *host) segments() []recorder.Segment {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []recorder.Segment
	for _, e := range h.events {
		if c, ok := e.(recorder.SegmentClosed); ok {
			out = append(out, c.Segment)
		}
	}
	return out
}

func (h *host) noted(code string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.events, func(p recorder.Payload) bool {
		n, ok := p.(recorder.Note)
		return ok && n.Code == code
	})
}

// stream is what a sender with sound and picture sends: headers, then seconds groups of pictures of one second. Each
// element is one tag.
func stream(seconds int) [][]byte {
	tags := [][]byte{
		flv.AppendTag(nil, flv.Video, 0, header(flv.Video, 1)),
		flv.AppendTag(nil, flv.Audio, 0, header(flv.Audio, 1)),
	}
	for i := range 25 * seconds {
		at := int64(i) * 40
		tags = append(tags,
			flv.AppendTag(nil, flv.Video, at, media(flv.Video, i%25 == 0, uint32(2*i), 1, 700)),
			flv.AppendTag(nil, flv.Audio, at+7, media(flv.Audio, false, uint32(2*i+1), 1, 90)))
	}
	return tags
}

func newConfig(t *testing.T, h *host) Config {
	t.Helper()
	return Config{
		Prefix: filepath.Join(t.TempDir(), "sub", "录播"), FirstIndex: 1, Emit: h.emit,
		CutRequested: func() bool { return false },
	}
}

// feed writes a stream as a connection does, several tags with each read.
func feed(w *Writer, tags [][]byte) error {
	w.Begin(true)
	for chunk := range slices.Chunk(tags, 7) {
		memory := bytes.Join(chunk, nil) // as in a reader, the tags are neighbours
		at := 0
		for _, tag := range chunk {
			if err := w.Write(flv.Tag{Raw: memory[at : at+len(tag) : len(memory)]}); err != nil {
				return err
			}
			at += len(tag)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for i := range memory {
			memory[i] = 0xee
		}
	}
	return nil
}

// mediaOf returns the numbers of the media tags in a file, which has to be whole.
func mediaOf(t *testing.T, path string) []uint32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ids, end := wholeTags(b)
	if end != len(b) {
		t.Fatalf("%s has %d bytes behind its last whole tag", path, len(b)-end)
	}
	return ids
}

// wholeTags walks over the bytes of a file without help of the code under test. end is behind the last whole tag.
func wholeTags(b []byte) (ids []uint32, end int) {
	const fileHead = 13
	if len(b) < fileHead {
		return nil, 0
	}
	for end = fileHead; end+11 <= len(b); {
		n := int(b[end+1])<<16 | int(b[end+2])<<8 | int(b[end+3])
		if end+11+n+4 > len(b) {
			return ids, end
		}
		tag := flv.Tag{Raw: b[end : end+11+n+4]}
		if tag.Kind().IsMedia() {
			id, _ := identify(tag)
			ids = append(ids, id)
		}
		end += len(tag.Raw)
	}
	return ids, end
}

func numbers(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}

func filesIn(t *testing.T, c Config) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(c.Prefix))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriterPublishesWholeFilesInOrder(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	c.FirstIndex, c.Limits.Duration = 7, 3*time.Second
	w := NewWriter(c)
	if err := feed(w, stream(8)); err != nil {
		t.Fatal(err)
	}
	if d := w.MediaDuration(); d < 7900*time.Millisecond || d > 8100*time.Millisecond {
		t.Errorf("media lasts %v", d)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var ids []uint32
	segments := h.segments()
	for i, s := range segments {
		if s.Index != 7+i || s.Path != fmt.Sprintf("%s_%03d.flv", c.Prefix, 7+i) || s.Recovered || s.StartedAt.After(s.EndedAt) {
			t.Errorf("segment %+v", s)
		}
		ids = append(ids, mediaOf(t, s.Path)...)
		checkHead(t, s)
	}
	if !slices.Equal(ids, numbers(400)) || len(segments) != 3 {
		t.Errorf("%d tags in %d segments", len(ids), len(segments))
	}
	if n := len(filesIn(t, c)); n != len(segments) {
		t.Errorf("files: %q", filesIn(t, c))
	}
}

// checkHead: the metadata says what was announced.
func checkHead(t *testing.T, s recorder.Segment) {
	t.Helper()
	f, err := os.Open(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scan, err := readHead(f)
	if err != nil {
		t.Fatal(err)
	}
	if !scan.own || scan.meta.Duration != s.Duration || scan.meta.FileSize != s.SizeBytes || scan.meta.Recovered != s.Recovered {
		t.Errorf("metadata %+v of segment %+v", scan.meta, s)
	}
	if d := scan.meta.StartedAt.Sub(s.StartedAt).Abs(); d > time.Millisecond {
		t.Errorf("started at %v, the file says %v", s.StartedAt, scan.meta.StartedAt)
	}
}

func TestWriterTouchesNoDiskWithoutMedia(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	w := NewWriter(c)
	if err := feed(w, stream(1)[:2]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(c.Prefix)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestWriterTakesTheNextIndexWhenANameIsTaken(t *testing.T) {
	for _, taken := range []string{"_001.flv", "_001.flv.part"} {
		t.Run(taken, func(t *testing.T) {
			h := &host{}
			c := newConfig(t, h)
			if err := os.MkdirAll(filepath.Dir(c.Prefix), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(c.Prefix+taken, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			w := NewWriter(c)
			if err := errors.Join(feed(w, stream(1)), w.Close()); err != nil {
				t.Fatal(err)
			}
			if s := h.segments(); len(s) != 1 || s[0].Index != 2 || !h.noted("name-taken") {
				t.Errorf("segments %+v", s)
			}
			if b, err := os.ReadFile(c.Prefix + taken); err != nil || string(b) != "precious" {
				t.Errorf("the file that was there holds %q, %v", b, err)
			}
		})
	}
}

func TestWriterReplacesNoFileThatAppearsLater(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	w := NewWriter(c)
	if err := feed(w, stream(1)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Prefix+"_001.flv", []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if s := h.segments(); len(s) != 1 || s[0].Path != c.Prefix+"_001-1.flv" {
		t.Errorf("segments %+v", s)
	}
	if b, _ := os.ReadFile(c.Prefix + "_001.flv"); string(b) != "precious" {
		t.Errorf("the file was replaced by %d bytes", len(b))
	}
}

func TestWriterNamesTheFolderThatCannotBeMade(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	if err := os.WriteFile(filepath.Dir(c.Prefix), nil, 0o600); err != nil { // a file where a folder has to be
		t.Fatal(err)
	}
	w := NewWriter(c)
	err := errors.Join(feed(w, stream(1)), w.Close())
	if err == nil || len(h.segments()) > 0 {
		t.Errorf("error %v, segments %v", err, h.segments())
	}
}

// faultyFile fails as a disk does.
type faultyFile struct {
	*os.File
	room    int   // bytes that may still be written
	failing error // of writes beyond room
	patch   error // of WriteAt
	sync    error // of Sync
}

func (f *faultyFile) Write(b []byte) (int, error) {
	if f.failing == nil {
		return f.File.Write(b)
	}
	n := min(len(b), f.room)
	f.room -= n
	n, err := f.File.Write(b[:n])
	if err == nil && n < len(b) {
		err = f.failing
	}
	return n, err
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if f.patch != nil {
		return 0, f.patch
	}
	return f.File.WriteAt(b, at)
}

func (f *faultyFile) Sync() error { return errors.Join(f.sync, f.File.Sync()) }

// faulty opens real files behind change, which gets the index.
func faulty(change func(index int, f *faultyFile)) openFunc {
	return func(prefix string, index int) (handle, int, error) {
		f, index, err := create(prefix, index)
		if err != nil {
			return nil, 0, err
		}
		faulty := &faultyFile{File: f}
		change(index, faulty)
		return faulty, index, nil
	}
}

// A full disk costs the tag that did not fit and what follows. Everything before it is published, playable and announced.
func TestWriterPublishesWhatFitsOnAFullDisk(t *testing.T) {
	tags := stream(6)
	for _, room := range []int{15_000, 15_001, 30_400, 30_799, 45_000} {
		h := &host{}
		c := newConfig(t, h)
		c.Limits.Duration = 2 * time.Second
		w := newWriter(c, faulty(func(index int, f *faultyFile) {
			if index == 2 {
				f.room, f.failing = room, syscall.ENOSPC
			}
		}))
		err := errors.Join(feed(w, tags), w.Close())
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("room %d: error %v, want ENOSPC", room, err)
		}
		segments := h.segments()
		if len(segments) != 2 {
			t.Fatalf("room %d: %d segments", room, len(segments))
		}
		ids := append(mediaOf(t, segments[0].Path), mediaOf(t, segments[1].Path)...)
		if !slices.Equal(ids, numbers(len(ids))) || int64(room)-segments[1].SizeBytes > 800 || int64(room) < segments[1].SizeBytes {
			t.Errorf("room %d: segment of %d bytes, tags %v", room, segments[1].SizeBytes, ids)
		}
		checkHead(t, segments[1])
		for _, name := range filesIn(t, c) {
			if filepath.Ext(name) == partSuffix {
				t.Errorf("room %d: %s is left", room, name)
			}
		}
	}
}

func TestWriterLeavesNoFileWhereNotEvenTheHeadFits(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	w := newWriter(c, faulty(func(_ int, f *faultyFile) { f.room, f.failing = 100, syscall.ENOSPC }))
	err := errors.Join(feed(w, stream(2)), w.Close())
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want ENOSPC", err)
	}
	if files := filesIn(t, c); len(files) > 0 || len(h.segments()) > 0 {
		t.Errorf("files %q, segments %v", files, h.segments())
	}
}

func TestWriterPublishesAFileWhoseMetadataCannotBeWritten(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	w := newWriter(c, faulty(func(_ int, f *faultyFile) { f.patch = syscall.ENOSPC }))
	if err := errors.Join(feed(w, stream(2)), w.Close()); err != nil {
		t.Fatal(err)
	}
	segments := h.segments()
	if len(segments) != 1 || !h.noted("no-metadata") || segments[0].Duration < 1900*time.Millisecond {
		t.Fatalf("segments %+v", segments)
	}
	if ids := mediaOf(t, segments[0].Path); !slices.Equal(ids, numbers(100)) {
		t.Errorf("%d tags", len(ids))
	}
	// Whoever asks again gets the same answer, although the head of the file does not know it.
	again, err := Recover(t.Context(), c.Prefix)
	if err != nil || len(again) != 1 || again[0].Duration != segments[0].Duration {
		t.Errorf("recovered %+v, %v", again, err)
	}
}

// What cannot be synced may be lost: it is not announced, and the session says where it lies.
func TestWriterAnnouncesNothingThatIsNotSafe(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	c.Limits.Duration = time.Second
	w := newWriter(c, faulty(func(index int, f *faultyFile) {
		if index == 2 {
			f.sync = syscall.EIO
		}
	}))
	err := errors.Join(feed(w, stream(3)), w.Close())
	part := c.Prefix + "_002.flv.part"
	if !errors.Is(err, syscall.EIO) || !bytes.Contains([]byte(err.Error()), []byte(part)) {
		t.Errorf("error %v", err)
	}
	for _, s := range h.segments() {
		if s.Index == 2 {
			t.Errorf("announced: %+v", s)
		}
	}
	if _, err := os.Stat(part); err != nil {
		t.Error(err)
	}
	segments, err := Recover(t.Context(), c.Prefix)
	if err != nil || len(segments) < 2 || !segments[1].Recovered {
		t.Errorf("recovered %+v, %v", segments, err)
	}
}

// A disk that takes long to sync must not keep the writer from the next segment.
func TestWriterGoesOnWhileASegmentIsBeingFinished(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	c.Limits.Duration = time.Second
	release := make(chan struct{})
	w := newWriter(c, func(prefix string, index int) (handle, int, error) {
		f, index, err := create(prefix, index)
		return &slowSync{File: f, release: release}, index, err
	})
	if err := feed(w, stream(5)); err != nil { // five segments, none of them finished
		t.Fatal(err)
	}
	if n := len(h.segments()); n != 0 {
		t.Errorf("%d segments were announced before they were safe", n)
	}
	close(release)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for i, s := range h.segments() {
		if s.Index != i+1 {
			t.Errorf("segment %d was announced as number %d", s.Index, i+1)
		}
	}
	if n := len(h.segments()); n != 5 {
		t.Errorf("%d segments", n)
	}
}

type slowSync struct {
	*os.File
	release chan struct{}
}

func (f *slowSync) Sync() error { <-f.release; return f.File.Sync() }

// Neighbours in memory are one write, whatever was rewritten in them.
func TestWriterJoinsNeighboursIntoOneWrite(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	counted := &countingFile{}
	w := newWriter(c, func(prefix string, index int) (handle, int, error) {
		f, index, err := create(prefix, index)
		counted.File = f
		return counted, index, err
	})
	tags := stream(4)
	if err := errors.Join(feed(w, tags), w.Close()); err != nil {
		t.Fatal(err)
	}
	reads := (len(tags) + 6) / 7
	if most := reads + 5; counted.writes > most { // the head, and the tags that waited for sound
		t.Errorf("%d writes for %d reads, want at most %d", counted.writes, reads, most)
	}
}

type countingFile struct {
	*os.File
	writes int
}

func (f *countingFile) Write(b []byte) (int, error) { f.writes++; return f.File.Write(b) }
