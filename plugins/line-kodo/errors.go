package main

import (
	"errors"
	"slices"
	"time"

	"github.com/lubod/lubod/sdk"
)

// How long to leave Bilibili alone. The upload limit lifts after minutes to an hour; risk control is a stronger hint.
const (
	rateLimitPause   = 60 * time.Second
	riskControlPause = 30 * time.Minute
)

// What a failure leaves to be done within the same call. They are causes of typed errors, which are what the host hears.
var (
	// errStale: what was granted is not taken (any more). errExpired: because it is too old, so that a new grant helps for certain.
	errStale   = errors.New("what was granted is not taken")
	errExpired = errors.New("what was granted is too old")
	// errNoBucket: there is no such bucket. errHost: the upload host does not work.
	errNoBucket = errors.New("the bucket is not offered")
	errHost     = errors.New("the upload host does not work")
	// errPassing: the same request may pass the next time.
	errPassing = errors.New("it may pass")
)

// because makes an error of a kind with what is left to be done about it.
func because(kind sdk.Kind, message string, causes ...error) error {
	return &sdk.Error{Kind: kind, Message: message, Err: errors.Join(causes...)}
}

// marked adds to an error what is left to be done about it.
func marked(err error, cause error) error {
	var typed *sdk.Error
	if !errors.As(err, &typed) {
		return err
	}
	copied := *typed
	copied.Err = errors.Join(typed.Err, cause)
	return &copied
}

// used is the route that a session takes, or would have taken.
func used(s *session, first route) route {
	if s == nil {
		return first
	}
	return route{s.Bucket, s.Host}
}

// without returns the routes that a failure of one of them leaves to be tried; none when another route would not help.
func without(routes []route, failed route, err error) []route {
	switch {
	case errors.Is(err, errNoBucket):
		return slices.DeleteFunc(slices.Clone(routes), func(r route) bool { return r.bucket == failed.bucket })
	case errors.Is(err, errHost):
		return slices.DeleteFunc(slices.Clone(routes), func(r route) bool { return r == failed })
	}
	return nil
}
