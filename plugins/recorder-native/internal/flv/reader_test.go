package flv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drain reads src to its end and returns copies of all tags.
func drain(t testing.TB, r *Reader) (tags [][]byte, err error) {
	t.Helper()
	for {
		_, readErr := r.Fill()
		var tag Tag
		for {
			ok, err := r.Next(&tag)
			if err != nil {
				return tags, err
			}
			if !ok {
				break
			}
			tags = append(tags, bytes.Clone(tag.Raw))
		}
		if errors.Is(readErr, io.EOF) {
			return tags, nil
		}
		if readErr != nil {
			return tags, readErr
		}
	}
}

// noise is reproducible and holds nothing that looks like a tag.
func noise(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(32 + rng.IntN(200))
	}
	return b
}

func frame(kind Type, ms int64, n int) []byte {
	first := []byte{0x27, 1}
	if kind == Audio {
		first = []byte{0xaf, 1}
	}
	return AppendTag(nil, kind, ms, append(first, noise(uint64(ms), n)...))
}

// someTags are five tags of different sizes.
func someTags() [][]byte {
	return [][]byte{
		frame(Video, 0, 3000), frame(Audio, 5, 200), frame(Video, 33, 1), frame(Audio, 28, 0), frame(Video, 66, 70_000),
	}
}

func stream(parts ...[]byte) []byte {
	return append(AppendFileHeader(nil, true, true), bytes.Join(parts, nil)...)
}

func wantTags(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d tags, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("tag %d differs", i)
		}
	}
}

func TestReaderFindsTheSameTagsHoweverTheyArrive(t *testing.T) {
	want := someTags()
	body := stream(want...)
	for name, src := range map[string]io.Reader{
		"at once":                 bytes.NewReader(body),
		"byte by byte":            iotest.OneByteReader(bytes.NewReader(body)),
		"halves":                  iotest.HalfReader(bytes.NewReader(body)),
		"end with the last bytes": iotest.DataErrReader(bytes.NewReader(body)),
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(src)
			got, err := drain(t, r)
			if err != nil {
				t.Fatal(err)
			}
			wantTags(t, got, want)
			if r.Leftover() != 0 || r.Offset() != int64(len(body)) || r.Received() != int64(len(body)) {
				t.Errorf("leftover %d, offset %d, received %d of %d", r.Leftover(), r.Offset(), r.Received(), len(body))
			}
			if diff := cmp.Diff(Stats{}, r.Stats()); diff != "" {
				t.Errorf("oddities in a clean stream: %s", diff)
			}
		})
	}
}

func TestReaderJoinsInTheMiddleWithoutFileHeader(t *testing.T) {
	want := someTags()
	r := NewReader(bytes.NewReader(bytes.Join(want, nil)))
	got, err := drain(t, r)
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, got, want)
	if audio, video := r.Announced(); !audio || !video {
		t.Error("without a header both tracks have to be expected")
	}
}

func TestReaderSkipsALongFileHeader(t *testing.T) {
	want := someTags()
	body := append([]byte{'F', 'L', 'V', 1, 4, 0, 0, 0, 12, 1, 2, 3, 0, 0, 0, 0}, bytes.Join(want, nil)...)
	r := NewReader(bytes.NewReader(body))
	got, err := drain(t, r)
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, got, want)
	if audio, video := r.Announced(); !audio || video {
		t.Errorf("announced audio %t, video %t", audio, video)
	}
}

func TestReaderRefusesWhatIsNotFLV(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":        "",
		"web page":       "<!doctype html><html><body>404</body></html>",
		"playlist":       "#EXTM3U\n#EXT-X-VERSION:3\n",
		"JSON":           `{"code":-400}`,
		"one letter":     "F",
		"cut header":     "FLV\x01\x05\x00\x00",
		"tag-like start": "\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09",
		"header offset":  "FLV\x01\x05\x7f\x00\x00\x09\x00\x00\x00\x00",
		"short offset":   "FLV\x01\x05\x00\x00\x00\x01\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			tags, err := drain(t, NewReader(iotest.OneByteReader(strings.NewReader(body))))
			if !errors.Is(err, ErrNotFLV) || len(tags) > 0 {
				t.Errorf("%d tags, error %v; want ErrNotFLV", len(tags), err)
			}
		})
	}
}

// Who names an address may not read through the recorder what is there.
func TestReaderKeepsToItselfWhatItGotInsteadOfFLV(t *testing.T) {
	for _, body := range []string{"s3cret=hunter2&more=of&it", "FLV\x01\x05\x49\x96\x02\xd2s3cret"} {
		_, err := drain(t, NewReader(strings.NewReader(body)))
		if !errors.Is(err, ErrNotFLV) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "1234567890") {
			t.Errorf("error %v, want ErrNotFLV and nothing of %q", err, body)
		}
	}
}

