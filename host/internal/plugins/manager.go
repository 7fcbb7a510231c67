package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lubod/lubod/host/internal/plugins/process"
)

// Manager runs the plugins of one host. Its methods can be called from several goroutines.
//
// There are two kinds of locks: Manager.mu, which guards what is installed and where it stands, and instance.mu, which guards
// the leases of one process. Whoever needs both takes Manager.mu first. Neither is held over a call to a plugin.
type Manager struct {
	options Options
	logger  *slog.Logger

	// life is the supervision's; it ends in Close, after the processes were stopped.
	life  context.Context
	end   context.CancelFunc
	tasks sync.WaitGroup

	runDir process.RunDir
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

// New makes a manager and its directories. It starts nothing: Apply, Run and the first lease do.
func New(options Options) (*Manager, error) {
	options.setDefaults()
	dir, err := process.OpenRunDir(options.RunDir, os.TempDir())
	if err != nil {
		return nil, err
	}
	if options.LogDir, err = filepath.Abs(options.LogDir); err != nil {
		return nil, fmt.Errorf("make %q absolute: %w", options.LogDir, err)
	}
	if err := process.PrivateDir(options.LogDir); err != nil {
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
		for s := range e.slots() {
			s.endRetry()
		}
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
	m.runDir.Close()
}

// leave ends the host's part in one process.
func (m *Manager) leave(inst *instance) {
	if !inst.detached {
		m.stop(inst, m.options.StopTimeout)
		return
	}
	if m.unemployed(inst) {
		// Nothing is recorded: the process ends by itself, and the next host starts a fresh one. It waits for its last
		// connection, which is ours.
		if err := inst.drainCall(context.WithoutCancel(m.life)); err == nil {
			inst.hangUp()
			if m.waitExit(inst, m.options.StopTimeout) {
				return
			}
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
