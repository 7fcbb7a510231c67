package plugins

import (
	"context"
	"fmt"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/wire"
)

// beginLocked starts a process for a slot.
func (m *Manager) beginLocked(s *slot) {
	defer m.noteChange()
	attempt := s.takeRetry()
	s.attempt, s.state, s.current = attempt, Starting, nil
	block, isolate := s.entry.block, s.isolate
	started := m.taskLocked(func() {
		inst, err := m.bring(m.life, block, isolate)
		if superfluous := m.finish(s, attempt, inst, err); superfluous != nil {
			m.discard(superfluous)
		}
	})
	if !started {
		s.attempt, s.state = nil, Stopped
		attempt.err = &DownError{Plugin: block.Name, State: Stopped, Err: ErrClosed}
		close(attempt.done)
	}
}

// finish stores the outcome of a start. It returns the process when nobody wants it any more.
func (m *Manager) finish(s *slot, a *attempt, inst *instance, err error) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer close(a.done)
	if s.attempt != a || s.entry.removed || m.closed { // a reload or the end came first
		a.err = &DownError{Plugin: s.entry.block.Name, State: s.state, Err: ErrClosed}
		if !m.closed {
			a.err = nil // whoever waits asks again
		}
		return inst
	}
	s.attempt = nil
	if err != nil {
		m.failLocked(s, err, 0, false)
		if s.attempt == nil { // else it is tried again at once, and who waits goes on waiting
			a.err = m.downLocked(s)
		}
		return nil
	}
	s.restarts++
	m.installLocked(s, inst)
	return nil
}

// installLocked makes an instance the current one of a slot and begins to supervise it.
func (m *Manager) installLocked(s *slot, inst *instance) {
	defer m.noteChange()
	s.endRetry()
	s.entry.describe(inst)
	if inst.over { // it died between being chosen and being used
		m.beginLocked(s)
		return
	}
	s.current, s.state, s.next = inst, Ready, time.Time{}
	m.watchLocked(inst)
	if s.failures.told() {
		m.logger.Info("plugin is ready", "plugin", inst.label, "version", inst.about.Version, "pid", inst.process.Pid(), "instance", inst.id)
	}
}

// exitedLocked takes a process that is gone off the books, once.
func (m *Manager) exitedLocked(inst *instance) {
	if inst.over {
		return
	}
	inst.over = true
	delete(m.instances, inst)
	inst.letGo()
	defer m.noteChange()
	s := m.ownerLocked(inst)
	if s == nil {
		m.logger.Info("plugin process has ended", "plugin", inst.label, "pid", inst.process.Pid(), "reason", inst.process.Reason())
		return
	}
	s.current = nil
	if m.closed || s.state == Draining || inst.endedIdle() {
		s.state, s.lastErr = Stopped, nil
		s.drop()
		m.logger.Info("plugin has stopped", "plugin", inst.label, "pid", inst.process.Pid(), "reason", inst.process.Reason())
		return
	}
	now := m.options.clock.Now()
	err := fmt.Errorf("the process ended unexpectedly (%s): %w", inst.process.Reason(), wire.ErrPluginDown)
	m.failLocked(s, err, now.Sub(inst.started), inst.worked(now))
}

// worked reports whether a process that has just ended was in use. Whoever used it may have noticed its end first.
func (inst *instance) worked(now time.Time) bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return inst.leases > 0 || (!inst.used.IsZero() && now.Sub(inst.used) < workMemory)
}

// workMemory is how long after its last lease a process that dies is taken for one that was in use.
const workMemory = 5 * time.Second

// endedIdle reports whether a recorder went of its own accord because nothing was recorded: not a failure.
func (inst *instance) endedIdle() bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return inst.detached && inst.leases == 0 && inst.process.Clean()
}

// failLocked counts a failure and schedules the next start. uptime is 0 when the process did not come up. worked: it was in
// use when it died.
func (m *Manager) failLocked(s *slot, err error, uptime time.Duration, worked bool) {
	defer m.noteChange()
	work := s.entry.works() && (worked || s.waiting > 0)
	delay, broken := s.failures.add(uptime, work)
	now := m.options.clock.Now()
	s.state, s.lastErr, s.failedAt = Backoff, err, now
	// What has worked before may work again without anybody's help: a file can be missing during an upgrade.
	if broken || (!work && permanent(err) && !s.entry.described) {
		s.state, delay = Failed, max(delay, brokenDelay)
	}
	m.tellFailure(s, delay)
	if s.isolate != "" && !work {
		s.drop() // whoever needs it asks for it again
		return
	}
	if delay == 0 {
		s.next = time.Time{}
		m.beginLocked(s)
		return
	}
	m.scheduleLocked(s, delay)
}

// tellFailure logs the first failures in a row, and how many there were every hour.
func (m *Manager) tellFailure(s *slot, delay time.Duration) {
	if !s.failures.tell(m.options.clock.Now()) {
		return
	}
	m.logger.Error("plugin has failed and is started again", "plugin", s.entry.block.Name, "failures", s.failures.inARow,
		"retry_in", delay.Round(time.Millisecond), "error", s.lastErr)
}

// scheduleLocked makes delay pass before the next start. Who waits for it already goes on waiting.
func (m *Manager) scheduleLocked(s *slot, delay time.Duration) {
	retry := s.takeRetry()
	ctx, cancel := context.WithCancel(m.life)
	scheduled := m.taskLocked(func() {
		defer cancel()
		if m.options.clock.Wait(ctx, delay) != nil {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if ctx.Err() == nil { // nobody ended the wait before this lock was taken
			m.beginLocked(s)
		}
	})
	s.retry, s.cancelRetry, s.next = retry, cancel, m.options.clock.Now().Add(delay)
	if !scheduled {
		s.endRetry()
	}
}

// hurryLocked brings the next start forward because work waits for it.
func (m *Manager) hurryLocked(s *slot) {
	soon := s.failedAt.Add(liveDelay)
	if s.retry != nil && !s.next.After(soon) {
		return
	}
	if delay := soon.Sub(m.options.clock.Now()); delay > 0 {
		m.scheduleLocked(s, delay)
		return
	}
	m.beginLocked(s)
}

func (m *Manager) downLocked(s *slot) *DownError {
	down := &DownError{Plugin: s.entry.block.Name, State: s.state, Next: s.next, Err: s.lastErr}
	if !s.next.IsZero() {
		down.RetryAfter = max(0, s.next.Sub(m.options.clock.Now()))
	}
	return down
}

// ownerLocked returns the slot whose current instance this is; nil: none.
func (m *Manager) ownerLocked(inst *instance) *slot {
	for _, e := range m.entries {
		for s := range e.slots() {
			if s.current == inst {
				return s
			}
		}
	}
	return nil
}

// retireIfIdle ends a recorder process of one's own when what it was for is over.
func (m *Manager) retireIfIdle(inst *instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.ownerLocked(inst)
	if s == nil || s.isolate == "" || !inst.unusedSince(m.options.clock.Now().Add(-isolatedIdle)) {
		return
	}
	s.current, s.state = nil, Stopped
	s.drop()
	m.retireLocked(inst)
}

// isolatedIdle is how long a recorder process of one's own stays without work: until its room is live again, mostly.
const isolatedIdle = time.Minute

// limitOf is how long a replaced process may finish its calls.
func (m *Manager) limitOf(kind sdk.PluginKind) time.Duration {
	if kind == sdk.KindLine {
		return m.options.LineDrain
	}
	return m.options.ExtractorDrain
}
