package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/lubod/lubod/sdk"
)

// How long to leave Bilibili alone. The upload limit lifts after minutes to an hour; the host waits longer each time.
// Risk control is a stronger hint, and asking again too soon makes it worse.
const (
	rateLimitPause   = 60 * time.Second
	riskControlPause = 30 * time.Minute
)

// transientError is a failure that the same request may not meet again.
type transientError struct{ err error }

func (e *transientError) Error() string { return e.err.Error() }

func (e *transientError) Unwrap() error { return e.err }

func transientf(format string, args ...any) error {
	return &transientError{fmt.Errorf(format, args...)}
}

// goneError means that the storage does not accept this session (any more).
type goneError struct {
	reason string
	// expired: the authorisation is too old, so a new session helps for certain. Otherwise it helps only when the
	// session is from an earlier run; a refusal of a session that has just been opened would only repeat itself.
	expired bool
}

func (e *goneError) Error() string { return e.reason }

func (e *goneError) helps(resumed bool) bool { return e.expired || resumed }

// errStored means that the storage holds the whole object already: an earlier run completed it, and nobody could say so any more.
var errStored = errors.New("the storage holds the whole object")

// publicError gives every error that leaves the plugin a kind.
func publicError(err error) error {
	var known *sdk.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var gone *goneError
	if errors.As(err, &gone) {
		return sdk.Errorf(sdk.Unavailable, "%w", err)
	}
	return sdk.Errorf(sdk.Bug, "%w", err)
}

// withoutURL takes the URL out of an HTTP client's error: it holds upload ids, and says nothing a person can use.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
