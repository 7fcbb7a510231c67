package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong, so that the host can decide what to do about it. A plugin never decides about retries.
type Kind string

// The error kinds of contract version 1.
const (
	NotFound      Kind = "NOT_FOUND"      // the room, file or session does not exist
	LoginRequired Kind = "LOGIN_REQUIRED" // the credentials are missing, expired or refused
	Forbidden     Kind = "FORBIDDEN"      // not for this account; see Cause
	RateLimited   Kind = "RATE_LIMITED"   // asked too often; see RetryAfter
	Challenged    Kind = "CHALLENGED"     // a person has to solve a captcha or confirm something
	Unavailable   Kind = "UNAVAILABLE"    // the other side or the network failed; trying again can help
	InvalidOption Kind = "INVALID_OPTION" // an option's value cannot work
	Unsupported   Kind = "UNSUPPORTED"    // the plugin does not do this
	Corrupt       Kind = "CORRUPT"        // data that should be readable is not
	Bug           Kind = "BUG"            // the plugin or the platform's answer is not what its author expected
)

// Known tells whether this is a kind of contract version 1.
func (k Kind) Known() bool {
	switch k {
	case NotFound, LoginRequired, Forbidden, RateLimited, Challenged, Unavailable, InvalidOption, Unsupported, Corrupt, Bug:
		return true
	}
	return false
}

// Cause refines Forbidden.
type Cause string

// The causes of Forbidden.
const (
	CausePassword Cause = "password"
	CausePaid     Cause = "paid"
	CauseRegion   Cause = "region"
)

// The codes of contract version 1 say what became of a request, more precisely than a kind. {where} is the address without
// its query and without a login.
const (
	CodeRefused     = "net.refused"     // nobody listens at {where}
	CodeDNS         = "net.dns"         // the name of {where} is not known
	CodeTLS         = "net.tls"         // no secure connection to {where}: {cause}
	CodeTimeout     = "net.timeout"     // {where} does not answer
	CodeProxy       = "net.proxy"       // the proxy {proxy} does not work: {cause}
	CodeStatus      = "net.status"      // {where} answered {status}
	CodeHTML        = "net.html"        // {where} answered with a web page
	CodeCompressed  = "net.compressed"  // {where} answered with a body compressed by {encoding}
	CodeNotMedia    = "net.not_media"   // {where} sends nothing that can be recorded: {cause}
	CodeSilent      = "net.silent"      // {where} takes the connection and sends nothing
	CodeUnreachable = "net.unreachable" // {where} cannot be reached: {cause}
	CodeAddress     = "net.address"     // {where} is, or leads to, an address that no source may be at: {cause}
)

// The codes of contract version 1 for files that cannot be written.
const (
	CodeDiskFull   = "disk.full"   // no space, or no quota, is left for {path}
	CodeDiskDenied = "disk.denied" // {path} cannot be written: {cause}
	CodeDiskKept   = "disk.kept"   // what was recorded is kept in {path}, and could not be finished: {cause}
)

// CodeOversized is that of an answer above the bound of the contract. {limit} is the bound.
const CodeOversized = "plugin.oversized"

// Error is an error that crosses the plugin boundary without losing its kind.
type Error struct {
	Kind    Kind
	Message string
	// Code says what happened, more precisely than Kind; empty: the kind is all that is known. Args are what it is about, named
	// as in the list of codes.
	Code string
	Args map[string]string
	// RetryAfter is how long the other side wants to be left alone (RateLimited); 0: unknown.
	RetryAfter time.Duration
	// Cause refines Forbidden; empty otherwise.
	Cause Cause
	// Err is what led here; it stays on the plugin's side of the wire.
	Err error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind. A %w in format is kept as Err.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}
}

// KindOf returns the kind of err: Unavailable for deadlines, Bug for an error that carries none, and "" for nil.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Unavailable
	}
	return Bug
}

// RetryAfter returns how long err asks to wait, 0 when it does not say.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
