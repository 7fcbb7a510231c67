package api

import (
	"container/list"
	"sync"
	"time"
)

const (
	// throttleEntries bounds the memory of a throttle to well under a megabyte, whatever is thrown at it.
	throttleEntries = 4096
	// throttleMemory is how long failures count.
	throttleMemory = time.Hour
)

// allowance is how many failures are free for one key and how long the wait after them grows.
type allowance struct {
	free    int
	longest time.Duration
}

// Addresses belong to attackers; a user name belongs to a person whom an attacker must not lock out.
var (
	// perAddress is for what only one address does: set-up tokens, unknown API tokens.
	perAddress = allowance{free: 10, longest: 15 * time.Minute}
	// perLogin is for one user name from one address, or one device.
	perLogin = allowance{free: 10, longest: 15 * time.Minute}
	// perSubscriber is for all user names from one address: those behind it may be many.
	perSubscriber = allowance{free: 100, longest: 15 * time.Minute}
	// perUser slows down who guesses one user name from many addresses. The person himself, on a device that was never used
	// before, waits as long, and no longer.
	perUser = allowance{free: 200, longest: 5 * time.Second}
)

// attemptKey is what attempts are counted for.
type attemptKey struct {
	key string
	allowance
}

// throttle slows guessing down: after some failures for a key each further attempt has to wait, twice as long each time.
type throttle struct {
	mu      sync.Mutex
	now     func() time.Time
	entries map[string]*list.Element
	// recent holds *failures, the most recent first; the oldest are forgotten when there are too many.
	recent *list.List
}

type failures struct {
	key   string
	count int
	last  time.Time
	until time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, entries: make(map[string]*list.Element), recent: list.New()}
}

// attempt counts an attempt as failed until forget says otherwise, so that many at once are not all let through. A
// positive wait means that the attempt must not be made; it is then not counted.
func (t *throttle) attempt(keys ...attemptKey) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, k := range keys {
		if element, ok := t.entries[k.key]; ok {
			wait = max(wait, element.Value.(*failures).until.Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, k := range keys {
		f := t.entry(k.key)
		if now.Sub(f.last) > throttleMemory {
			f.count = 0
		}
		f.count++
		f.last = now
		if over := f.count - k.free; over >= 0 {
			f.until = now.Add(min(time.Second<<min(over, 20), k.longest))
		}
	}
	return 0
}

// forget clears what is held against the keys: the attempt was right.
func (t *throttle) forget(keys ...attemptKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if element, ok := t.entries[k.key]; ok {
			t.recent.Remove(element)
			delete(t.entries, k.key)
		}
	}
}

// undo takes back one attempt that told nothing, such as one that the database could not answer.
func (t *throttle) undo(keys ...attemptKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if element, ok := t.entries[k.key]; ok {
			f := element.Value.(*failures)
			f.count = max(0, f.count-1)
			f.until = time.Time{}
		}
	}
}

func (t *throttle) entry(key string) *failures {
	if element, ok := t.entries[key]; ok {
		t.recent.MoveToFront(element)
		return element.Value.(*failures)
	}
	if t.recent.Len() >= throttleEntries {
		oldest := t.recent.Back()
		t.recent.Remove(oldest)
		delete(t.entries, oldest.Value.(*failures).key)
	}
	f := &failures{key: key}
	t.entries[key] = t.recent.PushFront(f)
	return f
}
