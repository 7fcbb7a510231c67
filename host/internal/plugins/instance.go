package plugins

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/plugins/process"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/wire"
)

// runningProcess is one, launched by this host or taken over from the last one.
type runningProcess interface {
	// Exited is closed as soon as the process is gone.
	Exited() <-chan struct{}
	// Reason says how it ended, once it has: "exit status 2", "signal: killed".
	Reason() string
	// Clean reports whether it ended by itself without complaint; unknown ends are not clean.
	Clean() bool
	Pid() int
	// End kills the process.
	End()
	// LetGo makes everything return that waits for the process inside go-plugin, and leaves it running.
	LetGo()
}

// instance is one running process of a plugin and the connection to it.
type instance struct {
	label, id string
	kind      sdk.PluginKind
	detached  bool
	// isolate is the key of those for whom this process is; empty: everybody.
	isolate string
	print   process.Fingerprint
	file    string
	socket  string
	logFile string
	// uid is the user of the process where that is not the host's.
	uid      *int
	protocol int
	process  runningProcess
	client   *plugin.Client
	grpc     *plugin.GRPCClient
	conn     *wire.Conn
	lines    *lines
	started  time.Time
	// watched and over are guarded by Manager.mu: its supervision was begun, which happens once; it is off the books.
	watched, over bool
	// watching is closed when the supervision of this instance has ended.
	watching chan struct{}
	// tailed is closed when the log of a detached process is read to its end.
	tailed chan struct{}

	mu       sync.Mutex
	about    sdk.Description
	patterns []*regexp.Regexp
	leases   int
	closing  bool          // no new leases at all
	retired  bool          // replaced: no new work
	idle     chan struct{} // closed when closing and no lease is left
	used     time.Time     // when the last lease ended
	sick     string        // why Health complains; empty: healthy
	missed   int           // pings in a row without an answer
}

func newInstance(block config.Plugin, id, isolate string, p runningProcess) *instance {
	return &instance{
		label: block.Name, id: id, isolate: isolate, kind: block.Kind, detached: block.Kind == sdk.KindRecorder, process: p,
		idle: make(chan struct{}), watching: make(chan struct{}), tailed: make(chan struct{}),
	}
}

func (inst *instance) connect(client *plugin.Client, protocol plugin.ClientProtocol, conn *wire.Conn) {
	inst.client, inst.conn = client, conn
	inst.grpc, _ = protocol.(*plugin.GRPCClient) // AllowedProtocols lets no other through
}

// acquire counts a lease; false when the process is on its way out.
func (inst *instance) acquire() bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	if inst.closing || inst.gone() {
		return false
	}
	inst.leases++
	return true
}

func (inst *instance) release(now time.Time) {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	inst.leases--
	inst.used = now
	if inst.closing && inst.leases == 0 {
		close(inst.idle)
	}
}

// close refuses new leases from here on; the returned channel is closed when the last one is released.
func (inst *instance) close() <-chan struct{} {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	if !inst.closing {
		inst.closing = true
		if inst.leases == 0 {
			close(inst.idle)
		}
	}
	return inst.idle
}

// closeIfUnused is close for an instance that nobody has used since a time; false when somebody has.
func (inst *instance) closeIfUnused(since time.Time) bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	if inst.closing || !inst.unusedSinceLocked(since) {
		return false
	}
	inst.closing = true
	close(inst.idle)
	return true
}

// unusedSince reports whether nobody has used an instance since a time.
func (inst *instance) unusedSince(since time.Time) bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return inst.unusedSinceLocked(since)
}

func (inst *instance) unusedSinceLocked(since time.Time) bool {
	last := inst.used
	if inst.started.After(last) {
		last = inst.started
	}
	return inst.leases == 0 && !last.After(since)
}

func (inst *instance) gone() bool {
	select {
	case <-inst.process.Exited():
		return true
	default:
		return false
	}
}

func (inst *instance) describe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	about, err := inst.conn.Describe(ctx)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	var patterns []*regexp.Regexp
	for _, text := range about.Match {
		if pattern, err := regexp.Compile(text); err == nil { // mistaken reports those that do not compile
			patterns = append(patterns, pattern)
		}
	}
	inst.mu.Lock()
	defer inst.mu.Unlock()
	inst.about, inst.patterns = about, patterns
	return nil
}

func (inst *instance) description() sdk.Description {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return inst.about
}

func (inst *instance) configure(ctx context.Context, options []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return inst.conn.Configure(ctx, options)
}

func (inst *instance) health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	return inst.conn.Health(ctx)
}

// ping asks the transport whether the process answers. go-plugin's own Ping has no deadline.
func (inst *instance) ping(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := grpc_health_v1.NewHealthClient(inst.grpc.Conn)
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName}); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// drainCall tells the process that its end is near.
func (inst *instance) drainCall(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainCallTimeout)
	defer cancel()
	return inst.conn.Drain(ctx)
}

// kill ends the process, politely at first, and returns when it is gone. Calls under way are cut: drain before.
func (inst *instance) kill(grace time.Duration) {
	// go-plugin's Kill waits for an answer without a deadline; a process that hangs gives none.
	timer := time.AfterFunc(grace, inst.process.End)
	defer timer.Stop()
	inst.client.Kill()
	<-inst.process.Exited()
}

// letGo gives up the connection and leaves the process running.
func (inst *instance) letGo() {
	inst.hangUp()
	inst.process.LetGo()
}

// hangUp closes the connection. It can be called again.
func (inst *instance) hangUp() {
	if inst.grpc != nil {
		_ = inst.grpc.Conn.Close()
	}
}
