package segment

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/sdk"
)

// handle is what a segment needs of an *os.File.
type handle interface {
	io.Writer
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// file is one segment while it is written.
type file struct {
	h       handle
	index   int
	part    string // where it is written
	final   string // what it is called at the end
	started time.Time
	ended   time.Time

	written    int64  // bytes in the file
	run        []byte // tags that follow each other in memory and are not written yet
	err        error  // the first failed write
	scriptSize int
	meta       flv.Metadata
	line       timeline
}

// timeline derives the length of a file from the times of its tags, so that a recorder and whoever scans the file later
// get the same result.
type timeline struct {
	video, audio lane
	lastKey      int64
}

type lane struct {
	seen       bool
	last, step int64
}

func (l *lane) add(ms int64) {
	if l.seen && ms > l.last {
		l.step = ms - l.last
	}
	l.last, l.seen = ms, true
}

func (l *lane) end() int64 {
	if !l.seen {
		return 0
	}
	return l.last + l.step
}

func (l *timeline) add(kind flv.Type, ms int64, key bool) {
	if kind == flv.Audio {
		l.audio.add(ms)
		return
	}
	l.video.add(ms)
	if key {
		l.lastKey = ms
	}
}

// duration: a tag lasts as long as the one before it.
func (l *timeline) duration() time.Duration {
	return time.Duration(max(l.video.end(), l.audio.end())) * time.Millisecond
}

// describe fills the metadata that follows from the content.
func (l *timeline) describe(m *flv.Metadata, size int64) {
	m.Duration = l.duration()
	m.FileSize = size
	m.LastTime = time.Duration(max(l.video.last, l.audio.last)) * time.Millisecond
	m.LastKeyTime = time.Duration(l.lastKey) * time.Millisecond
	m.HasVideo, m.HasAudio = l.video.seen, l.audio.seen
}

// head writes everything in front of the first media tag, in one piece.
func (f *file) head(h Headers, indexLimit int) error {
	f.meta = flv.Metadata{
		Source: h.Source, VideoCodec: h.VideoCodec, AudioCodec: h.AudioCodec,
		StartedAt: f.started, Index: flv.NewIndex(indexLimit),
	}
	f.scriptSize = flv.ScriptSize(indexLimit)
	b := flv.AppendFileHeader(nil, h.AudioCodec != 0, h.VideoCodec != 0)
	b, err := f.meta.AppendScript(b, f.scriptSize)
	if err != nil {
		return err
	}
	if h.Video != nil {
		b = flv.AppendTag(b, flv.Video, 0, h.Video)
	}
	if h.Audio != nil {
		b = flv.AppendTag(b, flv.Audio, 0, h.Audio)
	}
	return f.write(b)
}

// add takes a stamped media tag. It is written together with its neighbours, at the latest by flush.
func (f *file) add(t flv.Tag, ms int64, key bool) error {
	if key {
		f.meta.Index.Add(ms, f.size())
	}
	f.line.add(t.Type(), ms, key)
	if f.meta.VideoCodec == 0 && t.Type() == flv.Video {
		f.meta.VideoCodec = t.CodecID()
	}
	if f.meta.AudioCodec == 0 && t.Type() == flv.Audio {
		f.meta.AudioCodec = t.CodecID()
	}
	return f.put(t.Raw)
}

func (f *file) put(raw []byte) error {
	if n := len(f.run); n > 0 && n < cap(f.run) && &f.run[:n+1][n] == &raw[0] {
		f.run = f.run[:n+len(raw)]
		return nil
	}
	if err := f.flush(); err != nil {
		return err
	}
	f.run = raw
	return nil
}

func (f *file) size() int64 { return f.written + int64(len(f.run)) }

// flush writes what waits. It has to be called before the memory of the tags is used again.
func (f *file) flush() error {
	run := f.run
	f.run = nil
	if len(run) == 0 {
		return f.err
	}
	return f.write(run)
}

func (f *file) write(b []byte) error {
	if f.err != nil {
		return f.err
	}
	n, err := f.h.Write(b)
	f.written += int64(n)
	if err != nil {
		f.err = diskError(sdk.CodeDiskDenied, f.part, fmt.Errorf("segment %d cannot be written: %w", f.index, err))
	}
	return f.err
}

// patch writes the final header and metadata over the reserved ones.
func (f *file) patch() error {
	f.line.describe(&f.meta, f.written)
	return patchHead(f.h, &f.meta, f.scriptSize)
}

func patchHead(w io.WriterAt, m *flv.Metadata, scriptSize int) error {
	b := flv.AppendFileHeader(nil, m.HasAudio, m.HasVideo)
	b, err := m.AppendScript(b, scriptSize)
	if err != nil {
		return err
	}
	_, err = w.WriteAt(b, 0)
	return err
}

var _ handle = (*os.File)(nil)
