package plugins

import (
	"context"
	"iter"
	"regexp"
	"time"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/plugins/process"
	"github.com/lubod/lubod/sdk"
)

// State is where a plugin stands.
type State string

// The states of a plugin.
const (
	Stopped  State = "stopped"  // no process; the next lease starts one
	Starting State = "starting" // a process is being brought up
	Ready    State = "ready"
	Draining State = "draining" // idle for long; the process is being stopped
	Backoff  State = "backoff"  // failed; the next start is scheduled
	Failed   State = "failed"   // keeps failing and nothing waits for it; it is tried again from time to time
)

// entry is one plugin of plugins.hcl. Guarded by Manager.mu.
type entry struct {
	block config.Plugin
	// about and patterns are what the plugin last said about itself; described is false when it never came up.
	described bool
	about     sdk.Description
	patterns  []*regexp.Regexp
	print     process.Fingerprint
	// shared is where everybody's work goes, isolated what has a recorder process of its own, by its key.
	shared   *slot
	isolated map[string]*slot
	// removed: no longer in plugins.hcl, or replaced.
	removed bool
}

// slot is the place for one process of a plugin. Guarded by Manager.mu.
type slot struct {
	entry *entry
	// isolate is the key of those who share this process; empty: everybody.
	isolate string
	state   State
	current *instance
	// attempt is the start that is under way, retry the one that is scheduled; nil: none.
	attempt, retry *attempt
	cancelRetry    context.CancelFunc
	failures       failures
	failedAt, next time.Time
	lastErr        error
	restarts       int
	// waiting is how many callers with live work wait for a process.
	waiting int
}

// attempt is one start, from its being scheduled to its outcome; err is set before done is closed.
type attempt struct {
	done chan struct{}
	err  error
}

func newEntry(block config.Plugin, factor float64) *entry {
	e := &entry{block: block, isolated: map[string]*slot{}}
	e.shared = e.newSlot("", factor)
	return e
}

func (e *entry) newSlot(isolate string, factor float64) *slot {
	return &slot{entry: e, isolate: isolate, state: Stopped, failures: newFailures(factor)}
}

// slots are all places of a plugin.
func (e *entry) slots() iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		if !yield(e.shared) {
			return
		}
		for _, s := range e.isolated {
			if !yield(s) {
				return
			}
		}
	}
}

// works reports whether a lease on a plugin is live work: a recording or a transfer waits for it. An extractor is asked
// again at the next poll.
func (e *entry) works() bool { return e.block.Kind != sdk.KindExtractor }

// describe keeps what a process of the plugin says about itself.
func (e *entry) describe(inst *instance) {
	e.described, e.about, e.patterns, e.print = true, inst.about, inst.patterns, inst.print
}

// takeRetry ends the wait for the next start and returns what its waiters wait for, or something new: its outcome is told by
// whoever takes it.
func (s *slot) takeRetry() *attempt {
	if s.retry == nil {
		return &attempt{done: make(chan struct{})}
	}
	taken := s.retry
	s.cancelRetry()
	s.retry, s.cancelRetry = nil, nil
	return taken
}

// endRetry ends the wait for the next start; who waits for it looks again.
func (s *slot) endRetry() {
	if s.retry != nil {
		close(s.takeRetry().done)
	}
}

// drop takes a process of its own off its plugin's books.
func (s *slot) drop() {
	s.endRetry()
	if s.entry.isolated[s.isolate] == s {
		delete(s.entry.isolated, s.isolate)
	}
}
