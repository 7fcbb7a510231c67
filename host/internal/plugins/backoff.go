package plugins

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// firstDelay doubles up to maxDelay for a plugin that fails and that nothing waits for.
	firstDelay = time.Second
	maxDelay   = 2 * time.Minute
	// maxFailures in a row without work open the breaker: something is wrong that restarts do not cure. Even so the plugin
	// is tried again every brokenDelay, because what is wrong may lie outside and pass.
	maxFailures = 10
	brokenDelay = 5 * time.Minute
	// healthyAfter without a failure forgives the failures before.
	healthyAfter = 10 * time.Minute

	// A plugin with live work is started again at once. One that dies again within steadyAfter is given a moment, which
	// grows up to liveDelay: together with a start it stays below two seconds.
	steadyAfter    = 10 * time.Second
	firstLiveDelay = 125 * time.Millisecond
	liveDelay      = time.Second

	// unsteadyFailures in a row make a plugin one that cannot be relied on until it has run for steadyAfter.
	unsteadyFailures = 3

	// jitterShare spreads restarts by up to this share to both sides, so that plugins that died together do not start
	// together.
	jitterShare = 0.2
)

// failures counts the failures of one process in a row and says how long to wait before the next start.
type failures struct {
	inARow     int
	idle, live *backoff.ExponentialBackOff
	toldAt     time.Time
}

// newFailures takes the share by which waits are spread.
func newFailures(share float64) failures {
	return failures{
		idle: &backoff.ExponentialBackOff{InitialInterval: firstDelay, MaxInterval: maxDelay, Multiplier: 2, RandomizationFactor: share},
		live: &backoff.ExponentialBackOff{InitialInterval: firstLiveDelay, MaxInterval: liveDelay, Multiplier: 2, RandomizationFactor: share},
	}
}

// add counts a failure of a process that had run for uptime (0: it did not come up). It returns how long to wait before the
// next start. broken: there were so many that this is no back-off any more; never with live work.
func (f *failures) add(uptime time.Duration, work bool) (delay time.Duration, broken bool) {
	f.forgive(uptime)
	f.inARow++
	switch {
	case work && (f.inARow == 1 || uptime >= steadyAfter):
		f.live.Reset()
		return 0, false
	case work:
		return min(f.live.NextBackOff(), liveDelay), false
	case f.inARow >= maxFailures:
		return brokenDelay, true
	}
	return min(f.idle.NextBackOff(), maxDelay), false
}

// forgive forgets the failures before a process that has run for long.
func (f *failures) forgive(uptime time.Duration) {
	if uptime >= healthyAfter {
		f.inARow = 0
		f.idle.Reset()
	}
}

// told reports whether a start after these failures is worth a line in the log, which the first ones are.
func (f *failures) told() bool { return f.inARow <= toldFailures }

// tell reports whether the newest failure is worth a line in the log: the first ones, and one an hour after them.
func (f *failures) tell(now time.Time) bool {
	if !f.told() && now.Sub(f.toldAt) < toldEvery {
		return false
	}
	f.toldAt = now
	return true
}

const (
	toldFailures = 5
	toldEvery    = time.Hour
)
