package flv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrNotFLV means that the bytes are something else: a web page, a playlist, noise. What they are is in no error: it would reach
// whoever chose the address, and he may not read what the recorder can.
var ErrNotFLV = errors.New("not an FLV stream")

// ErrDamaged means that no tag was found again within ResyncLimit bytes.
var ErrDamaged = errors.New("no intact tag found again after damaged bytes")

const (
	bufferSize = 256 << 10
	// minRead keeps single reads large: a body reader then reads straight into this buffer.
	minRead = 64 << 10
	// maxBuffer holds the largest tag, the header behind it and one read.
	maxBuffer = MaxPayload + 1 + bufferSize
	// ResyncLimit is how many damaged bytes are searched for the next intact tag.
	ResyncLimit = 4 << 20
)

// Stats counts the oddities that a reader lived through.
type Stats struct {
	BadTrailers  int   // tags whose PreviousTagSize was wrong
	Resyncs      int   // times an intact tag was found again after damaged bytes
	SkippedBytes int64 // damaged bytes between intact tags, thrown away
}

// Reader cuts a byte stream into tags without copying or allocating: tags are views of one buffer. Fill reads once, Next
// hands out what is complete. The buffer grows with a large tag as its bytes arrive, and shrinks after it.
type Reader struct {
	src   io.Reader
	buf   []byte
	r, w  int // unread bytes are buf[r:w]
	ended bool
	total int64

	started            bool
	hasAudio, hasVideo bool
	resyncing          int // damaged bytes skipped since the last intact tag
	stats              Stats
}

// NewReader returns a reader of src. Call Fill and Next in turn.
func NewReader(src io.Reader) *Reader { return &Reader{src: src, buf: make([]byte, bufferSize)} }

// Announced says which tracks the file header promises; both when there was no header.
func (r *Reader) Announced() (audio, video bool) { return r.hasAudio, r.hasVideo }

// Started says whether the beginning of the stream was recognised.
func (r *Reader) Started() bool { return r.started }

// Received is the number of bytes read so far.
func (r *Reader) Received() int64 { return r.total }

// Offset is the position in the stream behind the last tag that Next returned.
func (r *Reader) Offset() int64 { return r.total - int64(r.Leftover()) }

// Stats returns the counters.
func (r *Reader) Stats() Stats { return r.stats }

// Leftover is the number of bytes behind the last whole tag.
func (r *Reader) Leftover() int { return r.resyncing + r.w - r.r }

// Unread is a view of the bytes behind the last whole tag: before the first one, the beginning of the stream.
func (r *Reader) Unread() []byte { return r.buf[r.r:r.w] }

// Fill reads from the source once. Tags handed out before are invalid afterwards. At the end of the source it returns
// io.EOF (or what the source reports); Next may then still have tags.
func (r *Reader) Fill() (int, error) {
	r.makeRoom()
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	r.total += int64(n)
	if err != nil {
		r.ended = true
	}
	return n, err
}

func (r *Reader) makeRoom() {
	pending := r.w - r.r
	if pending == 0 {
		r.r, r.w = 0, 0
	}
	if len(r.buf) > bufferSize && pending <= bufferSize-minRead {
		r.moveTo(make([]byte, bufferSize))
		return
	}
	if len(r.buf)-r.w >= minRead {
		return
	}
	if len(r.buf)-pending >= minRead {
		r.moveTo(r.buf)
		return
	}
	r.moveTo(make([]byte, min(2*len(r.buf), maxBuffer)))
}

func (r *Reader) moveTo(buf []byte) {
	n := copy(buf, r.buf[r.r:r.w])
	r.buf, r.r, r.w = buf, 0, n
}

// Next sets tag to the next whole tag. It returns false when more bytes are needed.
func (r *Reader) Next(tag *Tag) (bool, error) {
	if !r.started {
		if ok, err := r.start(); !ok || err != nil {
			return false, err
		}
	}
	for {
		size, verdict := r.judge(r.r)
		switch verdict {
		case incomplete:
			return false, nil
		case intact:
			if r.resyncing > 0 {
				r.stats.Resyncs++
				r.stats.SkippedBytes += int64(r.resyncing)
				r.resyncing = 0
			}
			tag.Raw = r.buf[r.r : r.r+size]
			r.r += size
			return true, nil
		}
		r.r++
		r.resyncing++
		if r.resyncing > ResyncLimit {
			return false, fmt.Errorf("%w (%d bytes searched)", ErrDamaged, r.resyncing)
		}
	}
}

// start recognises the file header. Some servers join a viewer in the middle, without one.
func (r *Reader) start() (bool, error) {
	b := r.buf[r.r:r.w]
	n := min(3, len(b))
	if bytes.Equal(b[:n], []byte("FLV")[:n]) {
		if len(b) < FileHeaderSize+TrailerSize {
			return false, r.endedShort()
		}
		offset := binary.BigEndian.Uint32(b[5:])
		if offset < FileHeaderSize || offset > minRead {
			return false, fmt.Errorf("%w: the length in its header is wrong", ErrNotFLV)
		}
		if len(b) < int(offset)+TrailerSize {
			return false, r.endedShort()
		}
		r.hasAudio, r.hasVideo = b[4]&flagAudio != 0, b[4]&flagVideo != 0
		r.r += int(offset) + TrailerSize
		r.started = true
		return true, nil
	}
	if len(b) < TagHeaderSize {
		if n > 0 && !plausibleStart(b) {
			return false, ErrNotFLV
		}
		return false, r.endedShort()
	}
	if !Plausible(b) {
		return false, ErrNotFLV
	}
	r.started, r.hasAudio, r.hasVideo = true, true, true
	return true, nil
}

func (r *Reader) endedShort() error {
	if r.ended {
		return fmt.Errorf("%w: only %d bytes", ErrNotFLV, r.w-r.r)
	}
	return nil
}

type verdict byte

const (
	incomplete verdict = iota
	intact
	damaged
)

// judge looks at the tag at position p of the buffer. While bytes are damaged nothing is believed without a right
// trailer; otherwise a plausible successor is as good, since some servers always write 0.
func (r *Reader) judge(p int) (size int, v verdict) {
	b := r.buf[p:r.w]
	if len(b) < TagHeaderSize {
		return 0, incomplete
	}
	if !Plausible(b) {
		return 0, damaged
	}
	size = TagHeaderSize + PayloadSize(b) + TrailerSize
	if len(b) < size {
		// A size that was damaged may claim megabytes that never come: intact tags behind it must not go down with it.
		if r.ended || r.resyncing > 0 && size > ResyncLimit {
			return 0, damaged
		}
		return 0, incomplete
	}
	next := b[size:]
	switch {
	case binary.BigEndian.Uint32(b[size-TrailerSize:]) == uint32(size-TrailerSize):
		return size, intact
	case r.resyncing > 0, len(next) >= TagHeaderSize && !Plausible(next):
		return 0, damaged
	case len(next) < TagHeaderSize && !r.ended:
		return 0, incomplete
	}
	r.stats.BadTrailers++
	return size, intact
}

// PayloadSize reads the length of the payload from a tag header.
func PayloadSize(b []byte) int { return int(b[1])<<16 | int(b[2])<<8 | int(b[3]) }

// Plausible says whether b begins with a tag header: a known type, bit 0x20 (encrypted) and the reserved ones clear,
// stream id 0.
func Plausible(b []byte) bool {
	return plausibleStart(b) && b[8] == 0 && b[9] == 0 && b[10] == 0
}

func plausibleStart(b []byte) bool {
	switch Type(b[0]) {
	case Audio, Video, Script:
		return true
	}
	return false
}