func TestReaderResumesAtTheNextIntactTagAfterGarbage(t *testing.T) {
	want := someTags()
	garbage := noise(7, 3000)
	body := stream(want[0], want[1], garbage, want[2], want[3], want[4])
	r := NewReader(iotest.HalfReader(bytes.NewReader(body)))
	got, err := drain(t, r)
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, got, want)
	if diff := cmp.Diff(Stats{Resyncs: 1, SkippedBytes: 3000}, r.Stats()); diff != "" {
		t.Error(diff)
	}
}

func TestReaderKeepsTagsBehindASecondFileHeader(t *testing.T) {
	want := someTags()
	body := stream(want[0], want[1], AppendFileHeader(nil, true, true), want[2], want[3], want[4])
	got, err := drain(t, NewReader(bytes.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, got, want)
}

func TestReaderKeepsTagsWithWrongTrailers(t *testing.T) {
	var want, sent [][]byte
	for _, tag := range someTags() {
		zero := bytes.Clone(tag)
		clear(zero[len(zero)-TrailerSize:])
		sent = append(sent, zero)
		want = append(want, zero)
	}
	r := NewReader(iotest.OneByteReader(bytes.NewReader(stream(sent...))))
	got, err := drain(t, r)
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, got, want)
	if r.Stats().BadTrailers != len(want) || r.Stats().Resyncs != 0 {
		t.Errorf("stats %+v", r.Stats())
	}
}

func TestReaderLeavesAnIncompleteTagOut(t *testing.T) {
	want := someTags()
	whole := stream(want...)
	last := len(want[len(want)-1])
	for _, cut := range []int{1, 4, 5, last - TagHeaderSize, last - 1} {
		r := NewReader(bytes.NewReader(whole[:len(whole)-cut]))
		got, err := drain(t, r)
		if err != nil {
			t.Fatal(err)
		}
		wantTags(t, got, want[:len(want)-1])
		if r.Leftover() != last-cut {
			t.Errorf("cut %d: leftover %d, want %d", cut, r.Leftover(), last-cut)
		}
		if diff := cmp.Diff(Stats{}, r.Stats()); diff != "" {
			t.Errorf("cut %d: %s", cut, diff)
		}
	}
}

func TestReaderSavesTagsBehindADamagedSizeWhenTheStreamEnds(t *testing.T) {
	want := someTags()
	damaged := bytes.Clone(want[1])
	damaged[1], damaged[2], damaged[3] = 0xff, 0xff, 0xff
	r := NewReader(iotest.HalfReader(bytes.NewReader(stream(want[0], damaged, want[2], want[3], want[4]))))
	got, err := drain(t, r)
	if err != nil {
		t.Fatal(err)
	}
	wantTags(t, got, [][]byte{want[0], want[2], want[3], want[4]})
	if r.Stats().Resyncs != 1 {
		t.Errorf("stats %+v", r.Stats())
	}
}

// loop repeats its bytes for ever.
type loop struct {
	b  []byte
	at int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.b[l.at:])
	l.at = (l.at + n) % len(l.b)
	return n, nil
}

func TestReaderGivesUpOnEndlessDamageInBoundedMemory(t *testing.T) {
	src := io.MultiReader(bytes.NewReader(stream(someTags()...)), &loop{b: noise(3, 1<<20)})
	r := NewReader(src)
	tags, err := drain(t, r)
	if !errors.Is(err, ErrDamaged) || len(tags) != len(someTags()) {
		t.Errorf("%d tags, error %v; want ErrDamaged", len(tags), err)
	}
	if len(r.buf) > maxBuffer {
		t.Errorf("the buffer grew to %d", len(r.buf))
	}
}

func TestReaderHoldsTheLargestTagAndShrinksAfterIt(t *testing.T) {
	small := frame(Video, 1, 100)
	large := frame(Video, 2, MaxPayload-2)
	r := NewReader(io.MultiReader(bytes.NewReader(stream(small, large)), &loop{b: small}))
	var tag Tag
	seen, grown := 0, 0
	for seen < 10_000 {
		if _, err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		grown = max(grown, len(r.buf))
		for {
			ok, err := r.Next(&tag)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			seen++
			if seen == 2 && !bytes.Equal(tag.Raw, large) {
				t.Fatal("the large tag differs")
			}
		}
	}
	if grown > maxBuffer || len(r.buf) != bufferSize {
		t.Errorf("buffer grew to %d (most %d) and is %d now, want %d", grown, maxBuffer, len(r.buf), bufferSize)
	}
}

