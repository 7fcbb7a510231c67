package flv

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMetadataReadsBackWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 600).Draw(t, "limit")
		m := Metadata{
			Source: Source{
				Width: float64(rapid.IntRange(0, 8000).Draw(t, "width")), Height: float64(rapid.IntRange(0, 8000).Draw(t, "height")),
				FrameRate: float64(rapid.IntRange(0, 240).Draw(t, "rate")),
			},
			Duration:   time.Duration(rapid.Int64Range(0, 1<<32).Draw(t, "duration")) * time.Millisecond,
			FileSize:   rapid.Int64Range(0, 1<<45).Draw(t, "size"),
			VideoCodec: rapid.Uint32().Draw(t, "video"), AudioCodec: rapid.Uint32().Draw(t, "audio"),
			StartedAt: time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "started")),
			Recovered: rapid.Bool().Draw(t, "recovered"), Index: NewIndex(limit),
		}
		for i := range rapid.IntRange(0, 3*limit).Draw(t, "keyframes") {
			m.Index.Add(int64(i)*2000, int64(i)*100_000)
		}
		size := ScriptSize(limit)
		b, err := m.AppendScript(nil, size)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != size || PayloadSize(b) != size-TagHeaderSize-TrailerSize {
			t.Fatalf("%d bytes with a payload of %d, want %d", len(b), PayloadSize(b), size)
		}
		got, own, ok := ParseScript(Tag{Raw: b}.Payload())
		if !own || !ok {
			t.Fatal("own metadata is not recognised")
		}
		if got.Source != m.Source || got.Duration != m.Duration || got.FileSize != m.FileSize || got.Recovered != m.Recovered {
			t.Fatalf("read %+v, wrote %+v", got, m)
		}
		if !got.StartedAt.Equal(m.StartedAt) && m.StartedAt.UnixMilli() != 0 {
			t.Fatalf("started at %v, want %v", got.StartedAt, m.StartedAt)
		}
	})
}

func TestMetadataFitsIntoTheSameSpaceLater(t *testing.T) {
	empty := Metadata{Index: NewIndex(512)}
	size := ScriptSize(512)
	if _, err := empty.AppendScript(nil, size); err != nil {
		t.Fatal(err)
	}
	full := Metadata{
		Source: Source{Width: 1920, Height: 1080, FrameRate: 60}, VideoCodec: 7, AudioCodec: 10,
		Duration: time.Hour, FileSize: math.MaxInt32, StartedAt: time.Now(), Index: NewIndex(1 << 14),
	}
	for i := range 10_000 {
		full.Index.Add(int64(i)*500, int64(i)*1_000_000)
	}
	b, err := full.AppendScript(nil, size)
	if err != nil || len(b) != size {
		t.Fatalf("%d bytes, %v; want %d", len(b), err, size)
	}
	if _, err := full.AppendScript(nil, 200); !errors.Is(err, ErrNoRoom) {
		t.Errorf("200 bytes: %v, want ErrNoRoom", err)
	}
}

// ffmpeg stops reading metadata at a string of 1024 bytes.
func TestPaddingIsReadableByOthers(t *testing.T) {
	for n := paddingCost; n < 5000; n++ {
		w := &amfWriter{}
		appendPadding(w, n)
		if len(w.b) != n {
			t.Fatalf("padding of %d bytes has %d", n, len(w.b))
		}
		r := &amfReader{b: w.b}
		for len(r.b) > 0 && !r.bad {
			if key := r.text(); key != keyPadding {
				t.Fatalf("padding of %d bytes has a property %q", n, key)
			}
			if r.marker() != amfString {
				t.Fatal("padding is no string")
			}
			if text := r.text(); len(text) >= 1024 {
				t.Fatalf("padding of %d bytes has a string of %d", n, len(text))
			}
		}
		if r.bad {
			t.Fatalf("padding of %d bytes cannot be read", n)
		}
	}
}

