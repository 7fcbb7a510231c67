package plugins

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/wire"
)

// Lease pins one running process: as long as it is held, a reload does not take the process away.
type Lease struct {
	// Plugin is the label in plugins.hcl, Instance the id of this very process.
	Plugin, Instance string

	manager *Manager
	inst    *instance
	release func()
}

func (m *Manager) newLease(inst *instance) Lease {
	return Lease{
		Plugin: inst.label, Instance: inst.id, manager: m, inst: inst,
		release: sync.OnceFunc(func() { inst.release(m.options.clock.Now()) }),
	}
}

// Release gives the process back. It can be called again.
func (l *Lease) Release() { l.release() }

// Done is closed as soon as the process is gone. Calls under way fail with wire.ErrPluginDown then.
func (l *Lease) Done() <-chan struct{} { return l.inst.process.Exited() }

// Version is what the plugin says its version is.
func (l *Lease) Version() string { return l.inst.description().Version }

// Supports reports whether the plugin has an optional ability (sdk.CapabilityProbe, …).
func (l *Lease) Supports(capability string) bool {
	return slices.Contains(l.inst.description().Capabilities, capability)
}

// ExtractorLease is a lease on an extractor, and the extractor.
type ExtractorLease struct {
	Lease
	wire.ExtractorClient
}

// LineLease is a lease on a plugin that serves a line, and the line.
type LineLease struct {
	Lease
	wire.LineClient
}

// RecorderLease is a lease on a recorder process, and the recorder.
type RecorderLease struct {
	Lease
	*wire.RecorderClient
}

// lease pins a running instance of the slot that pick chooses, and starts one if needed. pick is called under the manager's
// lock, again after every wait, because a reload may have changed the answer. Live work waits for the next start of a plugin
// that has failed, which is soon; an extractor that has failed is left alone until its back-off is over.
func (m *Manager) lease(ctx context.Context, pick func() (*slot, error)) (*instance, error) {
	if err := m.waitLoaded(ctx); err != nil {
		return nil, err
	}
	for {
		inst, s, next, err := m.tryLease(pick)
		if inst != nil || err != nil {
			return inst, err
		}
		select {
		case <-next.done:
			err = next.err
		case <-ctx.Done():
			err = fmt.Errorf("wait for a plugin to start: %w", ctx.Err())
		}
		m.mu.Lock()
		s.waiting--
		m.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// tryLease returns an instance, or what to wait for before the next try; the caller is counted in waiting then.
func (m *Manager) tryLease(pick func() (*slot, error)) (*instance, *slot, *attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, nil, ErrClosed
	}
	s, err := pick()
	if err != nil {
		return nil, nil, nil, err
	}
	if s.current != nil && s.current.acquire() {
		return s.current, s, nil, nil
	}
	if s.current != nil && s.state == Ready {
		s.waiting++
		m.exitedLocked(s.current) // a moment ago: this decides about back-off, whoever notices it first
		s.waiting--
		if s, err = pick(); err != nil { // a process of its own may have left the books with this
			return nil, nil, nil, err
		}
	}
	if down := s.attempt == nil && (s.state == Backoff || s.state == Failed); down && s.entry.works() {
		m.hurryLocked(s)
	} else if down {
		return nil, nil, nil, m.downLocked(s)
	}
	s.waiting++
	switch {
	case s.attempt != nil:
		return nil, s, s.attempt, nil
	case s.retry != nil:
		return nil, s, s.retry, nil
	}
	m.beginLocked(s)
	return nil, s, s.attempt, nil
}

// Extractor leases the first extractor, in the order of plugins.hcl, that takes a URL. Errors: ErrNoExtractor, *DownError.
func (m *Manager) Extractor(ctx context.Context, url string) (*ExtractorLease, error) {
	inst, err := m.lease(ctx, func() (*slot, error) { return sharedSlot(m.extractorLocked(url)) })
	if err != nil {
		return nil, err
	}
	return &ExtractorLease{Lease: m.newLease(inst), ExtractorClient: inst.conn.Extractor()}, nil
}

// ExtractorOf returns the label of the extractor that takes a URL, empty when none does, and whether it can be asked about
// many rooms at once.
func (m *Manager) ExtractorOf(url string) (label string, batches bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.extractorLocked(url)
	if err != nil {
		return "", false
	}
	return e.block.Name, slices.Contains(e.about.Capabilities, sdk.CapabilityResolveBatch)
}

// RoomOf returns the label of the extractor that takes a URL, and the room's name as it stands in the URL: what the group "room"
// of the pattern matches. Both are empty when there is none.
func (m *Manager) RoomOf(url string) (label, room string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.extractorLocked(url)
	if err != nil {
		return "", ""
	}
	for _, pattern := range e.patterns {
		found := pattern.FindStringSubmatch(url)
		if found == nil {
			continue
		}
		if at := pattern.SubexpIndex("room"); at > 0 {
			room = found[at]
		}
		break
	}
	return e.block.Name, room
}

// AcceptsURL returns nil when an installed extractor takes a URL, whether it runs or not; else ErrNoExtractor.
func (m *Manager) AcceptsURL(ctx context.Context, url string) error {
	if err := m.waitLoaded(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.extractorLocked(url)
	return err
}

func (m *Manager) extractorLocked(url string) (*entry, error) {
	found := m.firstLocked(sdk.KindExtractor, func(e *entry) bool {
		for _, pattern := range e.patterns {
			if pattern.MatchString(url) {
				return true
			}
		}
		return false
	})
	if found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%w; %s", ErrNoExtractor, m.offersLocked(sdk.KindExtractor, "accepted are for example", func(e *entry) []string {
		if len(e.about.Examples) > 0 {
			return e.about.Examples
		}
		return e.about.Match
	}))
}

