package plugins

import (
	"context"
	"fmt"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/wire"
)

const (
	// missedPings in a row mean that an attached process hangs; it is killed and started again.
	missedPings = 3
	// missedPingsDetached is far more patient: killing a recorder loses live seconds that it may still be writing.
	missedPingsDetached = 30
	// healthEvery is how many pings lie between two Health calls: about a minute.
	healthEvery = 6
)

// beginLocked starts a process for an entry.
func (m *Manager) beginLocked(e *entry) {
	defer m.noteChange()
	attempt := &attempt{done: make(chan struct{})}
	e.attempt, e.state, e.current = attempt, Starting, nil
	e.cancelPendingRetry()
	block := e.block
	started := m.taskLocked(func() {
		inst, err := m.bring(m.life, block)
		if superfluous := m.finish(e, attempt, inst, err); superfluous != nil {
			m.discard(superfluous)
		}
	})
	if !started {
		e.attempt, e.state = nil, Stopped
		attempt.err = &DownError{Plugin: block.Name, State: Stopped, Err: ErrClosed}
		close(attempt.done)
	}
}

// finish stores the outcome of a start. It returns the process when nobody wants it any more.
func (m *Manager) finish(e *entry, a *attempt, inst *instance, err error) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer close(a.done)
	if e.attempt != a || e.removed || m.closed { // a reload or the end came first
		a.err = &DownError{Plugin: e.block.Name, State: e.state, Err: ErrClosed}
		if !m.closed {
			a.err = nil // whoever waits asks again
		}
		return inst
	}
	e.attempt = nil
	if err != nil {
		m.failLocked(e, err, 0)
		a.err = m.downLocked(e)
		return nil
	}
	e.restarts++
	m.installLocked(e, inst)
	return nil
}

// installLocked makes an instance the current one of an entry and begins to supervise it.
func (m *Manager) installLocked(e *entry, inst *instance) {
	defer m.noteChange()
	e.cancelPendingRetry()
	e.described, e.about, e.patterns, e.print = true, inst.about, inst.patterns, inst.print
	if inst.over { // it died between being chosen and being used
		m.beginLocked(e)
		return
	}
	e.current, e.state, e.next, e.lastErr = inst, Ready, time.Time{}, nil
	m.watchLocked(inst)
	m.logger.Info("plugin is ready", "plugin", inst.label, "version", inst.about.Version, "pid", inst.process.Pid(), "instance", inst.id)
}

// watchLocked begins to supervise a process, once.
func (m *Manager) watchLocked(inst *instance) {
	if inst.watched { // m.instances does not tell: a process that is gone has left it
		return
	}
	inst.watched = true
	m.instances[inst] = struct{}{}
	m.tasks.Go(func() { m.supervise(inst) })
	if inst.detached {
		follower := &tail{path: inst.logFile, placePath: m.runDir.placePath(inst.id), lines: inst.lines}
		m.tasks.Go(func() {
			defer close(inst.tailed)
			follower.follow(m.life, inst.process.Exited())
		})
	}
}

// supervise watches one process until it is gone or the manager ends.
func (m *Manager) supervise(inst *instance) {
	defer close(inst.watching)
	ticker := time.NewTicker(m.options.pingInterval)
	defer ticker.Stop()
	for count := 1; ; count++ {
		select {
		case <-m.life.Done():
			return
		case <-inst.process.Exited():
			m.exited(inst)
			return
		case <-ticker.C:
			m.check(inst, count%healthEvery == 0)
		}
	}
}

// check asks a process for signs of life and stops it when nobody needs it.
func (m *Manager) check(inst *instance, health bool) {
	if m.stopIdle(inst) {
		return
	}
	if err := inst.ping(m.life, m.options.pingTimeout); err != nil {
		if m.missedPing(inst, err) {
			m.logger.Error("plugin does not answer; it is killed", "plugin", inst.label, "pid", inst.process.Pid(), "error", err)
			inst.process.End()
		}
		return
	}
	inst.answered()
	if health {
		m.noteHealth(inst, inst.health(m.life))
	}
	if inst.detached && inst.isRetired() {
		// Once is enough; again costs nothing and helps when the first call was lost.
		_ = inst.drainCall(m.life)
	}
}

// missedPing counts a ping without an answer; true when there were too many.
func (m *Manager) missedPing(inst *instance, err error) bool {
	if m.life.Err() != nil || inst.gone() {
		return false
	}
	inst.mu.Lock()
	defer inst.mu.Unlock()
	inst.missed++
	m.logger.Warn("plugin does not answer", "plugin", inst.label, "pid", inst.process.Pid(), "missed", inst.missed, "error", err)
	if inst.detached {
		return inst.missed >= missedPingsDetached
	}
	return inst.missed >= missedPings
}

func (inst *instance) answered() {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	inst.missed = 0
}

// noteHealth keeps what Health said and logs a change.
func (m *Manager) noteHealth(inst *instance, err error) {
	if m.life.Err() != nil || inst.gone() {
		return
	}
	inst.mu.Lock()
	defer inst.mu.Unlock()
	before := inst.sick
	inst.sick = ""
	if err != nil {
		inst.sick = err.Error()
	}
	if inst.sick != before {
		m.noteChange()
	}
	switch {
	case before == "" && inst.sick != "":
		m.logger.Warn("plugin is not healthy", "plugin", inst.label, "pid", inst.process.Pid(), "error", err)
	case before != "" && inst.sick == "":
		m.logger.Info("plugin is healthy again", "plugin", inst.label, "pid", inst.process.Pid())
	}
}

