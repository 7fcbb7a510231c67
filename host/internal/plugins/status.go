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
	// Draining lists replaced processes that still finish something.
	Draining []ProcessStatus
	// Failures in a row, and when the next start is tried (zero: none is scheduled).
	Failures int
	NextTry  time.Time
	// Restarts counts the starts after the first one, idle stops included.
	Restarts int
	// LastError is why the plugin is in Backoff or Failed; empty otherwise.
	LastError string
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
		all = append(all, e.status())
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

func (e *entry) status() Status {
	s := Status{
		Plugin: e.block.Name, Kind: e.block.Kind, Path: e.block.Path, State: e.state,
		Version: e.about.Version, Match: e.about.Match, Lines: e.about.Lines, Capabilities: e.about.Capabilities,
		Options: e.about.Options, Failures: e.backoff.failures, NextTry: e.next, Restarts: e.restarts,
	}
	if e.lastErr != nil {
		s.LastError = e.lastErr.Error()
	}
	if e.current != nil {
		process := e.current.status()
		s.Process = &process
	}
	return s
}

func (inst *instance) status() ProcessStatus {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return ProcessStatus{
		Plugin: inst.label, Instance: inst.id, PID: inst.process.Pid(), Version: inst.about.Version,
		StartedAt: inst.started, Leases: inst.leases, Unhealthy: inst.sick,
	}
}
