package main

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/lubod/lubod/sdk"
)

// patience says how often to try and how long to wait in between.
type patience struct {
	tries       int
	first, most time.Duration // the pause doubles from first up to most, a fifth more or less: parallel chunks spread out
	timeout     time.Duration // of one try
}

// jitter is the share by which pauses are spread.
const jitter = 0.2

// retry calls try until it succeeds, fails for good or has failed p.tries times, which is Unavailable.
func (p patience) retry(ctx context.Context, what string, try func(context.Context) error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := p.once(ctx, try)
		if err != nil && !isTransient(err) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(p.pauses()), backoff.WithMaxTries(uint(p.tries)), backoff.WithMaxElapsedTime(0))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case isTransient(err):
		return sdk.Errorf(sdk.Unavailable, "%s failed %d times, last: %w", what, p.tries, err)
	}
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) { // of the last try
		return permanent.Unwrap()
	}
	return err
}

func (p patience) pauses() backoff.BackOff {
	return &backoff.ExponentialBackOff{InitialInterval: p.first, MaxInterval: p.most, Multiplier: 2, RandomizationFactor: jitter}
}

func (p patience) once(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return try(ctx)
}

func isTransient(err error) bool {
	var transient *transientError
	return errors.As(err, &transient)
}
