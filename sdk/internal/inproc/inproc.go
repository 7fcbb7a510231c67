// Package inproc serves a plugin inside a test, over real gRPC in memory, as a process would serve it.
package inproc

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/lubod/lubod/sdk/internal/serve"
	"github.com/lubod/lubod/sdk/wire"
)

// stopTimeout ends a test that would hang.
const stopTimeout = 30 * time.Second

// Instance is one served plugin.
type Instance struct {
	*wire.Conn
	Server *serve.Server
	// Idle is closed when the plugin would end its process because it was drained.
	Idle <-chan struct{}
	// Stop ends it like a process that was told to end; a second call does nothing.
	Stop func()
}

// Start serves a plugin until Stop or the test's end.
func Start(t *testing.T, p *serve.Plugin) *Instance {
	t.Helper()
	life, end := context.WithCancel(context.WithoutCancel(t.Context()))
	out := &Output{t: t}
	logger := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	idle := make(chan struct{})
	server := serve.NewServer(life, p, "inproc", logger, func() { close(idle) })

	listener := bufconn.Listen(1 << 20)
	g := server.GRPC(nil)
	server.Register(g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(listener) })

	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatalf("connect to plugin: %v", err)
	}
	stop := sync.OnceFunc(func() {
		_ = conn.Close()
		end()
		closing, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		server.Close(closing)
		if err := server.WaitIdle(closing); err != nil {
			t.Errorf("a call does not return though its caller is gone: %v", err)
		}
		g.Stop()
		serving.Wait()
		out.Close()
	})
	t.Cleanup(stop)
	return &Instance{Conn: wire.NewConn(conn), Server: server, Idle: idle, Stop: stop}
}

// Output sends log lines to a test while it lives; a test must not be written to later.
type Output struct {
	mu     sync.Mutex
	t      *testing.T
	closed bool
}

// NewOutput writes to the output of t until Close.
func NewOutput(t *testing.T) *Output { return &Output{t: t} }

// Write implements io.Writer.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		_, _ = o.t.Output().Write(line)
	}
	return len(line), nil
}

// Close drops what is written from now on.
func (o *Output) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}
