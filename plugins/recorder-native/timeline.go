package main

import (
	"errors"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

// tellLost says that media stopped arriving. Until it arrives again a second failure is part of the same gap.
func (r *recording) tellLost(err error) {
	if r.lost != nil {
		return
	}
	at := r.last
	if at.IsZero() {
		at = time.Now()
	}
	r.lost = &recorder.Timeline{Kind: recorder.TimelineLost, Cause: causeOf(err), At: at, MediaTime: r.writer.MediaDuration()}
	var typed *sdk.Error
	if errors.As(err, &typed) {
		r.lost.Code, r.lost.Args = typed.Code, typed.Args
	}
	r.session.Emit(*r.lost)
}

// tellResumed says how long media did not arrive.
func (r *recording) tellResumed(cdn string) {
	if r.lost == nil {
		return
	}
	told := *r.lost
	r.lost = nil
	now := time.Now()
	told.Kind, told.Length, told.At = recorder.TimelineResumed, max(now.Sub(told.At), 0), now
	if cdn != "" {
		told.Args = map[string]string{"cdn": cdn}
	}
	r.session.Emit(told)
}

// causeOf says why media stopped arriving.
func causeOf(err error) sdk.GapCause {
	var typed *sdk.Error
	switch {
	case errors.As(err, new(idleError)):
		return sdk.GapStreamStalled
	case errors.As(err, &typed) && (typed.Kind == sdk.Forbidden || typed.Kind == sdk.NotFound || typed.Kind == sdk.LoginRequired):
		return sdk.GapURLRefused
	}
	return sdk.GapStreamLost
}
