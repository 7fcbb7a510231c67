package segment

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
)

// scan is what a file holds, found by walking over its tags.
type scan struct {
	end        int64 // position behind the last whole tag
	media      int
	line       timeline
	meta       flv.Metadata
	own        bool // the file was written by this package
	scriptSize int
	startsFLV  bool
}

// scanFile walks from tag to tag until the first one that is not whole. This package writes exact trailers, so that
// anything else (zeros after a power cut, half a tag) ends the walk.
func scanFile(r io.ReaderAt) (*scan, error) {
	const blocks = 1 << 20
	b := bufio.NewReaderSize(io.NewSectionReader(r, 0, 1<<62), blocks)
	s := &scan{meta: flv.Metadata{Index: flv.NewIndex(1 << 14)}}
	err := s.walk(b)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return s, err
}

func (s *scan) walk(b *bufio.Reader) error {
	const start = flv.FileHeaderSize + flv.TrailerSize
	head, err := b.Peek(start)
	if err != nil {
		return err
	}
	if s.startsFLV = flv.IsFile(head) && head[8] == flv.FileHeaderSize; !s.startsFLV {
		return nil
	}
	if _, err := b.Discard(start); err != nil {
		return err
	}
	s.end = start
	for first := true; ; first = false {
		if ok, err := s.tag(b, first); !ok || err != nil {
			return err
		}
	}
}

// tag takes one tag; false: there is no whole tag here.
func (s *scan) tag(b *bufio.Reader, first bool) (bool, error) {
	h, err := b.Peek(flv.TagHeaderSize)
	if err != nil {
		return false, err
	}
	if !flv.Plausible(h) {
		return false, nil
	}
	n := flv.PayloadSize(h)
	tag := flv.Tag{Raw: h}
	kind, at := tag.Type(), int64(tag.Time())
	peek, err := b.Peek(flv.TagHeaderSize + min(n, flv.PeekSize))
	if err != nil {
		return false, err
	}
	payload := peek[flv.TagHeaderSize:]
	if first && kind == flv.Script {
		if payload, err = s.script(b, n); err != nil {
			return false, err
		}
	}
	class, codec := flv.Classify(kind, payload), flv.CodecID(kind, payload)
	if _, err := b.Discard(flv.TagHeaderSize + n); err != nil {
		return false, err
	}
	trailer, err := b.Peek(flv.TrailerSize)
	if err != nil {
		return false, err
	}
	if binary.BigEndian.Uint32(trailer) != uint32(n+flv.TagHeaderSize) {
		return false, nil
	}
	if _, err := b.Discard(flv.TrailerSize); err != nil {
		return false, err
	}
	s.note(kind, class, codec, at)
	s.end += int64(flv.TagHeaderSize + n + flv.TrailerSize)
	return true, nil
}

func (s *scan) script(b *bufio.Reader, n int) ([]byte, error) {
	whole, err := b.Peek(flv.TagHeaderSize + n)
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	payload := whole[min(flv.TagHeaderSize, len(whole)):]
	m, own, _ := flv.ParseScript(payload)
	if own {
		m.Index = s.meta.Index
		s.meta, s.own = m, true
		s.scriptSize = flv.TagHeaderSize + n + flv.TrailerSize
	}
	return payload, nil
}

func (s *scan) note(kind flv.Type, class flv.Kind, codec uint32, at int64) {
	if kind == flv.Video && s.meta.VideoCodec == 0 {
		s.meta.VideoCodec = codec
	}
	if kind == flv.Audio && s.meta.AudioCodec == 0 {
		s.meta.AudioCodec = codec
	}
	if class != flv.Key && class != flv.Frame {
		return
	}
	s.media++
	key := class == flv.Key && kind == flv.Video
	s.line.add(kind, at, key)
	if key {
		s.meta.Index.Add(at, s.end)
	}
}

// repair cuts the file behind its last whole tag and writes the metadata that belongs to the rest.
func (s *scan) repair(f handle, recovered bool) error {
	if err := f.Truncate(s.end); err != nil {
		return err
	}
	if !s.own {
		return nil
	}
	s.line.describe(&s.meta, s.end)
	s.meta.Recovered = recovered
	err := patchHead(f, &s.meta, s.scriptSize)
	if errors.Is(err, flv.ErrNoRoom) {
		return nil
	}
	return err
}

// startedAt is when the recording of the file began, given when it ended.
func (s *scan) startedAt(ended time.Time, length time.Duration) time.Time {
	if !s.meta.StartedAt.IsZero() {
		return s.meta.StartedAt
	}
	return ended.Add(-length)
}
