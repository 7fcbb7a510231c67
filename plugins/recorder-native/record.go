package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/plugins/recorder-native/internal/segment"
	"github.com/lubod/lubod/sdk/recorder"
)

// progressInterval is the distance between two Progress events.
const progressInterval = time.Second

// A connection that broke in the middle is opened again at once, and then after these pauses: what the sender's cache
// still holds is not lost. Longer breaks are the host's business, which asks the platform for fresh addresses.
var reconnectPauses = [...]time.Duration{0, time.Second, 3 * time.Second}

// take is one running session.
type take struct {
	native   *native
	request  recorder.Request
	session  recorder.Session
	writer   *segment.Writer
	arrived  bool // media was received
	received int64
	reported time.Time
}

// Record records one session. See recorder.Recorder for what its errors mean.
func (n *native) Record(ctx context.Context, request recorder.Request, session recorder.Session) error {
	t := &take{native: n, request: request, session: session}
	t.writer = segment.NewWriter(segment.Config{
		Prefix: request.PathPrefix, FirstIndex: request.FirstIndex,
		Limits: segment.Limits{Duration: request.SplitDuration, Size: request.SplitSize},
		Emit:   session.Emit, CutRequested: t.cutRequested,
	})
	err := t.run(ctx)
	if closeErr := t.writer.Close(); closeErr != nil {
		return closeErr // what could not be written matters more than how the stream ended
	}
	if ctx.Err() != nil {
		return nil // stopped: everything received is in its files
	}
	return err
}

func (t *take) cutRequested() bool {
	select {
	case <-t.session.SplitRequested():
		return true
	default:
		return false
	}
}

// run records until the stream ends for good.
func (t *take) run(ctx context.Context) error {
	err := t.open(ctx)
	for _, pause := range reconnectPauses {
		if !t.arrived || !broken(err) || ctx.Err() != nil {
			break
		}
		t.note("connection-lost", "%v; connecting again", err)
		if !sleep(ctx, pause) {
			break
		}
		if again := t.open(ctx); !errors.Is(again, recorder.ErrOffline) {
			err = again
		}
	}
	if broken(err) {
		return nil // the segments are whole; whether the room is still live is for the host to ask
	}
	return err
}

// brokenError is a connection that ended before the stream did.
type brokenError struct{ cause error }

func (e *brokenError) Error() string { return "the connection broke: " + e.cause.Error() }
func (e *brokenError) Unwrap() error { return e.cause }

func broken(err error) bool {
	var b *brokenError
	return errors.As(err, &b)
}

func (t *take) note(code, format string, arguments ...any) {
	t.session.Emit(recorder.Note{Code: code, Text: fmt.Sprintf(format, arguments...)})
}

// open records over the first address that sends media. Every address is asked exactly once: some sources serve one
// client and are gone after it.
func (t *take) open(ctx context.Context) error {
	for _, stream := range t.addresses() {
		err := t.record(ctx, stream)
		if !errors.Is(err, recorder.ErrOffline) || ctx.Err() != nil {
			return err
		}
	}
	return recorder.ErrOffline
}

// addresses are the newest ones that the host gave.
func (t *take) addresses() []recorder.Stream {
	select {
	case fresh := <-t.session.Refreshed():
		t.request.Streams = fresh
	default:
	}
	return t.request.Streams
}

// record takes in one connection to its end: nil when the stream ended, ErrOffline when it never began.
func (t *take) record(ctx context.Context, stream recorder.Stream) error {
	body, err := t.native.connect(ctx, stream)
	if err != nil {
		return err
	}
	defer body.Close()
	reader := flv.NewReader(body)
	err = t.copy(reader)
	if t.arrived {
		if finishErr := t.writer.Finish(); finishErr != nil {
			return finishErr
		}
	}
	t.noteOddities(reader.Stats())
	switch {
	case errors.Is(err, errStorage):
		return err
	case !t.arrived && ctx.Err() == nil:
		return fmt.Errorf("%w: %w", recorder.ErrOffline, err)
	case errors.Is(err, io.EOF):
		return nil
	}
	return &brokenError{err}
}

// errStorage marks failures of the recorder's own side, which another connection cannot mend.
var errStorage = errors.New("recording cannot be written")

// copy moves tags from the connection into segments until one of both ends.
func (t *take) copy(reader *flv.Reader) error {
	var tag flv.Tag
	begun := false
	for {
		n, readErr := reader.Fill()
		t.received += int64(n)
		for {
			ok, err := reader.Next(&tag)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if !begun {
				begun = true
				audio, _ := reader.Announced()
				t.writer.Begin(audio)
			}
			media, err := t.writer.Write(tag)
			if media && !t.arrived {
				t.arrived = true
				t.session.Emit(recorder.MediaArrived{})
			}
			if err != nil {
				return fmt.Errorf("%w: %w", errStorage, err)
			}
		}
		if err := t.writer.Flush(); err != nil {
			return fmt.Errorf("%w: %w", errStorage, err)
		}
		t.report()
		if readErr != nil {
			return readErr
		}
	}
}

func (t *take) report() {
	now := time.Now()
	if !t.arrived || now.Sub(t.reported) < progressInterval {
		return
	}
	t.reported = now
	t.session.Emit(recorder.Progress{ReceivedBytes: t.received, MediaDuration: t.writer.MediaDuration()})
}

func (t *take) noteOddities(stats flv.Stats) {
	if stats.Resyncs > 0 || stats.SkippedBytes > 0 {
		t.note("damaged", "%d damaged bytes were skipped in %d places", stats.SkippedBytes, stats.Resyncs)
	}
	if stats.BadTrailers > 0 {
		t.note("bad-trailers", "%d tags had a wrong PreviousTagSize; they were kept", stats.BadTrailers)
	}
}

func sleep(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
