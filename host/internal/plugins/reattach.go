package plugins

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/plugins/process"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/wire"
)

// reattachTries is how often a living recorder that does not answer is asked, with pauses: its socket may have been cleaned
// away and be about to come back, or the machine may be busy starting everything at once.
const reattachTries = 4

// reattach takes over the recorders that outlived the last host, and removes what dead plugins left.
func (m *Manager) reattach(ctx context.Context) {
	records, problems := m.runDir.Records()
	for _, problem := range problems {
		m.logger.Warn("a re-attach record cannot be used", "error", problem)
	}
	var group sync.WaitGroup
	for _, r := range records {
		group.Go(func() {
			if err := m.takeOver(ctx, r); err != nil && !errors.Is(err, ErrGone) {
				m.logger.Error("a recorder lives and cannot be reached", "plugin", r.Plugin, "pid", r.Pid, "instance", r.Instance, "error", err)
			}
		})
	}
	group.Wait()
	keep := map[string]bool{}
	for _, r := range records {
		if r.Alive() {
			keep[filepath.Dir(r.Socket)], keep[r.Log] = true, true
		}
	}
	process.CleanLogs(m.options.LogDir, keep, time.Now())
	for _, problem := range m.runDir.Clean(keep) {
		m.logger.Warn("what a dead plugin left cannot be removed", "error", problem)
	}
}

// takeOver makes the process of a record one of ours. ErrGone: it has ended, and its record is removed.
func (m *Manager) takeOver(ctx context.Context, r process.Record) error {
	var err error
	for try := range reattachTries {
		if try > 0 {
			if waitErr := (realClock{}).Wait(ctx, m.options.reattachPause); waitErr != nil {
				return waitErr
			}
		}
		if !r.Alive() {
			m.logger.Info("a recorder of an earlier host has ended", "plugin", r.Plugin, "pid", r.Pid, "instance", r.Instance)
			m.forwardRest(ctx, r)
			m.runDir.Forget(r.Instance)
			return ErrGone
		}
		var inst *instance
		if inst, err = m.attach(ctx, r); err == nil && inst.description().Revision < wire.MinRevision {
			m.dismiss(ctx, inst)
			return ErrGone
		}
		if err == nil {
			return m.welcome(inst)
		}
	}
	return err
}

// dismissTimeout bounds the end of one session: a recorder answers when the last file is closed.
const dismissTimeout = 15 * time.Second

// dismiss ends a recorder that was built before version 1 of the contract was final: its events and ours mean other things by
// the same fields. Asking for its sessions and stopping them have stayed the same. It finishes its files that way, and the
// recorder of this version takes them over.
func (m *Manager) dismiss(ctx context.Context, inst *instance) {
	m.logger.Warn("a recorder of an older build is stopped; its files are taken over", "plugin", inst.label, "version", inst.description().Version,
		"pid", inst.process.Pid(), "instance", inst.id)
	stopping, cancel := context.WithTimeout(ctx, dismissTimeout)
	defer cancel()
	sessions, err := inst.conn.Recorder().List(stopping)
	if err != nil {
		m.logger.Error("the sessions of a recorder of an older build cannot be listed", "plugin", inst.label, "pid", inst.process.Pid(), "error", err)
	}
	var group sync.WaitGroup
	for _, session := range sessions {
		group.Go(func() {
			if err := inst.conn.Recorder().Stop(stopping, session.SessionID); err != nil {
				m.logger.Error("a session of an older build did not end in time", "plugin", inst.label, "session", session.SessionID, "error", err)
			}
		})
	}
	group.Wait()
	inst.kill(m.options.killGrace)
	inst.letGo()
	m.runDir.Forget(inst.id)
}

// forwardRest brings the last words of a dead recorder into the log: often they say why it died.
func (m *Manager) forwardRest(ctx context.Context, r process.Record) {
	words := newLines(m.logger, r.Plugin)
	words.setPid(r.Pid)
	over := make(chan struct{})
	close(over)
	m.runDir.Follow(ctx, r.Instance, r.Log, words, over)
}