func TestReaderReportsWhatTheSourceReports(t *testing.T) {
	broken := errors.New("connection reset")
	want := someTags()
	src := io.MultiReader(bytes.NewReader(stream(want...)), iotest.ErrReader(broken))
	got, err := drain(t, NewReader(src))
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the source's", err)
	}
	wantTags(t, got, want)
}

func TestReaderPlacesFollowingTagsNextToEachOther(t *testing.T) {
	r := NewReader(bytes.NewReader(stream(someTags()...)))
	if _, err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	var one, two Tag
	if ok, err := r.Next(&one); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := r.Next(&two); !ok || err != nil {
		t.Fatal(ok, err)
	}
	n := len(one.Raw)
	if &one.Raw[:n+1][n] != &two.Raw[0] {
		t.Error("two tags of one read are not neighbours in memory: each would be a write of its own")
	}
}

func TestReaderAllocatesNothingPerTag(t *testing.T) {
	r := NewReader(&loop{b: bytes.Join(someTags(), nil)})
	var tag Tag
	step := func() {
		if _, err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		for {
			ok, err := r.Next(&tag)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
		}
	}
	step()
	if n := testing.AllocsPerRun(200, step); n != 0 {
		t.Errorf("%v allocations per read", n)
	}
}

// Property: garbage between tags, in any place and of any length below the limit, costs no tag.
func TestReaderLosesNoIntactTag(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want [][]byte
		body := AppendFileHeader(nil, true, true)
		for i := range rapid.IntRange(1, 12).Draw(t, "tags") {
			kind := rapid.SampledFrom([]Type{Audio, Video}).Draw(t, "type")
			tag := frame(kind, int64(i*20), rapid.IntRange(0, 3000).Draw(t, "size"))
			if i > 0 && rapid.IntRange(0, 4).Draw(t, "damage") == 0 {
				body = append(body, noise(uint64(i), rapid.IntRange(1, 5000).Draw(t, "garbage"))...)
			}
			body = append(body, tag...)
			want = append(want, tag)
		}
		var src io.Reader = bytes.NewReader(body)
		if rapid.Bool().Draw(t, "halves") {
			src = iotest.HalfReader(src)
		}
		r := NewReader(src)
		got := 0
		for {
			_, readErr := r.Fill()
			var tag Tag
			for {
				ok, err := r.Next(&tag)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if got >= len(want) || !bytes.Equal(tag.Raw, want[got]) {
					t.Fatalf("tag %d is not the one that was sent", got)
				}
				got++
			}
			if readErr != nil {
				break
			}
		}
		if got != len(want) {
			t.Fatalf("%d of %d tags", got, len(want))
		}
	})
}

func FuzzReader(f *testing.F) {
	short := [][]byte{frame(Video, 0, 30), frame(Audio, 5, 2), frame(Video, 33, 0)}
	f.Add(stream(short...), uint8(0))
	f.Add(bytes.Join(short, nil), uint8(1))
	f.Add(append(stream(short[0], noise(1, 50)), short[1]...), uint8(2))
	f.Add([]byte("FLV"), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, how uint8) {
		var src io.Reader = bytes.NewReader(body)
		switch how % 3 {
		case 1:
			src = iotest.OneByteReader(src)
		case 2:
			src = iotest.HalfReader(src)
		}
		r := NewReader(src)
		tags, err := drain(t, r)
		total := 0
		for _, raw := range tags {
			tag := Tag{Raw: raw}
			total += len(raw)
			if len(raw) != TagHeaderSize+PayloadSize(raw)+TrailerSize {
				t.Fatalf("a tag of %d bytes says that its payload has %d", len(raw), PayloadSize(raw))
			}
			tag.Kind()
			tag.CodecID()
			tag.Stamp(int64(tag.Time()) + 1)
			if binary.BigEndian.Uint32(raw[len(raw)-TrailerSize:]) != uint32(len(raw)-TrailerSize) {
				t.Fatal("wrong trailer after Stamp")
			}
		}
		if total > len(body) {
			t.Fatalf("%d bytes of tags out of %d", total, len(body))
		}
		if err != nil && !errors.Is(err, ErrNotFLV) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("unexpected error: %v", err)
		}
		if err == nil && r.Offset()+int64(r.Leftover()) != int64(len(body)) {
			t.Fatalf("offset %d and leftover %d of %d", r.Offset(), r.Leftover(), len(body))
		}
	})
}
