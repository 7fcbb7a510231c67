package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// transfer fills one session from one file.
type transfer struct {
	upos    *upos
	session *session
	source  *line.Source
	report  func(line.Progress) error

	// mu guards what is acknowledged and how much of it was told. It is never held while the host is told: the host may be slow
	// to listen.
	mu           sync.Mutex
	acked, heard int           // how many acknowledgements there were in this run, and how many of them the host heard of
	listened     chan struct{} // closed and replaced whenever heard changes
}

// hearing is how long the next chunk waits for the host to hear of the last one. A host that listens has a checkpoint of every
// chunk; one that is busy, with a database that is away, say, holds up nothing for longer, and hears the newest state later.
const hearing = 200 * time.Millisecond

func newTransfer(u *upos, s *session, src *line.Source, report func(line.Progress) error) *transfer {
	return &transfer{upos: u, session: s, source: src, report: report, listened: make(chan struct{})}
}

// run sends what is missing and completes the object. It joins everything that it started.
func (t *transfer) run(ctx context.Context, threads int) error {
	if err := t.tell(); err != nil || t.session.Completed {
		return err
	}
	if err := t.fill(ctx, threads); err != nil {
		return err
	}
	t.session.Completed = true
	return t.tell()
}

// fill makes the object complete. One that an earlier run completed, of which the host has an older checkpoint, stays as it is:
// it is looked at first, and again when a chunk is refused, since the storage may have been at it still.
func (t *transfer) fill(ctx context.Context, threads int) error {
	err := errStored
	if !t.session.resumed || t.session.acked.full() || !t.upos.stored(ctx, t.session) {
		err = t.sendParts(ctx, threads)
	}
	if errors.Is(err, errStored) {
		for _, part := range t.session.acked.missing() {
			t.session.acked.add(part)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.source.Unchanged(); err != nil {
		return err
	}
	return t.upos.complete(ctx, t.session)
}

// sendParts sends what is missing, and tells the host beside it.
func (t *transfer) sendParts(ctx context.Context, threads int) error {
	sending, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	news, told := make(chan struct{}, 1), make(chan error, 1)
	go func() { // ends when news is closed, below
		told <- t.tellAlong(news, cancel)
	}()
	err := t.putMissing(sending, threads, news)
	close(news)
	hostGone := <-told
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case hostGone != nil:
		return hostGone
	}
	return err
}

func (t *transfer) putMissing(ctx context.Context, threads int, news chan<- struct{}) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(threads)
	for _, part := range t.session.acked.missing() {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			if groupCtx.Err() != nil {
				return groupCtx.Err()
			}
			if err := t.upos.put(groupCtx, t.session, t.source, part); err != nil {
				return err
			}
			t.acknowledge(groupCtx, part, news)
			return nil
		})
	}
	return group.Wait()
}

// acknowledge notes that the storage holds a part, and gives the host a moment to hear of it.
func (t *transfer) acknowledge(ctx context.Context, part int, news chan<- struct{}) {
	t.mu.Lock()
	t.session.acked.add(part)
	t.acked++
	mine := t.acked
	t.mu.Unlock()
	select {
	case news <- struct{}{}:
	default: // there is news already
	}
	patience := time.NewTimer(hearing)
	defer patience.Stop()
	for {
		t.mu.Lock()
		heard, listened := t.heard, t.listened
		t.mu.Unlock()
		if heard >= mine {
			return
		}
		select {
		case <-listened:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// tellAlong tells the host as often as there is news, until news is closed. Nobody listens after the first error: it ends the
// transfer, and the host is left alone.
func (t *transfer) tellAlong(news <-chan struct{}, cancel context.CancelCauseFunc) (err error) {
	for range news {
		if err != nil {
			continue
		}
		if err = t.tell(); err != nil {
			cancel(err)
		}
	}
	return err
}

// tell reports the session as it is.
func (t *transfer) tell() error {
	t.mu.Lock()
	checkpoint, err := t.session.encode()
	acknowledged, upTo := t.session.ackedBytes(), t.acked
	chunks := t.session.chunks()
	t.mu.Unlock()
	if err != nil {
		return sdk.Errorf(sdk.Bug, "encode checkpoint: %w", err)
	}
	if err := t.report(line.Progress{AcknowledgedBytes: acknowledged, Checkpoint: checkpoint, Chunks: chunks}); err != nil {
		return sdk.Errorf(sdk.Unavailable, "report progress: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = upTo
	close(t.listened)
	t.listened = make(chan struct{})
	return nil
}
