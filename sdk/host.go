package sdk

import (
	"context"
	"sync/atomic"
)

// Host is what a plugin knows of the lubod that it works for. An author needs it only for something that older hosts do
// not do.
type Host struct {
	// Version is for logs: what a host can do is told by its capabilities.
	Version      string
	Capabilities []string
}

// The capabilities of hosts of contract version 1.
const (
	HostTimeline = "timeline" // commits recorder.Timeline events
	HostPurpose  = "purpose"  // asks again, with another purpose, for streams that a poll left out
)

type hostKey struct{}

// WithHost is how a plugin's server hands the host to calls.
func WithHost(ctx context.Context, host *atomic.Pointer[Host]) context.Context {
	return context.WithValue(ctx, hostKey{}, host)
}

// HostOf returns the host of a call, or of the process whose context this is; the zero Host before it introduced itself, and
// where there is none.
func HostOf(ctx context.Context) Host {
	if host, ok := ctx.Value(hostKey{}).(*atomic.Pointer[Host]); ok {
		if known := host.Load(); known != nil {
			return *known
		}
	}
	return Host{}
}
