package outgoing

import (
	"errors"

	"github.com/lubod/lubod/sdk/fetch"
)

// URLError is a URL that no request can be made for. Its text does not quote it: URLs hold secrets.
type URLError struct{ Problem string }

func (e *URLError) Error() string { return "the URL " + e.Problem }

// RefusedError is an address that requests must not go to.
type RefusedError = fetch.RefusedError

var (
	// ErrTooLarge is an answer with more bytes than the request lets through. Reading a body returns it as well.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrEncoded is an answer that is compressed though that was not asked for. It is never unpacked: some kilobytes can
	// become gigabytes.
	ErrEncoded = errors.New("the answer is compressed, which was not asked for")
	// ErrRedirects is a chain of redirects without an end in sight.
	ErrRedirects = errors.New("too many redirects")
)
