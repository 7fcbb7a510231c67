package live

import (
	"bytes"
	"crypto/md5" // the hash that ffprobe prints; nothing depends on its strength
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

// Types of FLV tags.
const (
	typeAudio  = 8
	typeVideo  = 9
	typeScript = 18

	fileHeader = 9
	tagHeader  = 11
	trailer    = 4
)

// Clip is an FLV file in memory.
type Clip struct {
	script      []byte
	videoHeader []byte
	audioHeader []byte
	frames      []frame
	// length of the clip in milliseconds, from its first to behind its last frame.
	length int64
}

// frame is one media tag.
type frame struct {
	kind    byte
	key     bool
	ms      int64 // from the first frame of the clip
	payload []byte
	hash    string
}

// Load reads an FLV file with AVC or AAC or both. It accepts no flaw at all: what this server breaks, it breaks on
// purpose.
func Load(path string) (*Clip, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse is Load for bytes. The clip keeps them.
func Parse(b []byte) (*Clip, error) {
	if len(b) < fileHeader+trailer || !bytes.Equal(b[:4], []byte{'F', 'L', 'V', 1}) {
		return nil, errors.New("not an FLV file of version 1")
	}
	if n := binary.BigEndian.Uint32(b[5:]); n != fileHeader || binary.BigEndian.Uint32(b[fileHeader:]) != 0 {
		return nil, errors.New("odd FLV file header")
	}
	c := &Clip{}
	for at := fileHeader + trailer; at < len(b); {
		n, err := c.parseTag(b[at:])
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", at, err)
		}
		at += n
	}
	return c, c.finish()
}

func (c *Clip) parseTag(b []byte) (int, error) {
	if len(b) < tagHeader {
		return 0, errors.New("the file ends inside a tag header")
	}
	size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	whole := tagHeader + size + trailer
	switch {
	case len(b) < whole:
		return 0, errors.New("the file ends inside a tag")
	case b[8] != 0 || b[9] != 0 || b[10] != 0:
		return 0, errors.New("stream id is not 0")
	case binary.BigEndian.Uint32(b[whole-trailer:]) != uint32(size+tagHeader):
		return 0, errors.New("the size behind the tag is wrong")
	case size == 0:
		return 0, errors.New("empty tag")
	}
	// The extension byte holds the highest eight bits.
	ms := int64(int32(uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6]) | uint32(b[7])<<24))
	return whole, c.add(b[0], ms, b[tagHeader:tagHeader+size])
}

func (c *Clip) add(kind byte, ms int64, payload []byte) error {
	switch kind {
	case typeScript:
		if c.script == nil {
			c.script = payload
		}
		return nil
	case typeVideo:
		return c.addVideo(ms, payload)
	case typeAudio:
		return c.addAudio(ms, payload)
	}
	return fmt.Errorf("unknown tag type %d", kind)
}

func (c *Clip) addVideo(ms int64, payload []byte) error {
	const avc, skip = 7, 5
	if payload[0]&0x0f != avc || len(payload) < skip {
		return fmt.Errorf("video is not AVC (first byte %#x)", payload[0])
	}
	switch payload[1] {
	case 0:
		return header(&c.videoHeader, payload)
	case 1:
		c.frames = append(c.frames, frame{kind: typeVideo, key: payload[0]>>4 == 1, ms: ms, payload: payload, hash: hash(payload[skip:])})
		return nil
	case 2:
		return nil // end of sequence: the file's, not the live stream's
	}
	return fmt.Errorf("unknown AVC packet type %d", payload[1])
}

func (c *Clip) addAudio(ms int64, payload []byte) error {
	const aac, skip = 10, 2
	if payload[0]>>4 != aac || len(payload) < skip {
		return fmt.Errorf("audio is not AAC (first byte %#x)", payload[0])
	}
	if payload[1] == 0 {
		return header(&c.audioHeader, payload)
	}
	c.frames = append(c.frames, frame{kind: typeAudio, ms: ms, payload: payload, hash: hash(payload[skip:])})
	return nil
}

func header(have *[]byte, payload []byte) error {
	if *have != nil && !bytes.Equal(*have, payload) {
		return errors.New("the parameter sets change inside the clip")
	}
	*have = payload
	return nil
}

func hash(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func (c *Clip) finish() error {
	if len(c.frames) == 0 {
		return errors.New("no media in the file")
	}
	if c.videoHeader != nil && !c.frames[c.nextEntry(0)].key {
		return errors.New("no keyframe in the file")
	}
	first, last, step := c.frames[0].ms, c.frames[0].ms, int64(1)
	previous := map[byte]int64{}
	for _, f := range c.frames {
		first = min(first, f.ms)
		last = max(last, f.ms)
		if at, ok := previous[f.kind]; ok {
			if f.ms < at {
				return fmt.Errorf("time runs backwards at %d ms", f.ms)
			}
			step = max(step, f.ms-at)
		}
		previous[f.kind] = f.ms
	}
	for i := range c.frames {
		c.frames[i].ms -= first
	}
	c.length = last - first + step
	return nil
}

// entry says whether a client can begin at frame i.
func (c *Clip) entry(i int) bool { return c.videoHeader == nil || c.frames[i].key }

// nextEntry is the first frame from i on where a client can begin, going around the end. It is i if there is none.
func (c *Clip) nextEntry(i int) int {
	for n := range c.frames {
		if j := (i + n) % len(c.frames); c.entry(j) {
			return j
		}
	}
	return i
}

// Frames lists the clip's frames in order, as they would be sent without any fault.
func (c *Clip) Frames() []Sent {
	sent := make([]Sent, len(c.frames))
	for i, f := range c.frames {
		sent[i] = f.sent(f.ms, true)
	}
	return sent
}
