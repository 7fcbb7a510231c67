package serve

import (
	"sync"
	"time"
)

// presence knows whether a host is there: a call is under way (a connected host always has one, go-plugin's output
// stream), or when the last one ended.
type presence struct {
	mu     sync.Mutex
	calls  int
	ever   bool
	last   time.Time
	notify chan struct{}
}

func newPresence() *presence {
	return &presence{last: time.Now(), notify: make(chan struct{})}
}

// enter counts a call; the returned function ends it.
func (p *presence) enter() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if !p.ever {
		p.ever = true
		close(p.notify)
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls--
		p.last = time.Now()
	}
}

// absent returns for how long no host was there.
func (p *presence) absent() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls > 0 {
		return 0
	}
	return time.Since(p.last)
}

// first is closed at the first call.
func (p *presence) first() <-chan struct{} { return p.notify }
