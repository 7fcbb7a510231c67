package live

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"time"
)

// Track says what a tag carries.
type Track string

// The tracks.
const (
	Video  Track = "video"
	Audio  Track = "audio"
	Script Track = "script"
)

// Clip is an FLV file in memory. It never changes, so that any number of servers can share it.
type Clip struct {
	tags     []tag
	keys     []int // tags at which a client can begin, rising
	tracks   map[Track]bool
	base     uint32 // time in the first frame
	duration time.Duration
}

// tag is one tag of a clip.
type tag struct {
	track Track
	ms    uint32        // as in the file
	at    time.Duration // since the first frame; never falls, whatever ms does
	body  []byte
	// config is set for parameter sets and metadata, which a client needs before anything else.
	config bool
	key    bool
	// payload is where the codec's own bytes begin in body, hash their SHA-256.
	payload int
	hash    string
}

// Load reads an FLV file. It accepts no flaw: a file that was cut off is refused.
func Load(path string) (*Clip, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load clip: %w", err)
	}
	c, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("load clip %s: %w", path, err)
	}
	return c, nil
}

// Parse is Load for bytes, which the clip keeps and changes: duration and file size in the metadata become 0, as a live
// stream has neither.
func Parse(b []byte) (*Clip, error) {
	tags, err := parse(b)
	if err != nil {
		return nil, err
	}
	c := &Clip{tags: tags, tracks: map[Track]bool{}}
	return c, c.index()
}

// index finds out where each tag lies in time, where a client can begin, and how long the clip is.
func (c *Clip) index() error {
	var now time.Duration
	first, last := map[Track]time.Duration{}, map[Track]time.Duration{}
	frames := 0
	for i := range c.tags {
		t := &c.tags[i]
		if !t.config {
			if frames++; frames == 1 {
				c.base = t.ms
			}
			own := time.Duration(int32(t.ms-c.base)) * time.Millisecond
			now = max(now, own)
			if _, ok := first[t.track]; !ok {
				first[t.track], last[t.track] = own, own
			}
			// The last frame is as long as the one before it. Tracks need not begin together, so the longest counts, and
			// not the time from the first frame of all to the last one: each track then goes on in a loop without a step.
			c.duration = max(c.duration, own-first[t.track]+own-last[t.track])
			last[t.track] = own
		}
		c.tracks[t.track] = true
		t.at = now
		sum := sha256.Sum256(t.body[t.payload:])
		t.hash = hex.EncodeToString(sum[:])
	}
	if frames == 0 {
		return errors.New("there is no frame in the file")
	}
	for i, t := range c.tags {
		if !t.config && (t.key || !c.tracks[Video]) {
			c.keys = append(c.keys, i)
		}
		if t.track == Script {
			blank(t.body, "duration")
			blank(t.body, "filesize")
		}
	}
	if len(c.keys) == 0 {
		return errors.New("there is no keyframe in the file")
	}
	c.duration = max(c.duration, time.Millisecond)
	return nil
}

// blank sets a number in AMF0 metadata to 0.
func blank(body []byte, name string) {
	const number, size = "\x00", 8
	if i := bytes.Index(body, []byte(name+number)); i >= 0 && i+len(name)+1+size <= len(body) {
		clear(body[i+len(name)+1 : i+len(name)+1+size])
	}
}

// Duration is how long the clip takes, its last frame included.
func (c *Clip) Duration() time.Duration { return c.duration }

// Hashes lists the SHA-256 of the frames of a track, in the order of the file.
func (c *Clip) Hashes(track Track) []string {
	var hashes []string
	for _, t := range c.tags {
		if t.track == track && !t.config {
			hashes = append(hashes, t.hash)
		}
	}
	return hashes
}

// Keyframes is how many places there are at which a client can begin: keyframes, or every frame when there is no video.
func (c *Clip) Keyframes() int { return len(c.keys) }

// WriteTo writes the clip as an FLV file.
func (c *Clip) WriteTo(w io.Writer) (int64, error) {
	b := fileHeader(c.tracks)
	for _, t := range c.tags {
		b = t.append(b, t.ms)
	}
	n, err := w.Write(b)
	return int64(n), err
}

// WriteFile writes the clip as an FLV file.
func (c *Clip) WriteFile(path string) error {
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// The methods below count tags on an endless clock: behind the last one comes the first one again.

func (c *Clip) tag(seq int) *tag { return &c.tags[seq%len(c.tags)] }

// lap is how often the clip ended before seq.
func (c *Clip) lap(seq int) time.Duration { return time.Duration(seq / len(c.tags)) }

func (c *Clip) at(seq int) time.Duration { return c.lap(seq)*c.duration + c.tag(seq).at }

// after is the first tag behind a moment.
func (c *Clip) after(moment time.Duration) int {
	lap := int(moment / c.duration)
	rest := moment % c.duration
	return lap*len(c.tags) + sort.Search(len(c.tags), func(i int) bool { return c.tags[i].at > rest })
}

// keyFrom is the first tag from seq on at which a client can begin.
func (c *Clip) keyFrom(seq int) int {
	lap, i := seq/len(c.tags), seq%len(c.tags)
	if j, _ := slices.BinarySearch(c.keys, i); j < len(c.keys) {
		return lap*len(c.tags) + c.keys[j]
	}
	return (lap+1)*len(c.tags) + c.keys[0]
}

// keyUpTo is the last tag up to seq at which a client can begin, or the first one at all.
func (c *Clip) keyUpTo(seq int) int {
	lap, i := seq/len(c.tags), seq%len(c.tags)
	j, found := slices.BinarySearch(c.keys, i)
	switch {
	case found:
		return seq
	case j > 0:
		return lap*len(c.tags) + c.keys[j-1]
	case lap > 0:
		return (lap-1)*len(c.tags) + c.keys[len(c.keys)-1]
	}
	return c.keys[0]
}

// configs are the metadata and parameter sets in force at seq.
func (c *Clip) configs(seq int) []*tag {
	latest := map[Track]*tag{}
	collect := func(tags []tag) {
		for i := range tags {
			if tags[i].config {
				latest[tags[i].track] = &tags[i]
			}
		}
	}
	if seq >= len(c.tags) {
		collect(c.tags)
	}
	collect(c.tags[:seq%len(c.tags)])
	var list []*tag
	for _, track := range []Track{Script, Video, Audio} {
		if t := latest[track]; t != nil {
			list = append(list, t)
		}
	}
	return list
}
