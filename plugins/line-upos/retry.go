package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/lubod/lubod/sdk"
)

// backoff says how often to try and how long to wait in between.
type backoff struct {
	tries       int
	first, most time.Duration // the pause doubles from first up to most
	jitter      time.Duration // at most this much is added to a pause, so that parallel chunks spread out
	timeout     time.Duration // of one try
}

// retry calls try until it succeeds, fails for good or has failed b.tries times, which is Unavailable.
func (b backoff) retry(ctx context.Context, what string, try func(context.Context) error) error {
	for n := 1; ; n++ {
		err := b.once(ctx, try)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var transient *transientError
		if !errors.As(err, &transient) {
			return err
		}
		if n >= b.tries {
			return sdk.Errorf(sdk.Unavailable, "%s failed %d times, last: %w", what, n, err)
		}
		if err := sleep(ctx, b.pause(n)); err != nil {
			return err
		}
	}
}

func (b backoff) once(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return try(ctx)
}

// pause is the time between failure n (from 1) and the next try.
func (b backoff) pause(n int) time.Duration {
	pause := b.first
	for ; n > 1 && pause < b.most; n-- {
		pause *= 2
	}
	pause = min(pause, b.most)
	if b.jitter > 0 {
		pause += rand.N(b.jitter) //nolint:gosec // spreads retries, hides nothing
	}
	return pause
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
