package live

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of FLV tags, and sizes of the parts of a file.
const (
	typeAudio  = 8
	typeVideo  = 9
	typeScript = 18

	headerSize    = 9
	tagHeaderSize = 11
	trailerSize   = 4
	maxBody       = 1<<24 - 1
)

// parse splits an FLV file into tags that share its memory.
func parse(b []byte) ([]tag, error) {
	if len(b) < headerSize+trailerSize || string(b[:4]) != "FLV\x01" {
		return nil, errors.New("this is no FLV file of version 1")
	}
	if binary.BigEndian.Uint32(b[5:]) != headerSize || binary.BigEndian.Uint32(b[headerSize:]) != 0 {
		return nil, errors.New("the FLV file header has an odd length")
	}
	var tags []tag
	for at := headerSize + trailerSize; at < len(b); {
		t, size, err := parseTag(b[at:])
		if err != nil {
			return nil, fmt.Errorf("tag at byte %d: %w", at, err)
		}
		if t != nil {
			tags = append(tags, *t)
		}
		at += size
	}
	return tags, nil
}

// parseTag reads the tag at the beginning of b and how long it is. It is nil for one that a live stream does not have.
func parseTag(b []byte) (*tag, int, error) {
	if len(b) < tagHeaderSize {
		return nil, 0, errors.New("the file ends in the header of a tag")
	}
	size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	whole := tagHeaderSize + size + trailerSize
	switch {
	case len(b) < whole:
		return nil, 0, errors.New("the file ends in a tag")
	case b[8] != 0 || b[9] != 0 || b[10] != 0:
		return nil, 0, errors.New("the stream id is not 0")
	case binary.BigEndian.Uint32(b[whole-trailerSize:]) != uint32(size+tagHeaderSize):
		return nil, 0, errors.New("the size behind the tag is not that of the tag")
	case size == 0:
		return nil, 0, errors.New("the tag is empty")
	}
	// The extension byte holds the highest eight bits.
	t := &tag{ms: uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6]), body: b[tagHeaderSize : tagHeaderSize+size]}
	var keep bool
	var err error
	switch b[0] {
	case typeScript:
		t.track, t.config, keep = Script, true, true
	case typeVideo:
		keep, err = t.parseVideo()
	case typeAudio:
		keep, err = t.parseAudio()
	default:
		err = fmt.Errorf("type %d is not known", b[0])
	}
	if !keep {
		t = nil
	}
	return t, whole, err
}

// parseVideo understands AVC and HEVC in the classic layout, and the enhanced one with four-character codes.
func (t *tag) parseVideo() (keep bool, err error) {
	const avc, hevc = 7, 12
	t.track = Video
	first := t.body[0]
	t.key = first>>4&7 == 1
	if first&0x80 != 0 {
		return t.parseEnhanced(first & 0x0f)
	}
	t.payload = 5 // packet type and composition time
	if codec := first & 0x0f; codec != avc && codec != hevc {
		return false, fmt.Errorf("video codec %d is not AVC or HEVC", codec)
	}
	if len(t.body) <= t.payload && (len(t.body) < 2 || t.body[1] != 2) {
		return false, errors.New("the video tag is too short")
	}
	switch t.body[1] {
	case 0:
		t.config, t.key = true, false
	case 1:
	case 2: // the end of the sequence is the file's, not the live stream's
		return false, nil
	default:
		return false, fmt.Errorf("video packet type %d is not known", t.body[1])
	}
	return true, nil
}

func (t *tag) parseEnhanced(packet byte) (keep bool, err error) {
	const start, frames, end, framesX, metadata = 0, 1, 2, 3, 4
	t.payload = 5 // packet type and four-character code
	if len(t.body) < t.payload {
		return false, errors.New("the video tag is too short")
	}
	code := string(t.body[1:5])
	switch {
	case packet == start:
		t.config, t.key = true, false
	case packet == frames && code != "av01":
		t.payload += 3 // composition time
	case packet == frames || packet == framesX:
	case packet == end || packet == metadata:
		return false, nil
	default:
		return false, fmt.Errorf("video packet type %d is not known", packet)
	}
	if len(t.body) <= t.payload {
		return false, errors.New("the video tag is too short")
	}
	return true, nil
}

// parseAudio understands AAC, and anything else that is nothing but frames.
func (t *tag) parseAudio() (keep bool, err error) {
	const aac = 10
	t.track, t.payload = Audio, 1
	if t.body[0]>>4 == aac {
		t.payload = 2
		t.config = len(t.body) > 1 && t.body[1] == 0
	}
	if len(t.body) <= t.payload {
		return false, errors.New("the audio tag is too short")
	}
	return true, nil
}

func fileHeader(tracks map[Track]bool) []byte {
	var flags byte
	if tracks[Video] {
		flags |= 1
	}
	if tracks[Audio] {
		flags |= 4
	}
	return []byte{'F', 'L', 'V', 1, flags, 0, 0, 0, headerSize, 0, 0, 0, 0}
}

// append adds the tag as bytes of a file, with another time.
func (t *tag) append(b []byte, ms uint32) []byte {
	kind := map[Track]byte{Script: typeScript, Video: typeVideo, Audio: typeAudio}[t.track]
	size := uint32(len(t.body))
	b = append(b, kind, byte(size>>16), byte(size>>8), byte(size), byte(ms>>16), byte(ms>>8), byte(ms), byte(ms>>24), 0, 0, 0)
	b = append(b, t.body...)
	return binary.BigEndian.AppendUint32(b, size+tagHeaderSize)
}

// otherLevel changes the level in an AVC parameter set, where it says so to the demuxer and where it says so to the
// decoder. The result is another parameter set by which the same frames can be decoded. False: this is none.
// The layout is that of ISO/IEC 14496-15, 5.3.3.1.
func (t *tag) otherLevel() (*tag, bool) {
	const record, level, set = 5, 3, 8 // set: where the first sequence parameter set begins in the record
	if t.track != Video || !t.config || t.body[0] != 0x17 || len(t.body) < record+set+level+1 {
		return nil, false
	}
	other := *t
	other.body = append([]byte(nil), t.body...)
	other.body[record+level]++
	other.body[record+set+level]++
	return &other, true
}
