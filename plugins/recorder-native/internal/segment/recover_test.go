package segment

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// unfinished returns the bytes of a file as a running recorder has them on disk, before it is closed.
func unfinished(t *testing.T, seconds int) []byte {
	t.Helper()
	h := &host{}
	c := newConfig(t, h)
	w := NewWriter(c)
	if err := feed(w, stream(seconds)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(c.Prefix + "_001.flv.part")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t interface {
	Helper()
	Fatal(args ...any)
}, path string, b []byte,
) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Wherever a recorder was killed, the file holds exactly the whole tags before that point, and asking again changes nothing.
func TestRecoverKeepsExactlyTheWholeTagsBeforeTheCut(t *testing.T) {
	whole := unfinished(t, 3)
	all := t.TempDir()
	head := flv.FileHeaderSize + flv.TrailerSize + flv.ScriptSize(1024)
	rapid.Check(t, func(r *rapid.T) {
		cut := rapid.OneOf(rapid.IntRange(0, len(whole)), rapid.IntRange(0, head+100)).Draw(r, "cut")
		rest := rapid.SampledFrom([]int{0, 0, 5, 700}).Draw(r, "zeros") // as a power cut leaves them
		dir, err := os.MkdirTemp(all, "")
		if err != nil {
			r.Fatal(err)
		}
		prefix := filepath.Join(dir, "room")
		write(r, prefix+"_004.flv.part", append(bytes.Clone(whole[:cut]), make([]byte, rest)...))
		want, end := wholeTags(whole[:cut])

		segments, err := Recover(context.Background(), prefix)
		again, errAgain := Recover(context.Background(), prefix)
		// Zeros behind a head without media may stand for something: such a file is left, and named.
		if kept := rest > 0 && len(want) == 0 && sdk.KindOf(err) == sdk.Corrupt && sdk.KindOf(errAgain) == sdk.Corrupt; kept {
			_ = os.Remove(prefix + "_004.flv.part")
		} else if err = errors.Join(err, errAgain); err != nil {
			r.Fatal(err)
		}
		if diff := cmp.Diff(segments, again); diff != "" {
			r.Fatalf("asked again (-first +again): %s", diff)
		}
		if len(want) == 0 {
			_, err := os.Stat(prefix + "_004.flv.part")
			if len(segments) > 0 || rest == 0 && !errors.Is(err, os.ErrNotExist) {
				r.Fatalf("segments %v, file %v; there was no media", segments, err)
			}
			return
		}
		s := segments[0]
		b, err := os.ReadFile(s.Path)
		if err != nil {
			r.Fatal(err)
		}
		if got, size := wholeTags(b); !slices.Equal(got, want) || size != end || len(b) != end {
			r.Fatalf("%d tags in %d bytes, want %d in %d", len(got), len(b), len(want), end)
		}
		// A picture and the sound that came with it take no time yet.
		if timeless := len(want) <= 2; s.Index != 4 || s.Path != prefix+"_004.flv" || s.SizeBytes != int64(end) || !s.Recovered || s.Duration < 0 || s.Duration == 0 && !timeless {
			r.Fatalf("segment %+v", s)
		}
		if err := os.Remove(s.Path); err != nil {
			r.Fatal(err)
		}
	})
}

// A recorder may also be killed while it recovers: every state on the way leads to the same end.
func TestRecoverGoesOnWhereAnEarlierRecoverDied(t *testing.T) {
	whole := unfinished(t, 2)
	torn := whole[:len(whole)-100]
	_, end := wholeTags(torn)
	states := map[string]func(*testing.T, string){
		"before anything": func(t *testing.T, part string) { write(t, part, torn) },
		"cut":             func(t *testing.T, part string) { write(t, part, torn[:end]) },
		"half of the metadata": func(t *testing.T, part string) {
			patched := patched(t, torn)
			half := flv.ScriptSize(1024) / 2
			write(t, part, append(bytes.Clone(patched[:half]), torn[half:end]...))
		},
		"before the new name": func(t *testing.T, part string) { write(t, part, patched(t, torn)) },
	}
	for name, state := range states {
		t.Run(name, func(t *testing.T) {
			prefix := filepath.Join(t.TempDir(), "room")
			state(t, prefix+"_001.flv.part")
			segments, err := Recover(t.Context(), prefix)
			if err != nil || len(segments) != 1 || !segments[0].Recovered || segments[0].SizeBytes != int64(end) {
				t.Fatalf("%+v, %v", segments, err)
			}
			want, _ := wholeTags(torn)
			if got := mediaOf(t, segments[0].Path); !slices.Equal(got, want) {
				t.Errorf("%d tags, want %d", len(got), len(want))
			}
			checkHead(t, segments[0])
		})
	}
}

// patched is what Recover makes of a file.
func patched(t *testing.T, torn []byte) []byte {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), "room")
	write(t, prefix+"_001.flv.part", torn)
	if _, err := Recover(t.Context(), prefix); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(prefix + "_001.flv")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecoverReturnsFinishedSegmentsToo(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	c.Limits.Duration = time.Second
	w := NewWriter(c)
	if err := errors.Join(feed(w, stream(3)), w.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, c.Prefix+"_004.flv.part", unfinished(t, 1))
	// These belong to somebody else.
	for _, name := range []string{"_x.flv", "_5.flv", "_005.mp4", "_005.flv.part.bak", "2_001.flv"} {
		write(t, c.Prefix+name, unfinished(t, 1))
	}
	segments, err := Recover(t.Context(), c.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	want := h.segments()
	if len(segments) != len(want)+1 {
		t.Fatalf("%d segments, want %d", len(segments), len(want)+1)
	}
	for i, s := range want {
		got := segments[i]
		if got.EndedAt.Sub(s.EndedAt).Abs() > time.Minute || got.StartedAt.Sub(s.StartedAt).Abs() > time.Millisecond {
			t.Errorf("times %v to %v, want %v to %v", got.StartedAt, got.EndedAt, s.StartedAt, s.EndedAt)
		}
		got.StartedAt, got.EndedAt = s.StartedAt, s.EndedAt
		if diff := cmp.Diff(s, got); diff != "" {
			t.Errorf("segment %d: %s", i, diff)
		}
	}
}

func TestRecoverKeepsTheTimeOfTheLastWrite(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "room")
	part := prefix + "_001.flv.part"
	write(t, part, unfinished(t, 2))
	died := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(part, died, died); err != nil {
		t.Fatal(err)
	}
	segments, err := Recover(t.Context(), prefix)
	if err != nil || len(segments) != 1 || !segments[0].EndedAt.Equal(died) {
		t.Errorf("%+v, %v; the recorder died at %v", segments, err, died)
	}
}

