package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/flv"
	"github.com/lubod/lubod/sdk/recorder"
)

const (
	// stopGrace: what the kernel received before a stop is still read.
	stopGrace = 50 * time.Millisecond
	// A read of less than smallRead bytes is followed by a pause of gatherTime, so that a stream in real time costs few
	// and large reads and writes.
	smallRead  = 32 << 10
	gatherTime = 40 * time.Millisecond
	// slowBytes: so much data counts as life even before the tag is whole.
	slowBytes     = 256 << 10
	progressEvery = time.Second
)

// connection records one connection until it ends. All that was received is in the files afterwards.
func (r *recording) connection(ctx context.Context, stream recorder.Stream, idle time.Duration) result {
	begin := time.Now()
	// The request outlives a stop by a moment, and dies of idleness.
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	grace := time.AfterFunc(stopGrace, func() { cancel(context.Canceled) })
	grace.Stop() // until the stop
	defer grace.Stop()
	defer context.AfterFunc(ctx, func() { grace.Reset(stopGrace) })()

	request, err := newRequest(life, stream, r.options.UserAgent)
	if err != nil {
		return result{err: err}
	}
	body, err := open(r.client, request, where(stream))
	if err != nil {
		return result{err: err, lived: time.Since(begin)}
	}
	defer body.Close()
	watch := time.AfterFunc(idle, func() { cancel(idleError(idle)) })
	defer watch.Stop()

	c := &connection{recording: r, reader: flv.NewReader(body), watch: watch, idle: idle, cdn: stream.CDN}
	err = c.copy(ctx)
	if cause := context.Cause(life); cause != nil && !isStorage(err) {
		err = cause
	}
	if finishErr := r.writer.Finish(); finishErr != nil && !isStorage(err) {
		err = storageError{finishErr}
	}
	c.noteOddities()
	if !c.media && !isStorage(err) && ctx.Err() == nil {
		err = c.explain(stream, request, err)
	}
	return result{media: c.media, err: err, lived: time.Since(begin)}
}

// idleError: no media came for so long.
type idleError time.Duration

func (e idleError) Error() string { return "no media for " + time.Duration(e).String() }

func isStorage(err error) bool { return errors.As(err, &storageError{}) }

// connection is one response body.
type connection struct {
	*recording
	reader *flv.Reader
	begun  bool
	media  bool // media arrived on this connection
	cdn    string

	watch *time.Timer
	idle  time.Duration
	quiet time.Duration // spent waiting for the sender since it last showed life
	alive int64         // received bytes at that time
}

// copy moves tags from the body to the writer until either ends.
func (c *connection) copy(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		before := c.reader.Offset()
		n, readErr := c.fill()
		if err := c.take(); err != nil {
			if broken(readErr) && errors.Is(err, flv.ErrNotFLV) {
				return readErr // too little came to tell what it is
			}
			return err
		}
		if c.reader.Offset() > before || c.reader.Received()-c.alive >= slowBytes {
			c.alive, c.quiet = c.reader.Received(), 0
			if c.media {
				c.last = time.Now()
			}
		}
		c.progress()
		switch {
		case errors.Is(readErr, io.EOF) && c.reader.Leftover() > 0:
			return errMidTag
		case errors.Is(readErr, io.EOF):
			return nil
		case broken(readErr):
			return readErr
		}
		if n < smallRead {
			gather(ctx, pause)
		}
	}
}

// broken tells whether reading ended otherwise than with the body.
func broken(readErr error) bool { return readErr != nil && !errors.Is(readErr, io.EOF) }

// fill reads once. Only this time counts as idle: a disk that takes long to write is no fault of the sender.
func (c *connection) fill() (int, error) {
	begin := time.Now()
	c.watch.Reset(c.idle - c.quiet)
	n, err := c.reader.Fill()
	c.watch.Stop()
	c.quiet += time.Since(begin)
	c.received += int64(n)
	return n, err
}

func gather(ctx context.Context, timer *time.Timer) {
	timer.Reset(gatherTime)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// take writes every whole tag that the reader has.
func (c *connection) take() error {
	var tag flv.Tag
	for {
		ok, err := c.reader.Next(&tag)
		if err != nil || !ok {
			return errors.Join(err, c.flush())
		}
		if !c.begun {
			audio, _ := c.reader.Announced()
			c.writer.Begin(audio)
			c.begun = true
		}
		if !c.media && tag.Kind().IsMedia() {
			c.arrived()
		}
		if err := c.writer.Write(tag); err != nil {
			return storageError{err}
		}
	}
}

func (c *connection) flush() error {
	if err := c.writer.Flush(); err != nil {
		return storageError{err}
	}
	return nil
}

func (c *connection) arrived() {
	c.media = true
	c.tellResumed(c.cdn)
	if !c.recording.media {
		c.recording.media = true
		c.session.Emit(recorder.MediaArrived{})
	}
}

func (c *connection) progress() {
	if now := time.Now(); now.Sub(c.lastProgress) >= progressEvery && c.recording.media {
		c.lastProgress = now
		c.session.Emit(recorder.Progress{ReceivedBytes: c.received, MediaDuration: c.writer.MediaDuration()})
	}
}

func (c *connection) noteOddities() {
	if !c.media {
		return
	}
	s := c.reader.Stats()
	if s.Resyncs > 0 {
		c.note("resync", fmt.Sprintf("%d bytes were damaged; the stream was picked up again %d times", s.SkippedBytes, s.Resyncs))
	}
	if s.BadTrailers > 0 {
		c.note("previous-tag-size", fmt.Sprintf("%d tags had a wrong size behind them; they were recorded with the right one", s.BadTrailers))
	}
	if n := c.reader.Leftover(); n > 0 {
		c.note("incomplete-tag", fmt.Sprintf("the last %d bytes are not a whole tag and were dropped", n))
	}
}
