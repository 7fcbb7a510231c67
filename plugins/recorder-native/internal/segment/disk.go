package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/lubod/lubod/sdk"
)

const (
	// publishPatience is how long a finished file is tried to be given its name, openPatience how long a new one is tried to
	// be made: a network share that is away for a moment costs nothing then. The reader waits for the second one only, and
	// servers do not wait for long.
	publishPatience = 30 * time.Second
	openPatience    = 10 * time.Second
	// recoverPatience is short: whoever has files recovered comes again.
	recoverPatience = time.Second
)

// patiently tries a step again until it succeeds, cannot succeed, or patience is over.
func patiently(patience time.Duration, step func() error) error {
	growing := backoff.NewExponentialBackOff()
	growing.InitialInterval, growing.MaxInterval = 20*time.Millisecond, time.Second
	_, err := backoff.Retry(context.Background(), func() (struct{}, error) {
		err := step()
		if err != nil && hopeless(err) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(growing), backoff.WithMaxElapsedTime(patience))
	return err
}

// hopeless tells whether time does not help.
func hopeless(err error) bool {
	for _, never := range []error{fs.ErrExist, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.ELOOP} {
		if errors.Is(err, never) {
			return true
		}
	}
	return false
}

// diskError says what is the matter with a file. An error that has a kind keeps it.
func diskError(code, path string, err error) *sdk.Error {
	var typed *sdk.Error
	if errors.As(err, &typed) {
		return typed
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		code = sdk.CodeDiskFull
	}
	return &sdk.Error{
		Kind: sdk.Unavailable, Code: code, Args: map[string]string{"path": path, "cause": err.Error()}, Err: err,
		Message: fmt.Sprintf("%s: %v", path, err),
	}
}