func (m *Manager) welcome(inst *instance) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		inst.letGo()
		return ErrClosed
	}
	for known := range m.instances {
		if known.id == inst.id { // somebody else was faster
			inst.letGo()
			return nil
		}
	}
	m.watchLocked(inst)
	if m.applied {
		m.retireLocked(inst) // a block has its own process by now
	}
	m.logger.Info("re-attached to a recorder", "plugin", inst.label, "version", inst.about.Version, "pid", inst.process.Pid(), "instance", inst.id)
	return nil
}

// attach connects to the process of a record and makes sure that it is the one.
func (m *Manager) attach(ctx context.Context, r process.Record) (*instance, error) {
	if _, known := wire.VersionedPlugins()[r.Protocol]; !known {
		return nil, fmt.Errorf("it speaks version %d of the plugin protocol, this lubod speaks version %d", r.Protocol, wire.ProtocolVersion)
	}
	// The watch begins before the identity is checked.
	found := process.Adopt(r.Pid)
	if err := r.CheckSocket(); err != nil {
		found.LetGo()
		return nil, err
	}
	inst := newInstance(config.Plugin{Name: r.Plugin, Kind: sdk.KindRecorder}, r.Instance, r.Isolate, found)
	inst.lines = newLines(m.logger, r.Plugin)
	inst.lines.setPid(r.Pid)
	inst.print, inst.file, inst.socket, inst.logFile, inst.protocol = r.Print, r.Print.File, r.Socket, r.Log, r.Protocol
	inst.uid, inst.started = r.UID, m.options.clock.Now()
	if err := m.reconnect(ctx, inst, r); err != nil {
		inst.letGo()
		return nil, err
	}
	return inst, nil
}

func (m *Manager) reconnect(ctx context.Context, inst *instance, r process.Record) error {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		Plugins:          wire.Plugins(), // not VersionedPlugins: at a re-attach go-plugin does not look at those
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           silent(),
		Reattach: &plugin.ReattachConfig{
			Protocol: plugin.ProtocolGRPC, ProtocolVersion: r.Protocol, Pid: r.Pid,
			Addr:         &net.UnixAddr{Name: r.Socket, Net: "unix"},
			ReattachFunc: func() (runner.AttachedRunner, error) { return inst.process.(*process.Adopted), nil },
		},
	})
	protocol, err := client.Client()
	if err != nil {
		return fmt.Errorf("re-attach: %w", err)
	}
	conn, err := wire.Connect(protocol)
	if err != nil {
		return err
	}
	conn.Host = m.about()
	inst.connect(client, protocol, conn)
	if err := inst.describe(ctx); err != nil {
		return err
	}
	about := inst.description()
	if about.Instance != r.Instance || about.Version != r.Version || string(about.Kind)+"-"+about.Name != r.Plugin {
		return fmt.Errorf("the process answers as %s-%s %s, instance %q, and is not %s %s, instance %q",
			about.Kind, about.Name, about.Version, about.Instance, r.Plugin, r.Version, r.Instance)
	}
	return nil
}

// findAgain tries once more to reach a recorder that could not be re-attached at the start. found is false when it has
// ended.
func (m *Manager) findAgain(ctx context.Context, plugin, instance string) (found bool, err error) {
	if instance == "" || strings.ContainsAny(instance, `/\`) {
		return false, nil
	}
	r, err := m.runDir.Record(instance)
	if err != nil || r.Plugin != plugin {
		return false, nil //nolint:nilerr // no record: the process is gone
	}
	switch err := m.takeOver(ctx, r); {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrGone):
		return false, nil
	default:
		pause := m.options.reattachPause
		return false, &DownError{Plugin: plugin, State: Backoff, Next: m.options.clock.Now().Add(pause), RetryAfter: pause, Err: err}
	}
}
