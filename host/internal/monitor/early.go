package monitor

import (
	"time"

	"github.com/lubod/lubod/sdk"
)

// earlyPolls are how long after a person created or changed a room it is polled again, beside its interval, while its source
// is not up: who sets up both does not do so in the same second.
var earlyPolls = []time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second}

// notUpYet tells whether the room's source may come up any moment: nobody sends there, or nothing answers.
func (given result) notUpYet() bool {
	if given.fact != nil {
		return given.fact.end != nil && given.fact.end.Offline && sdk.KindOf(given.err) != sdk.RateLimited
	}
	if given.err == nil {
		return !given.started
	}
	kind := sdk.KindOf(given.err)
	return kind == sdk.Unavailable || kind == sdk.NotFound
}

// early is the next of the early polls; the zero time: none is left.
func (w *watched) early(now time.Time) time.Time {
	for _, wait := range earlyPolls {
		if at := w.changed.Add(wait); at.After(now) {
			return at
		}
	}
	return time.Time{}
}
