package plugins

import (
	"errors"
	"fmt"
	"time"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/wire"
)

var (
	// ErrNoExtractor means that no extractor takes a URL. The error that wraps it lists what is accepted.
	ErrNoExtractor = errors.New("no extractor takes this URL")
	// ErrNoLine means that no plugin serves a line name. The error that wraps it lists the names.
	ErrNoLine = errors.New("there is no such line")
	// ErrNoRecorder means that plugins.hcl names no recorder.
	ErrNoRecorder = errors.New("no recorder is installed; add one to plugins.hcl, for example plugin \"recorder-native\" {}")
	// ErrUnknownPlugin means that plugins.hcl does not name a plugin any more.
	ErrUnknownPlugin = errors.New("this plugin is not installed any more")
	// ErrGone means that a recorder process has ended; its sessions are to be finished by Recover.
	ErrGone = errors.New("the recorder process is gone")
	// ErrClosed means that the manager has stopped.
	ErrClosed = errors.New("the plugin manager has stopped")
)

// DownError means that a plugin is installed but cannot be used now. It is wire.ErrPluginDown for errors.Is, and an
// *sdk.Error of kind Unavailable for errors.As.
type DownError struct {
	Plugin string
	State  State
	// Next is when the next start is tried; zero: none is scheduled.
	Next time.Time
	// RetryAfter is the time until Next, as of when the error was made.
	RetryAfter time.Duration
	// Err is what went wrong last.
	Err error
}

func (e *DownError) Error() string {
	text := "plugin " + e.Plugin + " is down"
	if !e.Next.IsZero() {
		text += fmt.Sprintf(", next attempt in %s", e.RetryAfter.Round(100*time.Millisecond))
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what went wrong last.
func (e *DownError) Unwrap() error { return e.Err }

// Is reports that a plugin which cannot be used is down, whatever the reason.
func (e *DownError) Is(target error) bool { return target == wire.ErrPluginDown }

// As presents the error as the kind that a caller's policy understands: trying again can help; and as a reason for people.
func (e *DownError) As(target any) bool {
	switch typed := target.(type) {
	case **sdk.Error:
		*typed = &sdk.Error{Kind: sdk.Unavailable, Message: e.Error(), RetryAfter: e.RetryAfter, Err: wire.ErrPluginDown}
	case **reason.Error:
		// Without the time of the next try, which is another one each time.
		*typed = &reason.Error{Reason: reason.New(reason.PluginDown, "plugin", e.Plugin, "cause", e.cause()), Err: e.Err}
	default:
		return false
	}
	return true
}

func (e *DownError) cause() string {
	if e.Err == nil {
		return string(e.State)
	}
	return e.Err.Error()
}

// LaunchError says why a plugin could not be brought up, in words for a person.
type LaunchError struct {
	Plugin string
	// Where is the plugin's block in plugins.hcl, as file:line,columns; empty: Problem says where.
	Where string
	// Problem is what is wrong, and where possible what to do.
	Problem string
	// Permanent: trying again without a change cannot help.
	Permanent bool
	Err       error
}

func (e *LaunchError) Error() string {
	if e.Where == "" {
		return "plugin " + e.Plugin + ": " + e.Problem
	}
	return e.Where + ": plugin " + e.Plugin + ": " + e.Problem
}

// Unwrap returns the cause.
func (e *LaunchError) Unwrap() error { return e.Err }

func permanent(err error) bool {
	var launch *LaunchError
	return errors.As(err, &launch) && launch.Permanent
}