// stopIdle stops an extractor or line that nobody has used for long; the next lease starts it again.
func (m *Manager) stopIdle(inst *instance) bool {
	m.mu.Lock()
	e := m.ownerLocked(inst)
	if e == nil || inst.detached || e.state != Ready {
		m.mu.Unlock()
		return false
	}
	limit := m.options.IdleStop
	if e.block.Limits.IdleStop > 0 {
		limit = e.block.Limits.IdleStop
	}
	if !inst.closeIfUnused(m.options.clock.Now().Add(-limit)) {
		m.mu.Unlock()
		return false
	}
	e.state = Draining
	m.noteChange()
	m.mu.Unlock()

	m.logger.Info("plugin is idle and stops", "plugin", inst.label, "pid", inst.process.Pid())
	m.stop(inst, 0)
	return true
}

// stop drains an attached process for at most limit and ends it.
func (m *Manager) stop(inst *instance, limit time.Duration) {
	idle := inst.close()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-inst.process.Exited():
	case <-timer.C:
		select {
		case <-idle:
		default:
			m.logger.Warn("plugin is stopped with calls under way", "plugin", inst.label, "pid", inst.process.Pid())
		}
	}
	if !inst.gone() && inst.drainCall(context.WithoutCancel(m.life)) != nil {
		inst.process.End() // it had its time
	}
	inst.kill()
	inst.lines.Flush()
	m.runDir.forget(inst.id)
}

// retire takes a replaced process out of use in the background.
func (m *Manager) retireLocked(inst *instance) {
	inst.mu.Lock()
	inst.retired = true
	inst.mu.Unlock()
	m.watchLocked(inst)
	m.logger.Info("plugin process is replaced and drains", "plugin", inst.label, "pid", inst.process.Pid(), "instance", inst.id)
	m.taskLocked(func() {
		if inst.detached {
			// It takes no new sessions and ends by itself behind its last one. Leases on it stay possible until then.
			if err := inst.drainCall(m.life); err != nil {
				m.logger.Warn("recorder does not drain yet", "plugin", inst.label, "pid", inst.process.Pid(), "error", err)
			}
			return
		}
		limit := m.options.ExtractorDrain
		if inst.kind == sdk.KindLine {
			limit = m.options.LineDrain
		}
		m.drainUntilClose(inst, limit)
	})
}

// drainUntilClose is stop, but the manager's own end cuts the waiting short: Close drains with a bound of its own.
func (m *Manager) drainUntilClose(inst *instance, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-inst.close():
	case <-inst.process.Exited():
	case <-timer.C:
	case <-m.life.Done():
	}
	m.stop(inst, 0)
}

// exited deals with the end of a process.
func (m *Manager) exited(inst *instance) {
	if inst.detached {
		<-inst.tailed
	} else {
		inst.client.Kill() // joins go-plugin's goroutines
		inst.lines.Flush()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exitedLocked(inst)
	m.runDir.forget(inst.id)
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
	e := m.ownerLocked(inst)
	if e == nil {
		m.logger.Info("plugin process has ended", "plugin", inst.label, "pid", inst.process.Pid(), "reason", inst.process.Reason())
		return
	}
	e.current = nil
	if m.closed || e.state == Draining || inst.endedIdle() {
		e.state = Stopped
		m.logger.Info("plugin has stopped", "plugin", inst.label, "pid", inst.process.Pid(), "reason", inst.process.Reason())
		return
	}
	err := fmt.Errorf("the process ended unexpectedly (%s): %w", inst.process.Reason(), wire.ErrPluginDown)
	m.failLocked(e, err, m.options.clock.Now().Sub(inst.started))
}

// endedIdle reports whether a recorder went of its own accord because nothing was recorded: not a failure.
func (inst *instance) endedIdle() bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return inst.detached && inst.leases == 0 && inst.process.Clean()
}

func (inst *instance) isRetired() bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return inst.retired
}

// failLocked counts a failure and schedules the next start, or gives up. uptime is 0 when the process did not come up.
func (m *Manager) failLocked(e *entry, err error, uptime time.Duration) {
	defer m.noteChange()
	e.lastErr, e.next = err, time.Time{}
	delay, broken := e.backoff.fail(uptime, m.options.jitter())
	// What has worked before may work again without anybody's help: a file can be missing during an upgrade.
	if broken || (permanent(err) && !e.described) {
		e.state = Failed
		m.logger.Error("plugin has failed; it stays down until it is repaired and reloaded", "plugin", e.block.Name,
			"failures", e.backoff.failures, "error", err)
		return
	}
	e.state, e.next = Backoff, m.options.clock.Now().Add(delay)
	m.logger.Error("plugin has failed and is started again", "plugin", e.block.Name, "failures", e.backoff.failures,
		"retry_in", delay.Round(time.Millisecond), "error", err)
	m.scheduleLocked(e, delay)
}

func (m *Manager) scheduleLocked(e *entry, delay time.Duration) {
	ctx, cancel := context.WithCancel(m.life)
	e.cancelRetry = cancel
	scheduled := m.taskLocked(func() {
		defer cancel()
		if m.options.clock.Wait(ctx, delay) != nil {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if ctx.Err() == nil && e.state == Backoff && e.attempt == nil && !e.removed {
			e.cancelRetry = nil
			m.beginLocked(e)
		}
	})
	if !scheduled {
		cancel()
	}
}

// ownerLocked returns the entry whose current instance this is; nil: none.
func (m *Manager) ownerLocked(inst *instance) *entry {
	for _, e := range m.entries {
		if e.current == inst {
			return e
		}
	}
	return nil
}
