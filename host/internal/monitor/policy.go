package monitor

import (
	"time"

	"github.com/lubod/lubod/sdk"
)

// maxPause is the longest pause between two questions about a room that keeps failing.
const maxPause = 10 * time.Minute

// nextTry tells how long to leave a room alone after a question failed. An extractor says what happened; what to do
// about it is decided here only. A failed question never counts as "offline".
func nextTry(err error, interval time.Duration, failures int) time.Duration {
	switch {
	case sdk.KindOf(err) == sdk.RateLimited:
		return max(sdk.RetryAfter(err), doubled(interval, failures))
	case needsPerson(err):
		return max(interval, maxPause/2) // the room is looked at now and then all the same
	}
	return interval
}

// needsPerson tells whether a person has to act before another answer can be expected.
func needsPerson(err error) bool {
	switch sdk.KindOf(err) {
	case sdk.NotFound, sdk.LoginRequired, sdk.Forbidden, sdk.Challenged, sdk.InvalidOption, sdk.Unsupported:
		return true
	}
	return false
}

func doubled(interval time.Duration, times int) time.Duration {
	for range min(times, 10) {
		interval = min(2*interval, max(maxPause, interval))
	}
	return interval
}
