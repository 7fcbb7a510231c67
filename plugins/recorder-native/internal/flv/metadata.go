package flv

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"
)

// Source is what a source's own metadata says about the picture. Zero: not said.
type Source struct {
	Width, Height, FrameRate float64
}

// Metadata is the content of the script tag of a file that this package writes.
type Metadata struct {
	Source
	Duration           time.Duration
	FileSize           int64
	LastTime           time.Duration
	LastKeyTime        time.Duration
	VideoCodec         uint32 // 0: no video
	AudioCodec         uint32 // 0: no audio
	HasVideo, HasAudio bool
	StartedAt          time.Time
	Recovered          bool
	Index              Index
}

const creator = "lubod"

// Property names that are read back.
const (
	keyDuration  = "duration"
	keyFileSize  = "filesize"
	keyStartedAt = "starttime" // Unix time in seconds
	keyRecovered = "recovered"
	keyCreator   = "metadatacreator"
	keyPadding   = "padding"
	paddingCost  = 2 + len(keyPadding) + 3
	onMetaData   = "onMetaData"
)

// ErrNoRoom means that metadata does not fit into the space that was reserved for it.
var ErrNoRoom = errors.New("no room for the metadata")

// ScriptSize is the size of a script tag that has room for everything and an index of n entries.
func ScriptSize(n int) int {
	all := Metadata{Source: Source{Width: 1, Height: 1, FrameRate: 1}, VideoCodec: 1, AudioCodec: 1}
	all.Index.entries = make([]indexEntry, leastIndex)
	w := all.properties(0, nil)
	return TagHeaderSize + len(w.b) + n*indexEntrySize + paddingCost + TrailerSize
}

// AppendScript appends a script tag of exactly size bytes, so that it can be written over an earlier one. The keyframe
// index is thinned out until it fits.
func (m *Metadata) AppendScript(dst []byte, size int) ([]byte, error) {
	room := size - TagHeaderSize - TrailerSize - len(m.properties(0, nil).b)
	if room < 0 || size > MaxPayload {
		return dst, ErrNoRoom
	}
	stride := 1
	pad := room - m.Index.kept(stride)*indexEntrySize
	for ; pad < 0 || pad > 0 && pad < paddingCost; pad = room - m.Index.kept(stride)*indexEntrySize {
		if stride > m.Index.Len() {
			return dst, ErrNoRoom
		}
		stride++
	}
	w := m.properties(stride, func(w *amfWriter) { appendPadding(w, pad) })
	return AppendTag(dst, Script, 0, w.b), nil
}

// appendPadding appends properties of n bytes in all: 0, or at least paddingCost. None is longer than what common
// readers take: ffmpeg gives up on metadata at a string of 1024 bytes.
func appendPadding(w *amfWriter, n int) {
	const longest = 1000
	for n > 0 {
		step := min(n, longest)
		if rest := n - step; rest > 0 && rest < paddingCost {
			step -= paddingCost
		}
		w.text(keyPadding, strings.Repeat(" ", step-paddingCost))
		n -= step
	}
}