func TestIndexKeepsToItsLimitAndStaysInOrder(t *testing.T) {
	x := NewIndex(16)
	for i := range 1000 {
		x.Add(int64(i), int64(10*i))
		if x.Len() > 16 {
			t.Fatalf("%d entries after %d keyframes", x.Len(), i+1)
		}
	}
	if x.entries[0].ms != 0 || x.Len() < 8 {
		t.Errorf("index of %d entries begins at %d", x.Len(), x.entries[0].ms)
	}
	for i := 1; i < x.Len(); i++ {
		if x.entries[i].ms <= x.entries[i-1].ms || x.entries[i].offset != 10*x.entries[i].ms {
			t.Fatalf("entry %d: %+v after %+v", i, x.entries[i], x.entries[i-1])
		}
	}
}

// foreign is metadata as another program writes it.
func foreign(properties func(*amfWriter)) []byte {
	w := &amfWriter{b: append(appendText([]byte{amfString}, onMetaData), amfECMAArray, 0, 0, 0, 0)}
	properties(w)
	w.end()
	return w.b
}

func TestParseScriptTakesOnlyThePictureFromOthers(t *testing.T) {
	payload := foreign(func(w *amfWriter) {
		w.number(keyDuration, 1e9)
		w.number("width", 1280)
		w.text("encoder", "Lavf")
		w.key("nested", amfObject)
		w.number("width", 3)
		w.end()
		w.key("list", amfStrictArray)
		w.b = append(binary.BigEndian.AppendUint32(w.b, 2), amfNull, amfBoolean, 1)
		w.boolean(keyRecovered, true)
		w.number("height", 720)
		w.number("framerate", math.NaN())
	})
	m, own, ok := ParseScript(payload)
	if own || !ok || m.Width != 1280 || m.Height != 720 || m.FrameRate != 0 || m.Duration != 0 || m.Recovered {
		t.Errorf("own %t, ok %t, %+v", own, ok, m)
	}
}

func TestParseScriptLivesThroughHostileNesting(t *testing.T) {
	deep := strings.Repeat("\x00\x01a\x03", 100_000)
	strict := "\x00\x01a\x0a\xff\xff\xff\xff" + strings.Repeat("\x05", 1000)
	for name, tail := range map[string]string{"objects": deep, "array": strict} {
		if _, _, ok := ParseScript([]byte("\x02\x00\x0aonMetaData\x03" + tail)); !ok {
			t.Errorf("%s: what was read before the damage is thrown away", name)
		}
	}
}

func TestParseScriptIgnoresOtherScripts(t *testing.T) {
	for _, payload := range []string{"", "\x02\x00\x0aonTextData\x08\x00\x00\x00\x00\x00\x00\x09", "\x02\x00\x0aonMetaData", "\x02\x00\x0aonMetaData\x05"} {
		if _, _, ok := ParseScript([]byte(payload)); ok {
			t.Errorf("%q was taken for metadata", payload)
		}
	}
}

func FuzzParseScript(f *testing.F) {
	m := Metadata{VideoCodec: 7, StartedAt: time.UnixMilli(1), Index: NewIndex(4)}
	own, err := m.AppendScript(nil, ScriptSize(4))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Tag{Raw: own}.Payload())
	f.Add(foreign(func(w *amfWriter) {
		w.number("width", 1)
		w.text(keyCreator, creator)
		w.number(keyDuration, math.Inf(1))
	}))
	f.Add([]byte("\x02\x00\x0aonMetaData\x08\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, own, ok := ParseScript(payload)
		if own && !ok {
			t.Fatal("own metadata that is none")
		}
		if m.Duration < 0 || m.FileSize < 0 {
			t.Fatalf("duration %v, size %d", m.Duration, m.FileSize)
		}
		if m.Width < 0 || m.Width > 1<<16 || math.IsNaN(m.Height) || math.IsInf(m.FrameRate, 0) {
			t.Fatalf("picture %+v", m.Source)
		}
		if !own && (m.Duration != 0 || m.Recovered || !m.StartedAt.IsZero()) {
			t.Fatalf("foreign metadata %+v", m)
		}
	})
}
