package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/segment"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// Record runs one session: one attempt over the streams in order; after media, a connection that broke is made again for
// a short while, in the same session and with a new segment.
func (n *native) Record(ctx context.Context, request recorder.Request, session recorder.Session) error {
	options, err := recorder.Options(request, n.options)
	if err != nil {
		return err
	}
	if err := options.validate(); err != nil {
		return err
	}
	streams, err := usable(request.Streams)
	if err != nil {
		return err
	}
	client := newClient(options)
	defer client.CloseIdleConnections()
	r := &recording{
		options: options, session: session, client: client, streams: streams,
		writer: segment.NewWriter(segment.Config{
			Prefix: request.PathPrefix, FirstIndex: request.FirstIndex,
			Limits:       segment.Limits{Duration: request.SplitDuration, Size: request.SplitSize},
			Emit:         session.Emit,
			CutRequested: func() bool { return fired(session.SplitRequested()) },
		}),
	}
	err = r.run(ctx)
	if closeErr := r.writer.Close(); closeErr != nil && !errors.Is(err, closeErr) {
		err = errors.Join(err, closeErr)
	}
	return err
}

func fired(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// usable returns the streams that this recorder can read.
func usable(streams []recorder.Stream) ([]recorder.Stream, error) {
	var good []recorder.Stream
	for _, s := range streams {
		if s.Container == "" || strings.EqualFold(s.Container, "flv") {
			good = append(good, s)
		}
	}
	if len(good) == 0 {
		return nil, sdk.Errorf(sdk.Unsupported, "recorder-native records HTTP-FLV, and none of the %d streams of this room is that", len(streams))
	}
	return good, nil
}

// recording is one running session. It belongs to one goroutine.
type recording struct {
	options options
	session recorder.Session
	client  *http.Client
	streams []recorder.Stream
	writer  *segment.Writer

	media        bool // MediaArrived was emitted
	received     int64
	lastProgress time.Time

	last     time.Time          // when media arrived
	lost     *recorder.Timeline // what was told when it stopped, until it arrives again
	deadline time.Time          // of connecting again
	between  time.Duration      // two attempts to connect again
}

// result is how one connection ended. A nil err is a clean end of the stream.
type result struct {
	media bool
	err   error
	lived time.Duration
}

// storageError: what was received could not be written. Connecting again would not help.
type storageError struct{ error }

func (e storageError) Unwrap() error { return e.error }

// errMidTag: the body ended where no stream ends.
var errMidTag = errors.New("the body ended in the middle of a tag")

func (r *recording) run(ctx context.Context) error {
	end, err := r.first(ctx)
	for err == nil && end.err != nil {
		// What is not on the disk matters more than the reason for which the stream ended.
		if storage := (storageError{}); errors.As(end.err, &storage) {
			return storage.error
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopped: everything received is in its files
		}
		end = r.again(ctx, end)
	}
	return err
}

// first tries each stream once. A stream that brings no media is as good as none.
func (r *recording) first(ctx context.Context) (result, error) {
	var failures []*sdk.Error
	for _, stream := range r.streams {
		end := r.connection(ctx, stream, seconds(r.options.IdleTimeout))
		if end.media || ctx.Err() != nil || isStorage(end.err) {
			return end, nil //nolint:nilerr // the error is part of end
		}
		failures = append(failures, typed(end.err))
	}
	return result{}, offline(failures)
}

func typed(err error) *sdk.Error {
	var known *sdk.Error
	if errors.As(err, &known) {
		return known
	}
	return sdk.Errorf(sdk.Unavailable, "%w", err)
}

// again tries the streams in turn until media arrives or the time for it is over, which is then the end of the stream:
// the segments are whole, and whether the room is still live is for the host to ask.
func (r *recording) again(ctx context.Context, broken result) result {
	window := seconds(r.options.Reconnect)
	r.note("connection-lost", fmt.Sprintf("%v; trying to connect again for %s", broken.err, window))
	r.tellLost(broken.err)
	if broken.lived >= window || r.deadline.IsZero() {
		r.deadline, r.between = time.Now().Add(window), 100*time.Millisecond
	} else if !r.pause(ctx) {
		// A server that takes every connection only to break it gets no more time than one that takes none.
		return result{}
	}
	asked := false
	for {
		var refused error
		for _, stream := range r.streams {
			left := time.Until(r.deadline)
			if left <= 0 {
				return result{}
			}
			end := r.connection(ctx, stream, min(left, seconds(r.options.IdleTimeout)))
			if end.media || ctx.Err() != nil || isStorage(end.err) {
				return end
			}
			if curable(end.err) {
				refused = end.err
			}
		}
		if refused != nil && !asked {
			r.session.Emit(recorder.RefreshWanted{Reason: refused.Error()})
			asked = true
		}
		if !r.pause(ctx) {
			return result{}
		}
	}
}

// pause waits before the next round; new addresses end it early. false: the session was stopped.
func (r *recording) pause(ctx context.Context) bool {
	timer := time.NewTimer(min(r.between, time.Until(r.deadline)))
	r.between = min(2*r.between, 2*time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case streams := <-r.session.Refreshed():
		if good, err := usable(streams); err == nil {
			r.streams = good
			r.session.Emit(recorder.Timeline{Kind: recorder.TimelineChanged, Code: "addresses.refreshed", MediaTime: r.writer.MediaDuration()})
		}
	case <-timer.C:
	}
	return true
}

func (r *recording) note(code, text string) { r.session.Emit(recorder.Note{Code: code, Text: text}) }
