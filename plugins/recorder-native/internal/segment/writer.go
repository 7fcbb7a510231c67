package segment

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// Config says what to write and where.
type Config struct {
	Prefix     string
	FirstIndex int
	Limits     Limits
	// Emit gets SegmentOpened, SegmentClosed and Note. It is called from two goroutines.
	Emit func(recorder.Payload)
	// CutRequested reports once that a person asked for a cut.
	CutRequested func() bool
}

// Writer writes one session. Its methods are for one goroutine. Segments are finished (synced, renamed, announced) in the
// background and in order, so that a slow disk does not keep the reader from its socket.
type Writer struct {
	*Splitter
	disk *disk
}

// NewWriter returns a writer that touches no disk before there is media. Close has to be called.
func NewWriter(c Config) *Writer { return newWriter(c, openFile) }

func newWriter(c Config, open openFunc) *Writer {
	d := &disk{
		prefix: c.Prefix, next: c.FirstIndex, emit: c.Emit, open: open,
		indexLimit: indexLimit(c.Limits), background: newBackground(),
		names: newNames(publishPatience), openPatience: openPatience,
	}
	note := func(code, text string) { c.Emit(recorder.Note{Code: code, Text: text}) }
	return &Writer{Splitter: NewSplitter(c.Limits, d, note, c.CutRequested), disk: d}
}

// indexLimit sizes the keyframe index for a keyframe every two seconds.
func indexLimit(l Limits) int {
	const least, unlimited, most = 512, 1024, 4096
	if l.Duration == 0 {
		return unlimited
	}
	return int(min(max(l.Duration/(2*time.Second), least), most))
}

// Flush writes what waits in the reader's memory. It has to be called before the reader's next Fill.
func (w *Writer) Flush() error {
	if w.disk.current == nil {
		return nil
	}
	return w.disk.current.flush()
}

// MediaDuration is the length of everything recorded so far.
func (w *Writer) MediaDuration() time.Duration {
	d := w.disk.closed
	if w.disk.current != nil {
		d += w.disk.current.line.duration()
	}
	return d
}

// Finish ends a connection: the open segment is closed, whatever happened to it.
func (w *Writer) Finish() error {
	err := w.Splitter.Finish()
	if closeErr := w.disk.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Close finishes the open segment, waits until all are published, and returns what failed.
func (w *Writer) Close() error {
	err := w.Finish()
	return errors.Join(err, w.disk.background.close())
}

type openFunc func(prefix string, index int) (handle, int, error)

func openFile(prefix string, index int) (handle, int, error) {
	f, index, err := create(prefix, index)
	if err != nil {
		return nil, 0, err
	}
	return f, index, nil
}

// disk is the Sink that writes files.
type disk struct {
	prefix     string
	next       int
	emit       func(recorder.Payload)
	open       openFunc
	indexLimit int
	current    *file
	closed     time.Duration
	background *background

	names        names
	openPatience time.Duration // with a file system that is away
}

func (d *disk) Open(h Headers) error {
	if err := d.background.failed(); err != nil {
		return err
	}
	var handle handle
	var index int
	err := patiently(d.openPatience, func() (err error) {
		handle, index, err = d.open(d.prefix, d.next)
		return err
	})
	if err != nil {
		return diskError(sdk.CodeDiskDenied, finalName(d.prefix, d.next), err)
	}
	if index != d.next {
		d.emit(recorder.Note{Code: "name-taken", Text: fmt.Sprintf("%s exists: the segment became number %d", finalName(d.prefix, d.next), index)})
	}
	d.next = index + 1
	f := &file{h: handle, index: index, final: finalName(d.prefix, index), started: time.Now()}
	f.part = f.final + partSuffix
	d.current = f
	d.background.do(func() error {
		d.emit(recorder.SegmentOpened{Index: f.index, Path: f.part})
		return nil
	})
	return f.head(h, d.indexLimit)
}

func (d *disk) Append(t flv.Tag, ms int64, key bool) error {
	t.Stamp(ms)
	return d.current.add(t, ms, key)
}

func (d *disk) AppendHeader(kind flv.Type, payload []byte, ms int64) error {
	return d.current.put(flv.AppendTag(nil, kind, ms, payload))
}

func (d *disk) Size() int64 { return d.current.size() }

func (d *disk) Close() error {
	f := d.current
	if f == nil {
		return nil
	}
	err := f.flush()
	f.ended = time.Now()
	d.current = nil
	d.closed += f.line.duration()
	d.background.do(func() error { return d.finish(f) })
	return err
}

// finish makes the file durable, gives it its final name and only then announces it.
func (d *disk) finish(f *file) error {
	defer f.h.Close()
	if f.err != nil {
		return d.salvage(f)
	}
	if err := f.patch(); err != nil {
		// All media is in the file; a length that is not is no reason to withhold it.
		d.emit(recorder.Note{Code: "no-metadata", Text: fmt.Sprintf("length and index of segment %d could not be written: %v", f.index, err)})
	}
	return d.publish(f)
}

// salvage finishes a file whose last write failed: all whole tags in it are kept. The space for the metadata was taken
// when the file was made, so that this works on a full disk.
func (d *disk) salvage(f *file) error {
	scan, err := scanFile(f.h)
	if err != nil {
		return d.kept(f, err)
	}
	if scan.media == 0 {
		return os.Remove(f.part)
	}
	if err := scan.repair(f.h, false); err != nil {
		return d.kept(f, err)
	}
	f.written, f.line = scan.end, scan.line
	return d.publish(f)
}

func (d *disk) publish(f *file) error {
	if err := f.h.Sync(); err != nil {
		return d.kept(f, err)
	}
	path, err := d.names.publish(f.part, f.final)
	if err != nil {
		return d.kept(f, err)
	}
	d.emit(recorder.SegmentClosed{Segment: recorder.Segment{
		Index: f.index, Path: path, SizeBytes: f.written, Duration: f.line.duration(),
		StartedAt: f.started, EndedAt: f.ended,
	}})
	return nil
}

func (d *disk) kept(f *file, err error) error {
	return diskError(sdk.CodeDiskKept, f.part, fmt.Errorf("segment %d could not be finished, what was recorded is kept: %w", f.index, err))
}

// background runs jobs one after the other.
type background struct {
	jobs chan func() error
	done chan struct{}

	mu  sync.Mutex
	err error
}

func newBackground() *background {
	// When so many segments wait for the disk, the reader has to wait too.
	const waiting = 32
	b := &background{jobs: make(chan func() error, waiting), done: make(chan struct{})}
	go b.run()
	return b
}

func (b *background) run() {
	defer close(b.done)
	for job := range b.jobs {
		if err := job(); err != nil {
			b.mu.Lock()
			b.err = errors.Join(b.err, err)
			b.mu.Unlock()
		}
	}
}

func (b *background) do(job func() error) { b.jobs <- job }

func (b *background) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *background) close() error {
	close(b.jobs)
	<-b.done
	return b.failed()
}
