package plugins

import (
	"cmp"
	"slices"
	"time"

	"github.com/lubod/lubod/sdk"
)

// Status is where one plugin of plugins.hcl stands.
type Status struct {
	// Plugin is the label.
	Plugin string
	Kind   sdk.PluginKind
	Path   string
	State  State
	// Version, Match, Lines, Capabilities and Options are what the plugin last said about itself; empty when it never
	// came up.
	Version      string
	Match        []string
	Lines        []string
	Capabilities []string
	Options      []sdk.Option
	// Process is the running one; nil: none.
	Process *ProcessStatus
	// Isolated are the recorder processes that only some rooms use.
	Isolated []IsolatedStatus
	// Draining lists replaced processes that still finish something.
	Draining []ProcessStatus
	// Failures in a row, and when the next start is tried (zero: none is scheduled).
	Failures int
	NextTry  time.Time
	// Restarts counts the starts after the first one, idle stops included.
	Restarts int
	// LastError is why the plugin is down, or cannot be relied on because it fails again and again; empty otherwise.
	LastError string
}

// IsolatedStatus is where a recorder process stands that only some rooms use.
type IsolatedStatus struct {
	// Key is what its users named it by.
	Key       string
	State     State
	Process   *ProcessStatus
	Failures  int
	LastError string
}

// IsolatedProcesses counts the processes that only some rooms use.
func (s Status) IsolatedProcesses() int {
	n := 0
	for _, one := range s.Isolated {
		if one.Process != nil {
			n++
		}
	}
	return n
}

// ProcessStatus is where one process stands.
type ProcessStatus struct {
	Plugin    string
	Instance  string
	PID       int
	Version   string
	StartedAt time.Time
	// Leases is how many callers hold it.
	Leases int
	// Unhealthy is what Health complains about; empty: nothing.
	Unhealthy string
}

// Changed lets one caller wait for the next change of what Status answers. Changes that follow each other closely are one.
func (m *Manager) Changed() <-chan struct{} { return m.changed }

// noteChange wakes whoever waits on Changed.
func (m *Manager) noteChange() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// Status lists the plugins in the order of plugins.hcl. Recorders of earlier hosts that no block names any more come
// last, as stopped plugins with draining processes.
func (m *Manager) Status() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Status, 0, len(m.entries))
	for _, e := range m.entries {
		all = append(all, e.status(m.options.clock.Now()))
	}
	for _, inst := range m.runningLocked() {
		if m.ownerLocked(inst) != nil {
			continue
		}
		i := slices.IndexFunc(all, func(s Status) bool { return s.Plugin == inst.label })
		if i < 0 {
			i = len(all)
			all = append(all, Status{Plugin: inst.label, Kind: inst.kind, Path: inst.print.Path, State: Stopped})
		}
		all[i].Draining = append(all[i].Draining, inst.status())
	}
	for i := range all {
		slices.SortFunc(all[i].Draining, func(a, b ProcessStatus) int { return cmp.Compare(a.Instance, b.Instance) })
	}
	return all
}

func (e *entry) status(now time.Time) Status {
	shared := e.shared
	s := Status{
		Plugin: e.block.Name, Kind: e.block.Kind, Path: e.block.Path, State: shared.state,
		Version: e.about.Version, Match: e.about.Match, Lines: e.about.Lines, Capabilities: e.about.Capabilities,
		Options: e.about.Options, Failures: shared.failures.inARow, NextTry: shared.next, Restarts: shared.restarts,
		Process: shared.process(), LastError: shared.trouble(now),
	}
	for key, one := range e.isolated {
		s.Isolated = append(s.Isolated, IsolatedStatus{
			Key: key, State: one.state, Process: one.process(), Failures: one.failures.inARow, LastError: one.trouble(now),
		})
	}
	slices.SortFunc(s.Isolated, func(a, b IsolatedStatus) int { return cmp.Compare(a.Key, b.Key) })
	return s
}

func (s *slot) process() *ProcessStatus {
	if s.current == nil {
		return nil
	}
	process := s.current.status()
	return &process
}

// trouble is why a slot is down, or why its process cannot be relied on; empty: neither.
func (s *slot) trouble(now time.Time) string {
	steady := s.state == Ready && (s.failures.inARow < unsteadyFailures || now.Sub(s.current.started) >= steadyAfter)
	if s.lastErr == nil || steady {
		return ""
	}
	return s.lastErr.Error()
}

// RecorderTrouble returns why a recorder takes no sessions now, or fails again and again, as a *DownError; nil: neither. An
// empty label means the first of plugins.hcl. It starts nothing and waits for nothing.
func (m *Manager) RecorderTrouble(label string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.firstRecorderLocked()
	if label != "" {
		e, err = m.recorderLocked(label)
	}
	if err != nil {
		return err
	}
	if e.shared.trouble(m.options.clock.Now()) == "" {
		return nil
	}
	return m.downLocked(e.shared)
}

func (inst *instance) status() ProcessStatus {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return ProcessStatus{
		Plugin: inst.label, Instance: inst.id, PID: inst.process.Pid(), Version: inst.about.Version,
		StartedAt: inst.started, Leases: inst.leases, Unhealthy: inst.sick,
	}
}
