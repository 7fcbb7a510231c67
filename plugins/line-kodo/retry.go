package main

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// patience says how often to try and how long to wait in between.
type patience struct {
	tries       uint
	first, most time.Duration // the pause doubles from first up to most, a fifth more or less: parallel blocks spread out
	timeout     time.Duration // of one try
}

// jitter is the share by which pauses are spread.
const jitter = 0.2

// retry calls try until it succeeds, fails for good or has failed p.tries times. The error is that of the last try.
func (p patience) retry(ctx context.Context, try func(context.Context) error) error {
	pauses := &backoff.ExponentialBackOff{InitialInterval: p.first, MaxInterval: p.most, Multiplier: 2, RandomizationFactor: jitter}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		limited, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		err := try(limited)
		if err != nil && !errors.Is(err, errPassing) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(p.tries), backoff.WithMaxElapsedTime(0))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) { // of the last try
		return permanent.Unwrap()
	}
	return err
}
