package plugins

import (
	"context"
	"time"
)

const (
	// missedPings in a row mean that an attached process hangs; it is killed and started again.
	missedPings = 3
	// missedPingsDetached is far more patient: killing a recorder loses live seconds that it may still be writing.
	missedPingsDetached = 30
	// healthEvery is how many pings lie between two Health calls: about a minute.
	healthEvery = 6
)

// watchLocked begins to supervise a process, once.
func (m *Manager) watchLocked(inst *instance) {
	if inst.watched { // m.instances does not tell: a process that is gone has left it
		return
	}
	inst.watched = true
	m.instances[inst] = struct{}{}
	m.tasks.Go(func() { m.supervise(inst) })
	if inst.detached {
		m.tasks.Go(func() {
			defer close(inst.tailed)
			m.runDir.Follow(m.life, inst.id, inst.logFile, inst.lines, inst.process.Exited())
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
	m.forgive(inst)
	m.retireIfIdle(inst)
	if inst.detached && inst.isRetired() {
		// Once is enough; again costs nothing and helps when the first call was lost.
		_ = inst.drainCall(m.life)
	}
}

// forgive forgets the failures before a process that has run for long.
func (m *Manager) forgive(inst *instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.ownerLocked(inst)
	if s == nil || s.failures.inARow == 0 {
		return
	}
	before := s.failures.inARow
	if s.failures.forgive(m.options.clock.Now().Sub(inst.started)); s.failures.inARow == 0 {
		m.noteChange()
		m.logger.Info("plugin is stable again", "plugin", inst.label, "pid", inst.process.Pid(), "failures", before)
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
	s := m.ownerLocked(inst)
	if s == nil || inst.detached || s.state != Ready {
		m.mu.Unlock()
		return false
	}
	limit := m.options.IdleStop
	if own := s.entry.block.Limits.IdleStop; own > 0 {
		limit = own
	}
	if !inst.closeIfUnused(m.options.clock.Now().Add(-limit)) {
		m.mu.Unlock()
		return false
	}
	s.state = Draining
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
	inst.kill(m.options.killGrace)
	inst.lines.Flush()
	m.runDir.Forget(inst.id)
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
		m.drainUntilClose(inst, m.limitOf(inst.kind))
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
	m.runDir.Forget(inst.id)
}

func (inst *instance) isRetired() bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return inst.retired
}
