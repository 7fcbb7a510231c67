package plugins

import "time"

const (
	firstDelay = time.Second
	maxDelay   = 2 * time.Minute
	// maxFailures in a row open the breaker: something is wrong that restarts do not cure.
	maxFailures = 10
	// healthyAfter without a failure forgives the failures before.
	healthyAfter = 10 * time.Minute
	// jitterShare spreads restarts by up to this share to both sides, so that plugins that died together do not start
	// together.
	jitterShare = 0.2
)

// backoff counts the failures of one plugin in a row.
type backoff struct{ failures int }

// fail counts a failure of a process that had run for uptime (0: it did not come up). It returns how long to wait
// before the next start, or broken when there should be none. random is in [0, 1).
func (b *backoff) fail(uptime time.Duration, random float64) (delay time.Duration, broken bool) {
	if uptime >= healthyAfter {
		b.failures = 0
	}
	b.failures++
	if b.failures >= maxFailures {
		return 0, true
	}
	delay = firstDelay << (b.failures - 1)
	delay = time.Duration(float64(delay) * (1 - jitterShare + 2*jitterShare*random))
	return min(delay, maxDelay), false
}
