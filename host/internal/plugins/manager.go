package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/sdk"
)

// Manager runs the plugins of one host. Its methods can be called from several goroutines.
type Manager struct {
	options Options
	logger  *slog.Logger

	// life is the supervision's; it ends in Close, after the processes were stopped.
	life  context.Context
	end   context.CancelFunc
	tasks sync.WaitGroup

	runDir runDir
	// attached runs once, before anything is launched: recorders that outlived the last host are taken over.
	attached sync.Once
	// applying holds one token: Apply calls run one after the other.
	applying chan struct{}
	// loaded is closed when the first Apply is done: before, nobody knows what is installed.
	loaded chan struct{}
	// changed holds a token when a state changed since it was taken.
	changed chan struct{}

	mu      sync.Mutex
	applied bool
	closed  bool
	// entries are the plugins of plugins.hcl in its order.
	entries []*entry
	// instances are all living processes: those in use, and those that are ending.
	instances map[*instance]struct{}
}

// State is where a plugin stands.
type State string

// The states of a plugin.
const (
	Stopped  State = "stopped"  // no process; the next lease starts one
	Starting State = "starting" // a process is being brought up
	Ready    State = "ready"
	Draining State = "draining" // idle for long; the process is being stopped
	Backoff  State = "backoff"  // failed; the next start is scheduled
	Failed   State = "failed"   // failed for good, until a reload
)

// entry is one plugin of plugins.hcl. Guarded by Manager.mu.
type entry struct {
	block   config.Plugin
	state   State
	current *instance
	// about and patterns are what the plugin last said about itself; described is false when it never came up.
	described bool
	about     sdk.Description
	patterns  []*regexp.Regexp
	print     fingerprint

	// attempt is the start that is under way; nil: none.
	attempt *attempt
	// cancelRetry ends the wait for the next start.
	cancelRetry context.CancelFunc
	backoff     backoff
	next        time.Time
	lastErr     error
	restarts    int
	// removed: no longer in plugins.hcl, or replaced.
	removed bool
}

// attempt is one start; err is set before done is closed.
type attempt struct {
	done chan struct{}
	err  error
}

// New makes a manager and its directories. It starts nothing: Apply, Run and the first lease do.
func New(options Options) (*Manager, error) {
	options.setDefaults()
	dir, err := openRunDir(options.RunDir, os.TempDir())
	if err != nil {
		return nil, err
	}
	if options.LogDir, err = filepath.Abs(options.LogDir); err != nil {
		return nil, fmt.Errorf("make %q absolute: %w", options.LogDir, err)
	}
	if err := privateDir(options.LogDir); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	return &Manager{
		options: options, logger: options.Logger, life: life, end: end, runDir: dir,
		applying: make(chan struct{}, 1), loaded: make(chan struct{}), changed: make(chan struct{}, 1), instances: map[*instance]struct{}{},
	}, nil
}

// Run supervises until ctx ends, then drains and stops extractors and lines, and lets go of recorders that record.
func (m *Manager) Run(ctx context.Context) error {
	m.open(ctx)
	<-ctx.Done()
	m.Close()
	return nil
}

// Close is the end of Run, for a caller that does not run the manager. It returns when all of it has ended, after at
// most StopTimeout and the few seconds that killing takes. It can be called again.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	running := m.runningLocked()
	for _, e := range m.entries {
		e.cancelPendingRetry()
	}
	m.mu.Unlock()

	var stopping sync.WaitGroup
	for _, inst := range running {
		stopping.Go(func() { m.leave(inst) })
	}
	stopping.Wait()
	m.end()
	m.applying <- struct{}{} // an Apply under way notices the end and cleans up
	<-m.applying
	m.tasks.Wait()
	m.runDir.close()
}

// leave ends the host's part in one process.
func (m *Manager) leave(inst *instance) {
	if !inst.detached {
		m.stop(inst, m.options.StopTimeout)
		return
	}
	if m.unemployed(inst) {
		// Nothing is recorded: the process ends by itself, and the next host starts a fresh one.
		if err := inst.drainCall(context.WithoutCancel(m.life)); err == nil && m.waitExit(inst, m.options.StopTimeout) {
			return
		}
	}
	inst.letGo()
}

// unemployed reports whether a recorder certainly has no sessions.
func (m *Manager) unemployed(inst *instance) bool {
	inst.mu.Lock()
	leases := inst.leases
	inst.mu.Unlock()
	if leases > 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.life), drainCallTimeout)
	defer cancel()
	sessions, err := inst.conn.Recorder().List(ctx)
	return err == nil && len(sessions) == 0
}

func (m *Manager) waitExit(inst *instance, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-inst.watching: // the record is removed by then
		return true
	case <-timer.C:
		return false
	}
}

// open takes over the recorders of the last host, once.
func (m *Manager) open(ctx context.Context) {
	m.attached.Do(func() { m.reattach(context.WithoutCancel(ctx)) })
}

// waitLoaded waits for the first Apply.
func (m *Manager) waitLoaded(ctx context.Context) error {
	select {
	case <-m.loaded:
		return nil
	case <-m.life.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the plugins to be loaded: %w", ctx.Err())
	}
}

func (m *Manager) runningLocked() []*instance {
	running := make([]*instance, 0, len(m.instances))
	for inst := range m.instances {
		running = append(running, inst)
	}
	return running
}

// taskLocked runs f in a goroutine that Close waits for; not at all once the manager is closed.
func (m *Manager) taskLocked(f func()) bool {
	if m.closed {
		return false
	}
	m.tasks.Go(f)
	return true
}

// lease pins a running instance of the plugin that pick chooses, and starts one if needed. pick is called under the
// manager's lock, again after every wait, because a reload may have changed the answer.
func (m *Manager) lease(ctx context.Context, pick func() (*entry, error)) (*instance, error) {
	if err := m.waitLoaded(ctx); err != nil {
		return nil, err
	}
	for {
		inst, waiting, err := m.tryLease(pick)
		if inst != nil || err != nil {
			return inst, err
		}
		select {
		case <-waiting.done:
			var down *DownError
			if errors.As(waiting.err, &down) {
				return nil, down
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a plugin to start: %w", ctx.Err())
		}
	}
}

func (m *Manager) tryLease(pick func() (*entry, error)) (*instance, *attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, ErrClosed
	}
	e, err := pick()
	if err != nil {
		return nil, nil, err
	}
	if e.current != nil && e.current.acquire() {
		return e.current, nil, nil
	}
	if e.attempt != nil {
		return nil, e.attempt, nil
	}
	if e.current != nil && e.state == Ready {
		m.exitedLocked(e.current) // a moment ago: this decides about back-off, whoever notices it first
	}
	if e.state == Backoff || e.state == Failed {
		return nil, nil, m.downLocked(e)
	}
	m.beginLocked(e)
	return nil, e.attempt, nil
}

func (m *Manager) downLocked(e *entry) *DownError {
	down := &DownError{Plugin: e.block.Name, State: e.state, Next: e.next, Err: e.lastErr}
	if !e.next.IsZero() {
		down.RetryAfter = max(0, e.next.Sub(m.options.clock.Now()))
	}
	return down
}

func (e *entry) cancelPendingRetry() {
	if e.cancelRetry != nil {
		e.cancelRetry()
		e.cancelRetry = nil
	}
}
