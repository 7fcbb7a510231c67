package main

import (
	"context"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/lubod/lubod/sdk"
)

// banPause is how long a server that said "too often" is left alone when it does not say itself: bans of addresses
// last ten to thirty minutes, and asking on makes them longer.
const banPause = 10 * time.Minute

// burst lets the few requests of one room pass without a pause between them.
const burst = 3

// gate spaces the requests to each server and keeps away from servers that asked for a rest.
type gate struct {
	every time.Duration
	now   func() time.Time

	mu    sync.Mutex
	hosts map[string]*hostGate
}

type hostGate struct {
	limiter *rate.Limiter
	closed  time.Time
}

func newGate(every time.Duration, now func() time.Time) *gate {
	return &gate{every: every, now: now, hosts: map[string]*hostGate{}}
}

func (g *gate) of(host string) *hostGate {
	h := g.hosts[host]
	if h == nil {
		const manyHosts = 64 // mirrors of single rooms come and go
		if len(g.hosts) >= manyHosts {
			clear(g.hosts)
		}
		h = &hostGate{limiter: rate.NewLimiter(rate.Every(g.every), burst)}
		g.hosts[host] = h
	}
	return h
}

// wait returns when it is this caller's turn.
func (g *gate) wait(ctx context.Context, host string) error {
	g.mu.Lock()
	h := g.of(host)
	rest := h.closed.Sub(g.now())
	g.mu.Unlock()
	if rest > 0 {
		return &sdk.Error{Kind: sdk.RateLimited, RetryAfter: rest, Message: host + " asked to be left alone and is not asked again yet"}
	}
	if err := h.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return sdk.Errorf(sdk.Unavailable, "too many requests to %s wait for their turn: %w", host, err)
	}
	return nil
}

// rest keeps all callers away from a server for a while.
func (g *gate) rest(host string, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := g.now().Add(d); until.After(g.of(host).closed) {
		g.of(host).closed = until
	}
}

func hostOf(base string) string {
	if u, err := url.Parse(base); err == nil {
		return u.Host
	}
	return base
}
