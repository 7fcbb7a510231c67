package serve

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/lubod/lubod/sdk/internal/handshake"
)

const (
	// watchInterval is how often a process looks whether it still has a reason to live.
	watchInterval = time.Second
	// firstCallTimeout ends a process whose host never called: it died between launching it and shaking hands.
	firstCallTimeout = time.Minute
	// idleTimeout ends a detached process without a host and without work.
	idleTimeout = time.Minute
	// stopTimeout is what calls under way get to notice their end before the process is gone.
	stopTimeout = 3 * time.Second
)

// process is the life of one plugin process around its server.
type process struct {
	plugin   *Plugin
	server   *Server
	logger   *slog.Logger
	detached bool
	parent   int
	end      context.CancelFunc
	out      io.Writer
	// stdout and stderr are kept because go-plugin replaces the variables: a file that nothing refers to is closed by the
	// garbage collector, and the next file that the process opens would then be "standard error".
	stdout, stderr *os.File

	// worked is when there was work last. Only watch uses it.
	worked time.Time

	takeOver sync.Once
	// complain: what fails once a second is said once.
	complain sync.Once
	stopping sync.Once

	mu     sync.Mutex
	grpc   *grpc.Server
	socket *net.UnixAddr
}

// newGRPC makes the server for go-plugin and remembers it, to stop it later.
func (p *process) newGRPC(opts []grpc.ServerOption) *grpc.Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grpc = p.server.GRPC(opts)
	return p.grpc
}

// onCall runs at each call; the first one proves that the handshake on standard output is over.
func (p *process) onCall(ctx context.Context) {
	p.takeOver.Do(func() {
		if caller, ok := peer.FromContext(ctx); ok {
			if addr, ok := caller.LocalAddr.(*net.UnixAddr); ok {
				p.mu.Lock()
				p.socket = addr
				p.mu.Unlock()
			}
		}
		p.takeStdio()
	})
}

// takeStdio undoes go-plugin's replacement of os.Stdout and os.Stderr by pipes that only a connected host empties: a
// plugin that prints would hang as soon as they are full. What an author prints goes to the log instead.
func (p *process) takeStdio() {
	if f, ok := p.out.(*logFile); ok {
		if err := f.becomeStdio(); err != nil {
			p.logger.Error("standard output stays connected to the host", "error", err)
		}
	}
	os.Stdout, os.Stderr = p.stderr, p.stderr
}

// watch ends the process when nobody needs it any more.
func (p *process) watch(ctx context.Context) {
	ttl, err := parseTTL(os.Getenv(handshake.EnvOrphanTTL), handshake.DefaultOrphanTTL)
	if err != nil {
		p.logger.Warn("the time without a host is not set as it should be", "variable", handshake.EnvOrphanTTL, "error", err)
	}
	kept, err := parseTTL(os.Getenv(handshake.EnvKeptTTL), handshake.DefaultKeptTTL)
	if err != nil {
		p.logger.Warn("the time for what is over is not set as it should be", "variable", handshake.EnvKeptTTL, "error", err)
	}
	ticker := time.NewTicker(min(watchInterval, max(min(ttl, kept)/4, time.Millisecond)))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if reason := p.pointless(ttl, kept); reason != "" {
			p.stop(reason)
			return
		}
		if p.detached {
			p.keepSocket(ctx)
		}
	}
}

// pointless says why the process should end, or nothing.
func (p *process) pointless(ttl, kept time.Duration) string {
	absent := p.server.presence.absent()
	switch {
	case !p.detached && os.Getppid() != p.parent:
		return "the host is gone"
	case p.neverCalled():
		if absent > firstCallTimeout {
			return "the host never called"
		}
		return ""
	case !p.detached:
		return ""
	}
	busy := count(p.plugin.Busy) > 0
	if busy || p.worked.IsZero() {
		p.worked = time.Now()
	}
	switch over := time.Since(p.worked); {
	case absent > ttl:
		return "no host came back for " + ttl.String()
	case busy:
		return ""
	case count(p.plugin.Kept) > 0:
		if min(absent, over) > min(kept, ttl) {
			return "no host came for what is over"
		}
	case absent > min(idleTimeout, ttl):
		return "no host and nothing to do"
	}
	return ""
}

func count(of func() int) int {
	if of == nil {
		return 0
	}
	return of()
}

func (p *process) neverCalled() bool {
	select {
	case <-p.server.presence.first():
		return false
	default:
		return true
	}
}

// stop ends the plugin's work, then the server; Main returns after that.
func (p *process) stop(reason string) {
	p.stopping.Do(func() {
		p.logger.Info("plugin process ends", "reason", reason)
		if p.detached {
			// Segments are finished and their events kept for whoever still watches, before connections are cut.
			closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
			p.server.Close(closing)
			cancel()
		}
		p.mu.Lock()
		server := p.grpc
		p.mu.Unlock()
		p.end()
		if server == nil {
			os.Exit(1) // go-plugin has not even begun to serve
		}
		go p.cut(server)
	})
}

// cut lets the answer of the call that led here out, then closes every connection. An author's code that does not
// return keeps nobody alive.
func (p *process) cut(server *grpc.Server) {
	grace := time.AfterFunc(stopTimeout/3, server.Stop)
	defer grace.Stop()
	last := time.AfterFunc(closeTimeout+stopTimeout, func() {
		p.removeSocket()
		os.Exit(1)
	})
	defer last.Stop()
	// Never returns by itself while a host holds go-plugin's output stream open; the timer cuts that.
	server.GracefulStop()
}

// removeSocket leaves nothing behind: the host that made the folder may be dead. A folder with something else in it stays.
func (p *process) removeSocket() {
	p.mu.Lock()
	addr := p.socket
	p.mu.Unlock()
	if !p.detached || addr == nil {
		return
	}
	_ = os.Remove(addr.Name)
	if dir := filepath.Dir(addr.Name); dir == os.Getenv(plugin.EnvUnixSocketDir) {
		_ = os.Remove(dir)
	}
}

// keepSocket makes the socket again when somebody cleaned it away: it is the only way back for a host that restarts.
func (p *process) keepSocket(ctx context.Context) {
	p.mu.Lock()
	addr, server := p.socket, p.grpc
	p.mu.Unlock()
	if addr == nil || server == nil || ctx.Err() != nil {
		return
	}
	if _, err := os.Lstat(addr.Name); !os.IsNotExist(err) {
		return
	}
	listener, err := listenAgain(addr)
	if err != nil {
		p.complain.Do(func() { p.logger.Error("cannot make the removed socket again", "path", addr.Name, "error", err) })
		return
	}
	p.logger.Warn("the socket was removed; made it again", "path", addr.Name)
	go func() { _ = server.Serve(listener) }() // ends when the server is stopped, and closes the listener
}

// listenAgain makes the folder, too: whoever cleaned up can have taken it along.
func listenAgain(addr *net.UnixAddr) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(addr.Name), 0o700); err != nil {
		return nil, err
	}
	return net.ListenUnix("unix", addr)
}
