package segment

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
)

// what a player finds in front of the first picture.
type start struct {
	flags    byte
	video    float64 // codec ids of the script
	audio    float64
	first    []flv.Type // of the tags behind the script, two of them
	payloads [][]byte
}

func startOf(t *testing.T, b []byte) (found start) {
	t.Helper()
	found.flags = b[4]
	at := flv.FileHeaderSize + flv.TrailerSize
	for n := range 3 {
		tag := flv.Tag{Raw: b[at : at+flv.TagHeaderSize+flv.PayloadSize(b[at:])+flv.TrailerSize]}
		if n == 0 {
			_, own, ok := flv.ParseScript(tag.Payload())
			if !ok || !own {
				t.Fatalf("the file begins with no script of ours: %v, %v", own, ok)
			}
			found.video, found.audio = number(b, "videocodecid"), number(b, "audiocodecid")
		} else {
			found.first, found.payloads = append(found.first, tag.Type()), append(found.payloads, bytes.Clone(tag.Payload()))
		}
		at += len(tag.Raw)
	}
	return found
}

// number is a property of a script that holds a number; 0: there is none.
func number(b []byte, name string) float64 {
	_, rest, found := bytes.Cut(b, append([]byte(name), 0))
	if !found || len(rest) < 8 {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(rest))
}

// A file that nobody closed can be played from its start: what it holds, and how it is decoded, is written before any media.
func TestFileBeginsWithWhatAPlayerNeeds(t *testing.T) {
	found := startOf(t, unfinished(t, 1))
	if found.flags != 5 {
		t.Errorf("the header announces %03b, want sound and picture", found.flags)
	}
	if found.video != 7 || found.audio != 10 {
		t.Errorf("codecs %v and %v, want AVC (7) and AAC (10)", found.video, found.audio)
	}
	if found.first[0] != flv.Video || !bytes.Equal(found.payloads[0], header(flv.Video, 1)) || found.first[1] != flv.Audio || !bytes.Equal(found.payloads[1], header(flv.Audio, 1)) {
		t.Errorf("the headers are %v %x", found.first, found.payloads)
	}
}

// Codecs that have no header, such as MP3 and Sorenson's, are known from their first tags, each from its own.
func TestFileKnowsTheCodecsOfStreamsWithoutHeaders(t *testing.T) {
	h := &host{}
	c := newConfig(t, h)
	w := NewWriter(c)
	var tags [][]byte
	for i := range 50 {
		picture := []byte{0x22, byte(i)}
		if i%25 == 0 {
			picture[0] = 0x12
		}
		tags = append(tags, flv.AppendTag(nil, flv.Video, int64(40*i), append(picture, make([]byte, 300)...)),
			flv.AppendTag(nil, flv.Audio, int64(40*i+5), append([]byte{0x2f}, make([]byte, 100)...)))
	}
	if err := feed(w, tags); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	closed := h.segments()
	if len(closed) != 1 {
		t.Fatalf("%d segments", len(closed))
	}
	b, err := os.ReadFile(closed[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	if found := startOf(t, b); found.video != 2 || found.audio != 2 || found.flags != 5 {
		t.Errorf("codecs %v and %v, header %03b; want 2, 2 and both", found.video, found.audio, found.flags)
	}
}

// A recovered file seeks as a closed one does.
func TestRecoveredFileHasAnIndex(t *testing.T) {
	torn := unfinished(t, 8)
	if bytes.Contains(torn, []byte("hasKeyframes\x01\x01")) {
		t.Fatal("the unfinished file has an index already: this test proves nothing")
	}
	whole := patched(t, torn)
	for _, property := range []string{"hasKeyframes\x01\x01", "hasVideo\x01\x01", "hasAudio\x01\x01"} {
		if !bytes.Contains(whole, []byte(property)) {
			t.Errorf("a recovered file of eight groups lacks %q", property[:len(property)-2])
		}
	}
	// The index is an array of times in seconds: those of the keyframes, and of no other frame.
	_, times, found := bytes.Cut(whole, []byte("times\x0a"))
	if !found || binary.BigEndian.Uint32(times) != 8 {
		t.Fatalf("the index is there: %v, with %d places, want 8", found, binary.BigEndian.Uint32(times))
	}
	for i := range 8 {
		if at := math.Float64frombits(binary.BigEndian.Uint64(times[4+9*i+1:])); math.Round(at) != float64(i) {
			t.Errorf("keyframe %d is at %v s in the index", i, at)
		}
	}
}

// A file of sound alone does not claim a picture.
func TestFileOfSoundClaimsNoPicture(t *testing.T) {
	h := &host{}
	w := NewWriter(newConfig(t, h))
	var tags [][]byte
	for i := range 100 {
		tags = append(tags, flv.AppendTag(nil, flv.Audio, int64(23*i), append([]byte{0x2f}, make([]byte, 100)...)))
	}
	if err := feed(w, tags); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(h.segments()[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	if found := startOf(t, b); found.video != 0 || found.audio != 2 || found.flags != 4 {
		t.Errorf("codecs %v and %v, header %03b; want none, 2 and sound alone", found.video, found.audio, found.flags)
	}
}
