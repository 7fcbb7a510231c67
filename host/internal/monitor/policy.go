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
	switch sdk.KindOf(err) {
	case sdk.RateLimited:
		return max(sdk.RetryAfter(err), doubled(interval, failures))
	case sdk.NotFound, sdk.LoginRequired, sdk.Forbidden, sdk.Challenged, sdk.InvalidOption, sdk.Unsupported:
		return max(interval, maxPause/2) // a person has to act; the room is looked at now and then all the same
	}
	return interval
}

func doubled(interval time.Duration, times int) time.Duration {
	for range min(times, 10) {
		interval = min(2*interval, max(maxPause, interval))
	}
	return interval
}
