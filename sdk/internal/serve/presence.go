package serve

import (
	"context"
	"fmt"
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
	// quiet is closed while no call is under way.
	quiet chan struct{}
}

func newPresence() *presence {
	p := &presence{last: time.Now(), notify: make(chan struct{}), quiet: make(chan struct{})}
	close(p.quiet)
	return p
}

// enter counts a call; the returned function ends it.
func (p *presence) enter() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls == 0 {
		p.quiet = make(chan struct{})
	}
	p.calls++
	if !p.ever {
		p.ever = true
		close(p.notify)
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls--
		if p.calls == 0 {
			close(p.quiet)
		}
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

// wait returns when no call is under way.
func (p *presence) wait(ctx context.Context) error {
	p.mu.Lock()
	quiet := p.quiet
	p.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of calls: %w", ctx.Err())
	}
}
