package main

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// transfer fills one session from one file.
type transfer struct {
	upos    *upos
	session *session
	source  *source
	report  func(line.Progress) error

	// mu orders acknowledgements: each report holds all of those before it.
	mu sync.Mutex
	// hostGone is the first error of report; nobody is listening after it.
	hostGone error
}

// run sends what is missing and completes the object. It joins everything that it started.
func (t *transfer) run(ctx context.Context, threads int) error {
	if err := t.tell(); err != nil || t.session.Completed {
		return err
	}
	if err := t.sendParts(ctx, threads); err != nil {
		return err
	}
	if err := t.source.unchanged(); err != nil {
		return err
	}
	if err := t.upos.complete(ctx, t.session); err != nil {
		return err
	}
	t.session.Completed = true
	return t.tell()
}

func (t *transfer) sendParts(ctx context.Context, threads int) error {
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
			return t.acknowledge(part)
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (t *transfer) acknowledge(part int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.session.acked.add(part)
	return t.tell()
}

// tell reports the session as it is. Callers in parallel hold mu.
func (t *transfer) tell() error {
	if t.hostGone != nil {
		return t.hostGone
	}
	checkpoint, err := t.session.encode()
	if err != nil {
		return sdk.Errorf(sdk.Bug, "encode checkpoint: %w", err)
	}
	if err := t.report(line.Progress{AcknowledgedBytes: t.session.ackedBytes(), Checkpoint: checkpoint}); err != nil {
		t.hostGone = sdk.Errorf(sdk.Unavailable, "report progress: %w", err)
	}
	return t.hostGone
}