// A running recorder's file is not touched, whoever asks: the lock belongs to the open file, so that this is the same
// in another process.
func TestRecoverRefusesAFileThatIsBeingWritten(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	w := NewWriter(c)
	tags := stream(2)
	if err := feed(w, tags); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(t.Context(), c.Prefix); sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "running recorder") {
		t.Errorf("error %v (%s), want %s", err, sdk.KindOf(err), sdk.Unavailable)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if ids := mediaOf(t, h.segments()[0].Path); !slices.Equal(ids, numbers(len(tags)-2)) {
		t.Errorf("%d tags", len(ids))
	}
	if segments, err := Recover(t.Context(), c.Prefix); err != nil || len(segments) != 1 || segments[0].Recovered {
		t.Errorf("after the end: %+v, %v", segments, err)
	}
}

func TestRecoverOfNothing(t *testing.T) {
	for _, prefix := range []string{filepath.Join(t.TempDir(), "room"), filepath.Join(t.TempDir(), "no folder", "room")} {
		if segments, err := Recover(t.Context(), prefix); err != nil || len(segments) > 0 {
			t.Errorf("%v, %v", segments, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	prefix := filepath.Join(t.TempDir(), "room")
	write(t, prefix+"_001.flv.part", nil)
	if _, err := Recover(ctx, prefix); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestRecoverDeletesNothingThatMayBeMedia(t *testing.T) {
	head := unfinished(t, 1)
	broken := bytes.Clone(head)
	broken[13] = 0xff // the first tag cannot be read, and all media lies behind it
	for name, b := range map[string][]byte{
		"another container":      append([]byte("\x00\x00\x00\x20ftypisom"), bytes.Repeat([]byte("media"), 100)...),
		"text":                   []byte("notes"),
		"damaged first tag":      broken,
		"zeros, and much behind": append(make([]byte, 2<<20), head...),
	} {
		t.Run(name, func(t *testing.T) {
			prefix := filepath.Join(t.TempDir(), "room")
			write(t, prefix+"_001.flv.part", b)
			segments, err := Recover(t.Context(), prefix)
			if sdk.KindOf(err) != sdk.Corrupt || len(segments) > 0 {
				t.Errorf("%v, %v; want that nothing could be saved", segments, err)
			}
			if left, err := os.ReadFile(prefix + "_001.flv.part"); err != nil || !bytes.Equal(left, b) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

// A file that cannot be finished does not keep the others from being published, and is named.
func TestRecoverFinishesWhatItCanBesideAFileThatItCannot(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "room")
	write(t, prefix+"_001.flv.part", unfinished(t, 2))
	write(t, prefix+"_002.flv.part", []byte("notes"))
	write(t, prefix+"_003.flv.part", unfinished(t, 1))
	for range 2 {
		segments, err := Recover(t.Context(), prefix)
		var left *recorder.LeftError
		if !errors.As(err, &left) || len(left.Files) != 1 || left.Files[0].Path != prefix+"_002.flv.part" || left.Files[0].Err.Kind != sdk.Corrupt {
			t.Errorf("left: %v", err)
		}
		if len(segments) != 2 || segments[0].Index != 1 || segments[1].Index != 3 {
			t.Errorf("segments: %+v", segments)
		}
	}
}

func TestRecoverGivesAFreeNameWhenTheFinalOneIsTaken(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "room")
	write(t, prefix+"_001.flv.part", unfinished(t, 2))
	write(t, prefix+"_001.flv", unfinished(t, 1))
	first, err := Recover(t.Context(), prefix)
	if err != nil || len(first) != 2 || first[1].Path != prefix+"_001-1.flv" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := Recover(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("asked again: %s", diff)
	}
}

// One writer too many: whoever recovers a file between its making and its lock must not cost the writer its recording.
func TestCreateDoesNotWriteIntoAFileThatIsGone(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "room")
	f, err := os.Create(prefix + "_001.flv.part")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !owned(f) {
		t.Fatal("a new file is not owned")
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	if owned(f) {
		t.Error("a file without a name is owned")
	}
}

func FuzzRecover(f *testing.F) {
	small := flv.AppendFileHeader(nil, true, true)
	m := flv.Metadata{StartedAt: time.UnixMilli(1), Index: flv.NewIndex(4)}
	small, err := m.AppendScript(small, flv.ScriptSize(4))
	if err != nil {
		f.Fatal(err)
	}
	small = flv.AppendTag(small, flv.Video, 0, header(flv.Video, 1))
	small = flv.AppendTag(small, flv.Video, 0, media(flv.Video, true, 1, 1, 9))
	small = flv.AppendTag(small, flv.Audio, 5, media(flv.Audio, false, 2, 1, 9))
	f.Add(small)
	f.Add(small[:len(small)-3])
	f.Add([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"))
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		prefix := filepath.Join(t.TempDir(), "room")
		part := prefix + "_001.flv.part"
		write(t, part, b)
		segments, err := Recover(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Recover(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		for i := range again { // a file of another program has no place for this
			again[i].Recovered = true
		}
		if diff := cmp.Diff(segments, again); diff != "" {
			t.Fatalf("asked again (-first +again): %s", diff)
		}
		if len(segments) == 0 {
			return
		}
		checkRecovered(t, b, segments[0])
	})
}

// checkRecovered: the media in the recovered file is the beginning of what was there.
func checkRecovered(t *testing.T, before []byte, s recorder.Segment) {
	t.Helper()
	after, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(after)) != s.SizeBytes || len(after) > len(before) || s.Duration < 0 || !s.Recovered {
		t.Fatalf("%d bytes became %d, segment %+v", len(before), len(after), s)
	}
	scan, err := scanFile(bytes.NewReader(after))
	if err != nil || scan.media == 0 || scan.end != int64(len(after)) {
		t.Fatalf("scan of the recovered file: %+v, %v", scan, err)
	}
	rewritten := int64(flv.FileHeaderSize + flv.TrailerSize + scan.scriptSize)
	if !bytes.Equal(after[rewritten:], before[rewritten:len(after)]) {
		t.Fatal("media was changed")
	}
}
