package main

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// transfer carries one session to its end.
type transfer struct {
	kodo    *kodo
	session *session
	source  *line.Source
	report  func(line.Progress) error

	mu      sync.Mutex      // guards the session while blocks are sent, and unheard
	unheard []chan struct{} // closed when the host has heard of what a goroutine told
	news    chan struct{}
}

// hearing is how long the next block waits for the host to hear of the last one. A host that listens has a checkpoint of every
// block; one that is busy holds up nothing for longer, and hears the newest state later.
const hearing = 200 * time.Millisecond

// atOnce is how many blocks are sent at once when the host asks for threads.
func atOnce(threads int) int { return min(max(threads, 1), maxThreads) }

func newTransfer(k *kodo, s *session, src *line.Source, report func(line.Progress) error) *transfer {
	return &transfer{kodo: k, session: s, source: src, report: report, news: make(chan struct{}, 1)}
}

// run does what is left to do, step by step: the host has a checkpoint of each. It joins everything that it started.
func (t *transfer) run(ctx context.Context, threads int) error {
	if err := t.tell(); err != nil || t.session.Fetched {
		return err
	}
	if !t.session.Made {
		if err := t.sendBlocks(ctx, threads); err != nil {
			return err
		}
		if err := t.source.Unchanged(); err != nil {
			return err
		}
		if err := t.kodo.makeFile(ctx, t.session); err != nil {
			return err
		}
		t.session.Made = true
		if err := t.tell(); err != nil {
			return err
		}
	}
	if err := t.kodo.fetch(ctx, t.session); err != nil {
		return err
	}
	t.session.Fetched = true
	return t.tell()
}

// sendBlocks sends what is missing, and tells the host beside it.
func (t *transfer) sendBlocks(ctx context.Context, threads int) error {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	told := make(chan error, 1)
	go func() { // ends when news is closed, below
		told <- t.tellAlong(cancel)
	}()
	err := t.sendMissing(sending, threads)
	close(t.news)
	hostGone := <-told
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case hostGone != nil:
		return hostGone
	}
	return err
}

func (t *transfer) sendMissing(ctx context.Context, threads int) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(threads)
	for _, index := range t.session.missing() {
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error {
			if groupCtx.Err() != nil {
				return groupCtx.Err()
			}
			stored, err := t.kodo.sendBlock(groupCtx, t.session, t.source, index)
			if err != nil {
				return err
			}
			t.acknowledge(groupCtx, index, stored)
			return nil
		})
	}
	return group.Wait()
}

// acknowledge notes that Qiniu holds a block, and gives the host a moment to hear of it.
func (t *transfer) acknowledge(ctx context.Context, index int, stored block) {
	heard := make(chan struct{})
	t.mu.Lock()
	t.session.Blocks[index] = stored
	t.unheard = append(t.unheard, heard)
	t.mu.Unlock()
	select {
	case t.news <- struct{}{}:
	default: // there is news already
	}
	patience := time.NewTimer(hearing)
	defer patience.Stop()
	select {
	case <-heard:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// tellAlong tells the host as often as there is news, until news is closed. Nobody listens after the first error: it ends the
// transfer, and the host is left alone.
func (t *transfer) tellAlong(cancel context.CancelFunc) (err error) {
	for range t.news {
		if err != nil {
			continue
		}
		if err = t.tell(); err != nil {
			cancel()
		}
	}
	return err
}

// tell reports the session as it is. The lock is not held while the host listens: it may be slow.
func (t *transfer) tell() error {
	t.mu.Lock()
	checkpoint, err := t.session.checkpoint()
	progress := line.Progress{AcknowledgedBytes: t.session.ackedBytes(), Checkpoint: checkpoint, Chunks: t.session.chunks()}
	unheard := t.unheard
	t.unheard = nil
	t.mu.Unlock()
	if err != nil {
		return sdk.Errorf(sdk.Bug, "encode checkpoint: %w", err)
	}
	if err := t.report(progress); err != nil {
		return sdk.Errorf(sdk.Unavailable, "report progress: %w", err)
	}
	for _, heard := range unheard {
		close(heard)
	}
	return nil
}