// properties builds the payload. stride 0 leaves the index empty; last may add properties.
func (m *Metadata) properties(stride int, last func(*amfWriter)) *amfWriter {
	w := &amfWriter{b: append(appendText([]byte{amfString}, onMetaData), amfECMAArray, 0, 0, 0, 0)}
	countAt := len(w.b) - 4
	w.number(keyDuration, m.Duration.Seconds())
	w.number(keyFileSize, float64(m.FileSize))
	w.known("width", m.Width)
	w.known("height", m.Height)
	w.known("framerate", m.FrameRate)
	w.known("videocodecid", float64(m.VideoCodec))
	w.known("audiocodecid", float64(m.AudioCodec))
	w.number("lasttimestamp", m.LastTime.Seconds())
	w.number("lastkeyframetimestamp", m.LastKeyTime.Seconds())
	w.boolean("hasVideo", m.HasVideo)
	w.boolean("hasAudio", m.HasAudio)
	w.boolean("hasMetadata", true)
	w.boolean("hasKeyframes", m.Index.Len() >= leastIndex)
	w.boolean("canSeekToEnd", m.HasVideo && m.LastKeyTime == m.LastTime)
	w.number(keyStartedAt, unixSeconds(m.StartedAt))
	w.boolean(keyRecovered, m.Recovered)
	w.text(keyCreator, creator)
	m.Index.write(w, stride)
	if last != nil {
		last(w)
	}
	binary.BigEndian.PutUint32(w.b[countAt:], w.count)
	w.end()
	return w
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// ParseScript reads the payload of a script tag. own says whether this package wrote it; only then anything but Source
// is set. ok is false for scripts that are not onMetaData. What cannot be read stays zero.
func ParseScript(payload []byte) (m Metadata, own, ok bool) {
	r := amfReader{b: payload}
	if r.marker() != amfString || r.text() != onMetaData {
		return m, false, false
	}
	switch r.marker() {
	case amfECMAArray:
		r.count()
	case amfObject:
	default:
		return m, false, false
	}
	numbers := map[string]float64{}
	r.properties(func(key string, marker byte) {
		switch marker {
		case amfNumber:
			numbers[key] = r.number()
		case amfBoolean:
			if b := r.take(1); key == keyRecovered && b != nil {
				m.Recovered = b[0] != 0
			}
		case amfString:
			if text := r.text(); key == keyCreator {
				own = text == creator
			}
		default:
			r.skip(marker, 0)
		}
	})
	m.Width, m.Height, m.FrameRate = sane(numbers["width"]), sane(numbers["height"]), sane(numbers["framerate"])
	if !own {
		m.Recovered = false
		return m, false, true
	}
	m.Duration = time.Duration(math.Round(believable(numbers[keyDuration], mostSeconds)*1000)) * time.Millisecond
	m.FileSize = int64(believable(numbers[keyFileSize], mostBytes))
	if s := believable(numbers[keyStartedAt], mostSeconds); s > 0 {
		m.StartedAt = time.UnixMilli(int64(math.Round(s * 1000)))
	}
	return m, true, true
}

// Bounds of what is computed with further.
const (
	mostSeconds = 1 << 33
	mostBytes   = 1 << 60
)

// believable drops lengths, sizes and times that no file has.
func believable(v, most float64) float64 {
	if v > 0 && v <= most {
		return v
	}
	return 0
}

// sane drops values that no picture has.
func sane(v float64) float64 {
	if v > 0 && v <= 1<<16 {
		return v
	}
	return 0
}

// Index maps the times of keyframes to their positions in the file. It holds a bounded number of entries: when it is
// full it forgets every second one and from then on takes every second keyframe.
type Index struct {
	entries []indexEntry
	limit   int
	stride  int
	skipped int
}

type indexEntry struct {
	offset int64
	ms     int64
}

// indexEntrySize: two numbers with their markers.
const indexEntrySize = 2 * 9

// NewIndex returns an index of at most limit entries.
func NewIndex(limit int) Index { return Index{limit: limit, stride: 1} }

// Len is the number of entries.
func (x *Index) Len() int { return len(x.entries) }

// Add notes the keyframe whose tag begins at offset.
func (x *Index) Add(ms, offset int64) {
	if x.skipped++; x.skipped < x.stride && len(x.entries) > 0 {
		return
	}
	x.skipped = 0
	if len(x.entries) >= x.limit && x.limit > 1 {
		kept := x.entries[:0]
		for i := 0; i < len(x.entries); i += 2 {
			kept = append(kept, x.entries[i])
		}
		x.entries, x.stride = kept, 2*x.stride
	}
	x.entries = append(x.entries, indexEntry{offset: offset, ms: ms})
}

func (x *Index) kept(stride int) int {
	if stride == 0 || len(x.entries) < leastIndex {
		return 0
	}
	return (len(x.entries) + stride - 1) / stride
}

// leastIndex: an index of one entry helps nobody, and ffmpeg complains about it.
const leastIndex = 2

func (x *Index) write(w *amfWriter, stride int) {
	if len(x.entries) < leastIndex {
		return
	}
	n := x.kept(stride)
	outer := w.count
	w.key("keyframes", amfObject)
	w.numbers("filepositions", n, func(i int) float64 { return float64(x.entries[i*stride].offset) })
	w.numbers("times", n, func(i int) float64 { return float64(x.entries[i*stride].ms) / 1000 })
	w.end()
	w.count = outer + 1
}