// Line leases the plugin that serves a line name. Errors: ErrNoLine, *DownError.
func (m *Manager) Line(ctx context.Context, name string) (*LineLease, error) {
	inst, err := m.lease(ctx, func() (*slot, error) { return sharedSlot(m.lineLocked(name)) })
	if err != nil {
		return nil, err
	}
	return &LineLease{Lease: m.newLease(inst), LineClient: inst.conn.Line()}, nil
}

func (m *Manager) lineLocked(name string) (*entry, error) {
	found := m.firstLocked(sdk.KindLine, func(e *entry) bool { return publishes(e) && slices.Contains(e.about.Lines, name) })
	if found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%w: %q; %s", ErrNoLine, name, m.offersLocked(sdk.KindLine, "lines are", func(e *entry) []string {
		return e.about.Lines
	}))
}

// publishes tells whether what a line stores can be submitted. There is no use yet for lines that store elsewhere.
func publishes(e *entry) bool { return e.about.Target == sdk.TargetBilibili }

// LineNames lists the names of every installed line, in the order of plugins.hcl.
func (m *Manager) LineNames(ctx context.Context) ([]string, error) {
	if err := m.waitLoaded(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, e := range m.entries {
		for _, name := range e.about.Lines {
			if e.block.Kind == sdk.KindLine && publishes(e) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// offersLocked lists what the plugins of a kind offer, and names those that never came up.
func (m *Manager) offersLocked(kind sdk.PluginKind, intro string, offer func(*entry) []string) string {
	var offers, silent []string
	for _, e := range m.entries {
		switch {
		case e.block.Kind != kind:
		case e.described:
			offers = append(offers, strings.Join(offer(e), ", ")+" ("+e.block.Name+")")
		case e.shared.lastErr != nil:
			silent = append(silent, e.shared.lastErr.Error())
		}
	}
	text := "no " + string(kind) + " is installed"
	if len(offers) > 0 {
		text = intro + " " + strings.Join(offers, "; ")
	}
	if len(silent) > 0 {
		text += "; not running: " + strings.Join(silent, "; ")
	}
	return text
}

// RecorderWanted is what a new session needs of a recorder.
type RecorderWanted struct {
	// Name is the label in plugins.hcl, or what stands behind "recorder-" in it; empty: the first recorder that takes one of
	// Containers, of which the empty one is not known.
	Name       string
	Containers []string
	// Key is that of IsolatedRecorder; empty: the process that everybody shares.
	Key string
}

// RecorderFor leases a recorder for a new session. Errors: ErrNoRecorder, a reason that says which recorder there is not,
// *DownError.
func (m *Manager) RecorderFor(ctx context.Context, wanted RecorderWanted) (*RecorderLease, error) {
	return m.leaseRecorder(ctx, func() (*slot, error) {
		e, err := m.chosenRecorderLocked(wanted)
		if err != nil || wanted.Key == "" {
			return sharedSlot(e, err)
		}
		return m.isolatedLocked(e, wanted.Key), nil
	})
}

// Recorder leases the first recorder of plugins.hcl. Errors: ErrNoRecorder, *DownError.
func (m *Manager) Recorder(ctx context.Context) (*RecorderLease, error) {
	return m.RecorderFor(ctx, RecorderWanted{})
}

func (m *Manager) chosenRecorderLocked(wanted RecorderWanted) (*entry, error) {
	if wanted.Name != "" {
		named := m.firstLocked(sdk.KindRecorder, func(e *entry) bool { return e.block.Name == wanted.Name || e.block.ShortName() == wanted.Name })
		if named == nil {
			return nil, reason.New(reason.RoomNoSuchRecorder, "recorder", wanted.Name).Err()
		}
		return named, nil
	}
	if len(wanted.Containers) == 0 {
		return m.firstRecorderLocked()
	}
	takes := func(e *entry) bool {
		return slices.ContainsFunc(wanted.Containers, func(container string) bool { return takesContainer(e.about, container) })
	}
	if found := m.firstLocked(sdk.KindRecorder, func(e *entry) bool { return e.described && takes(e) }); found != nil {
		return found, nil
	}
	// Of one that never came up nobody knows what it takes: why it did not is said, and it is tried again.
	if silent := m.firstLocked(sdk.KindRecorder, func(e *entry) bool { return !e.described }); silent != nil {
		return silent, nil
	}
	if _, err := m.firstRecorderLocked(); err != nil {
		return nil, err
	}
	return nil, reason.New(reason.RoomNoRecorder, "containers", strings.Join(wanted.Containers, ", ")).Err()
}

func takesContainer(about sdk.Description, container string) bool {
	return container == "" || len(about.Containers) == 0 ||
		slices.ContainsFunc(about.Containers, func(one string) bool { return strings.EqualFold(one, container) })
}

// Takes tells whether the recorder reads a container; an empty one is not known.
func (l *RecorderLease) Takes(container string) bool {
	return takesContainer(l.inst.description(), container)
}

// RecorderOf leases the recorder of a label, whether it is the first or not: what it recorded is finished by it. Errors:
// ErrUnknownPlugin, *DownError.
func (m *Manager) RecorderOf(ctx context.Context, label string) (*RecorderLease, error) {
	return m.leaseRecorder(ctx, func() (*slot, error) { return sharedSlot(m.recorderLocked(label)) })
}

// IsolatedRecorder is RecorderOf in a process that only those use who name the same key: what
// brings it down brings nobody else down. It ends some time after it is not used any more.
func (m *Manager) IsolatedRecorder(ctx context.Context, label, key string) (*RecorderLease, error) {
	return m.leaseRecorder(ctx, func() (*slot, error) {
		e, err := m.recorderLocked(label)
		if err != nil || key == "" {
			return sharedSlot(e, err)
		}
		return m.isolatedLocked(e, key), nil
	})
}

func (m *Manager) leaseRecorder(ctx context.Context, pick func() (*slot, error)) (*RecorderLease, error) {
	inst, err := m.lease(ctx, pick)
	if err != nil {
		return nil, err
	}
	return m.recorderLease(inst), nil
}

func (m *Manager) firstRecorderLocked() (*entry, error) {
	if e := m.firstLocked(sdk.KindRecorder, func(*entry) bool { return true }); e != nil {
		return e, nil
	}
	return nil, ErrNoRecorder
}

func (m *Manager) recorderLocked(label string) (*entry, error) {
	if e := m.entryLocked(label); e != nil && e.block.Kind == sdk.KindRecorder {
		return e, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownPlugin, label)
}

func sharedSlot(e *entry, err error) (*slot, error) {
	if err != nil {
		return nil, err
	}
	return e.shared, nil
}

// RecorderInstance leases the very process in which sessions were started, also after a restart of the host and after
// the plugin was replaced. ErrGone: it has ended. *DownError: it lives and cannot be reached now.
func (m *Manager) RecorderInstance(ctx context.Context, plugin, instance string) (*RecorderLease, error) {
	m.open(ctx)
	if inst := m.pinInstance(plugin, instance); inst != nil {
		return m.recorderLease(inst), nil
	}
	found, err := m.findAgain(ctx, plugin, instance)
	if err != nil {
		return nil, err
	}
	if found && ctx.Err() == nil {
		if inst := m.pinInstance(plugin, instance); inst != nil {
			return m.recorderLease(inst), nil
		}
	}
	return nil, fmt.Errorf("%w: %s, instance %s", ErrGone, plugin, instance)
}

func (m *Manager) pinInstance(plugin, id string) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	for inst := range m.instances {
		if inst.label == plugin && inst.id == id && inst.detached && inst.acquire() {
			return inst
		}
	}
	return nil
}

func (m *Manager) recorderLease(inst *instance) *RecorderLease {
	return &RecorderLease{Lease: m.newLease(inst), RecorderClient: inst.conn.Recorder()}
}
