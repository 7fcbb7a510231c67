package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/sdk"
)

// startsAtOnce bounds how many plugins are brought up side by side.
const startsAtOnce = 4

// staged is what Apply found out about one block before it changes anything.
type staged struct {
	block config.Plugin
	// keep: the running set-up is what the block asks for.
	keep bool
	// fresh is the process that shall serve the block from now on.
	fresh *instance
	// adopted: fresh is a recorder that an earlier host launched.
	adopted bool
	err     error
}

// Apply makes the installed plugins those of plugins.hcl. It is the one way in for the first load and for every reload:
// what changed is started beside what runs, taken through Describe, Configure and Health, and only then switched to;
// replaced processes finish their calls and end. A plugin changed when its path, binary, options or checksum did.
//
// On the first load a plugin that cannot be brought up is a failed entry, and Apply succeeds. On a reload any failure
// leaves everything as it was, and the error names every plugin that failed.
func (m *Manager) Apply(ctx context.Context, wanted config.Plugins) error {
	m.open(ctx)
	select {
	case m.applying <- struct{}{}:
		defer func() { <-m.applying }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another reload: %w", ctx.Err())
	}
	stages := make([]staged, len(wanted.Blocks))
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for i, block := range wanted.Blocks {
		group.Go(func() error {
			stages[i] = m.stage(ctx, block)
			return nil
		})
	}
	_ = group.Wait()
	if err := m.verdict(ctx, stages); err != nil {
		for _, s := range stages {
			if s.fresh != nil && !s.adopted {
				m.discard(s.fresh)
			}
		}
		return err
	}
	for _, unwanted := range m.switchTo(stages) {
		m.discard(unwanted)
	}
	return nil
}

// verdict decides whether the stages may be switched to.
func (m *Manager) verdict(ctx context.Context, stages []staged) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("load plugins: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if !m.applied {
		return nil
	}
	var problems []error
	for _, s := range stages {
		problems = append(problems, s.err)
	}
	return errors.Join(problems...)
}

// stage finds or brings up the process for one block.
func (m *Manager) stage(ctx context.Context, block config.Plugin) staged {
	s := staged{block: block}
	file, err := hashFile(block.Path)
	if err != nil {
		s.err = explainFile(block, err)
		return s
	}
	if block.SHA256 != "" {
		if s.err = verify(block, file); s.err != nil {
			return s
		}
	}
	if s.keep, s.err = m.unchanged(block, file); s.keep || s.err != nil {
		return s
	}
	if s.fresh = m.leftBehind(block, file); s.fresh != nil {
		s.adopted = true
		return s
	}
	s.fresh, s.err = m.bring(ctx, block, "")
	return s
}

// unchanged reports whether a block asks for what is there. A plugin that failed for good is brought up again even so:
// that is what a reload is for.
func (m *Manager) unchanged(block config.Plugin, file string) (bool, error) {
	m.mu.Lock()
	e := m.entryLocked(block.Name)
	if e == nil || !e.described || e.print.Path != block.Path || e.print.File != file || e.shared.state == Failed {
		m.mu.Unlock()
		return false, nil
	}
	schema, before := e.about.Options, e.print
	m.mu.Unlock()
	options, err := config.DecodeOptions(block, schema, m.options.Getenv)
	if err != nil {
		return false, &LaunchError{Plugin: block.Name, Problem: err.Error(), Permanent: true, Err: err}
	}
	return m.fingerprint(block, file, options) == before, nil
}

// leftBehind returns the recorder process that an earlier host launched for the same block, binary and options.
func (m *Manager) leftBehind(block config.Plugin, file string) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.applied {
		return nil
	}
	for inst := range m.instances {
		if inst.isolate == "" && inst.label == block.Name && inst.print.Path == block.Path && inst.print.File == file &&
			!inst.isRetired() && !inst.gone() && m.fits(inst, block) {
			return inst
		}
	}
	return nil
}

// fits reports whether a process has the options of a block.
func (m *Manager) fits(inst *instance, block config.Plugin) bool {
	options, err := config.DecodeOptions(block, inst.about.Options, m.options.Getenv)
	return err == nil && m.fingerprint(block, inst.print.File, options) == inst.print
}

// switchTo makes the stages the plugins of this host. It returns processes that came too late.
func (m *Manager) switchTo(stages []staged) (unwanted []*instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		for _, s := range stages {
			if s.fresh != nil && !s.adopted {
				unwanted = append(unwanted, s.fresh)
			}
		}
		return unwanted
	}
	defer m.noteChange()
	old := m.entries
	m.entries = make([]*entry, len(stages))
	for i, s := range stages {
		m.entries[i] = m.entryForLocked(s, old)
	}
	for _, e := range old {
		if !slices.Contains(m.entries, e) {
			m.removeLocked(e)
		}
	}
	if !m.applied {
		m.settleLocked()
	}
	if !m.applied {
		m.applied = true
		close(m.loaded)
	}
	for i, s := range stages {
		if s.err != nil {
			m.failLocked(m.entries[i].shared, s.err, 0, false)
		}
	}
	return nil
}

// entryForLocked returns the entry that stands for a stage: the old one when nothing changed, else a new one.
func (m *Manager) entryForLocked(s staged, old []*entry) *entry {
	if s.keep {
		for _, e := range old {
			if e.block.Name == s.block.Name {
				e.block = s.block // limits and positions in the file may have changed
				return e
			}
		}
	}
	e := newEntry(s.block, m.options.jitter)
	if s.fresh != nil {
		m.installLocked(e.shared, s.fresh)
	}
	return e
}

// removeLocked takes a plugin out of use. What its processes do goes on until it ends.
func (m *Manager) removeLocked(e *entry) {
	e.removed = true
	for s := range e.slots() {
		s.endRetry()
		if s.current != nil {
			m.retireLocked(s.current)
		}
	}
}

// settleLocked gives the recorders of earlier hosts that have no slot yet one of their own where they had one, and takes those
// out of use that no block asks for any more. What they record goes on until it ends.
func (m *Manager) settleLocked() {
	for inst := range m.instances {
		if m.ownerLocked(inst) != nil || inst.isRetired() {
			continue
		}
		e := m.entryLocked(inst.label)
		if inst.isolate == "" || e == nil || e.print != inst.print || e.isolated[inst.isolate] != nil {
			m.retireLocked(inst)
			continue
		}
		m.installLocked(m.isolatedLocked(e, inst.isolate), inst)
	}
}

// isolatedLocked returns the slot of a key, and makes it if there is none.
func (m *Manager) isolatedLocked(e *entry, key string) *slot {
	s := e.isolated[key]
	if s == nil {
		s = e.newSlot(key, m.options.jitter)
		e.isolated[key] = s
	}
	return s
}

func (m *Manager) entryLocked(label string) *entry {
	for _, e := range m.entries {
		if e.block.Name == label {
			return e
		}
	}
	return nil
}

// firstLocked returns the first plugin of a kind, in the order of the file, that a condition holds for.
func (m *Manager) firstLocked(kind sdk.PluginKind, holds func(*entry) bool) *entry {
	for _, e := range m.entries {
		if e.block.Kind == kind && holds(e) {
			return e
		}
	}
	return nil
}
