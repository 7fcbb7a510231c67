package reason

import (
	"errors"
	"strings"

	"github.com/lubod/lubod/sdk"
)

// Error is an error that carries its reason. Its text is the English one.
type Error struct {
	Reason Reason
	// Err is what led here; nil: nothing did.
	Err error
}

func (e *Error) Error() string { return e.Reason.Text(English) }

func (e *Error) Unwrap() error { return e.Err }

// Err makes an error of a reason.
func (r Reason) Err() error { return &Error{Reason: r} }

// Wrap makes an error of a reason and of what led to it. A text with the placeholder {cause} holds the cause's text.
func (r Reason) Wrap(cause error) error {
	if _, given := r.Args["cause"]; !given && cause != nil {
		if found, known := find(r.Code); known && strings.Contains(found.en, "{cause}") {
			r = r.With("cause", cause.Error())
		}
	}
	return &Error{Reason: r, Err: cause}
}

// Of returns the reason that an error carries; else the one for its code or its kind, with its text; the zero value for nil.
func Of(err error) Reason {
	var carrier *Error
	var typed *sdk.Error
	switch {
	case err == nil:
		return Reason{}
	case errors.As(err, &carrier):
		return carrier.Reason
	case errors.As(err, &typed):
		return ofKind(typed).With("text", err.Error())
	case sdk.KindOf(err) == sdk.Unavailable:
		return New(ErrorUnavailable, "text", err.Error())
	}
	return New(ErrorOther, "text", err.Error())
}

func ofKind(err *sdk.Error) Reason {
	if _, known := find(err.Code); known {
		return Reason{Code: err.Code, Args: err.Args}
	}
	code, known := kinds[err.Kind]
	if !known {
		code = ErrorOther
	}
	if err.Kind == sdk.Forbidden {
		switch err.Cause {
		case sdk.CausePassword:
			code = ErrorPassword
		case sdk.CausePaid:
			code = ErrorPaid
		case sdk.CauseRegion:
			code = ErrorRegion
		}
	}
	return New(code)
}
