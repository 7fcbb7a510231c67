// Package health knows what is wrong with the host at this moment: a Board asks probes, each in its own time, and keeps since
// when each thing is as it is. What cannot be found out in time is shown as not known, never as well.
package health

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lubod/lubod/host/internal/reason"
)

// Level says how bad it is.
type Level string

// The levels, from good to bad.
const (
	OK      Level = "ok"
	Warning Level = "warning" // it works, and will not for long, or not all of it
	Failing Level = "error"   // it does not work
)

var severity = map[Level]int{OK: 0, Warning: 1, Failing: 2}

// Worse is the worse of two levels.
func Worse(a, b Level) Level {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// The codes of the checks. They are part of the API.
const (
	CodeDisk     = "disk"
	CodeDatabase = "database"
	CodePlugin   = "plugin"
	CodeAccount  = "account"
)

// Finding is what a probe saw of one thing.
type Finding struct {
	Level Level
	// Subject is the folder, plugin or file that it is about, among those of one code; empty: there is one.
	Subject string
	// Reason says what is wrong; zero when nothing is.
	Reason reason.Reason
	// Since, when known, is when it began; zero: the board's clock counts.
	Since time.Time
}

// Check is a finding, with since when it is so.
type Check struct {
	Code string
	Finding
}

// Probe looks at all things of one code. An error is a failure to look: what was known stays known until the next one.
type Probe struct {
	Code string
	// Every is how often it looks, and Patience how long one look may take before its things are not known.
	Every, Patience time.Duration
	Look            func(ctx context.Context) ([]Finding, error)
}

// Options are what a Board needs.
type Options struct {
	Probes []Probe
	Logger *slog.Logger
	// Changed, when not nil, is told of each change of a level. It must not block.
	Changed func(worst Level, checks []Check)
	// Now is time.Now unless a test has a clock of its own.
	Now func() time.Time
}

// Board keeps what the probes found. Create it with New, then call Run.
type Board struct {
	Options
	// wake has a place for each probe.
	wake map[string]chan struct{}

	mu     sync.Mutex
	checks map[string][]Check
}

// New prepares a board; nothing is known before Run.
func New(options Options) *Board {
	if options.Now == nil {
		options.Now = time.Now
	}
	b := &Board{Options: options, wake: make(map[string]chan struct{}), checks: make(map[string][]Check)}
	for _, probe := range b.Probes {
		b.wake[probe.Code] = make(chan struct{}, 1)
	}
	return b
}

// Run asks the probes until ctx ends.
func (b *Board) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, probe := range b.Probes {
		running.Go(func() { b.watch(ctx, probe) })
	}
	running.Wait()
	return nil
}

// Look makes a probe look soon.
func (b *Board) Look(code string) {
	select {
	case b.wake[code] <- struct{}{}:
	default: // it is about to, or there is no such probe
	}
}

// Checks are what is known, in the order of the probes, and the worst level among them.
func (b *Board) Checks() (worst Level, checks []Check) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all()
}

// Of are the checks of one code.
func (b *Board) Of(code string) []Check {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.checks[code])
}

// all is Checks under the lock.
func (b *Board) all() (worst Level, checks []Check) {
	worst = OK
	for _, probe := range b.Probes {
		for _, check := range b.checks[probe.Code] {
			worst = Worse(worst, check.Level)
			checks = append(checks, check)
		}
	}
	return worst, checks
}

// watch runs one probe. A look that does not come back holds up no other probe.
func (b *Board) watch(ctx context.Context, probe Probe) {
	timer := time.NewTimer(probe.Every)
	defer timer.Stop()
	for {
		b.look(ctx, probe)
		timer.Reset(probe.Every)
		select {
		case <-timer.C:
		case <-b.wake[probe.Code]:
		case <-ctx.Done():
			return
		}
	}
}

type looked struct {
	findings []Finding
	err      error
}

// stopPatience is how long a look that a dead disk holds may hold up the stop of the host.
const stopPatience = 500 * time.Millisecond

func (b *Board) look(ctx context.Context, probe Probe) {
	asking, cancel := context.WithTimeout(ctx, probe.Patience)
	defer cancel()
	answer := make(chan looked, 1)
	go func() {
		findings, err := probe.Look(asking)
		answer <- looked{findings, err}
	}()
	select {
	case found := <-answer:
		b.take(ctx, probe.Code, found)
		return
	case <-asking.Done():
	}
	if ctx.Err() == nil {
		b.take(ctx, probe.Code, looked{err: asking.Err()})
	}
	// Most looks end with their context. One that does not (a file system that does not answer) is waited for, so that there
	// is never a second one beside it.
	select {
	case found := <-answer:
		if found.err == nil {
			b.take(ctx, probe.Code, found)
		}
	case <-ctx.Done():
		select {
		case <-answer:
		case <-time.After(stopPatience):
		}
	}
}

// take keeps what was found, and tells of changes.
func (b *Board) take(ctx context.Context, code string, found looked) {
	if ctx.Err() != nil {
		return
	}
	now := b.Now()
	b.mu.Lock()
	before := b.checks[code]
	after := b.dated(code, before, found, now)
	b.checks[code] = after
	worst, all := b.all()
	b.mu.Unlock()
	changed := false
	for _, change := range changes(before, after) {
		changed = true
		b.report(change)
	}
	if changed && b.Changed != nil {
		b.Changed(worst, all)
	}
}

// dated gives findings the time since when they are at their level.
func (b *Board) dated(code string, before []Check, found looked, now time.Time) []Check {
	if found.err != nil {
		return unanswered(code, before, found.err, now)
	}
	known := make(map[string]Check, len(before))
	for _, check := range before {
		known[check.Subject] = check
	}
	after := make([]Check, 0, len(found.findings))
	for _, finding := range found.findings {
		if finding.Level == "" {
			finding.Level = OK
		}
		old, ok := known[finding.Subject]
		switch {
		case ok && old.Level == finding.Level && (finding.Since.IsZero() || old.Since.Before(finding.Since)):
			finding.Since = old.Since
		case finding.Since.IsZero():
			finding.Since = now
		}
		after = append(after, Check{code, finding})
	}
	slices.SortStableFunc(after, func(a, b Check) int { return cmp.Compare(a.Subject, b.Subject) })
	return after
}

// unanswered is a probe that could not look: what it knew is old, and whether it still holds is not known.
func unanswered(code string, before []Check, err error, now time.Time) []Check {
	why := reason.New(reason.HealthUnanswered, "what", code, "cause", err.Error())
	for _, check := range before {
		if check.Reason.Code == why.Code && check.Subject == "" {
			return before
		}
	}
	after := slices.DeleteFunc(slices.Clone(before), func(check Check) bool { return check.Subject == "" })
	return append([]Check{{code, Finding{Level: Warning, Reason: why, Since: now}}}, after...)
}

// change is a thing that has another level, or another reason for being unwell.
type change struct {
	Check
	was Level
}

func changes(before, after []Check) []change {
	known := make(map[string]Check, len(before))
	for _, check := range before {
		known[check.Subject] = check
	}
	var all []change
	for _, check := range after {
		old, ok := known[check.Subject]
		delete(known, check.Subject)
		if !ok {
			old.Level = OK
		}
		if old.Level != check.Level || check.Level != OK && old.Reason.Code != check.Reason.Code {
			all = append(all, change{check, old.Level})
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(known)) {
		if gone := known[subject]; gone.Level != OK {
			all = append(all, change{Check{gone.Code, Finding{Level: OK, Subject: subject, Since: gone.Since}}, gone.Level})
		}
	}
	return all
}

func (b *Board) report(c change) {
	attributes := []any{"check", c.Code}
	if c.Subject != "" {
		attributes = append(attributes, "subject", c.Subject)
	}
	if c.Level == OK {
		b.Logger.Info("healthy again", attributes...)
		return
	}
	level := slog.LevelWarn
	if c.Level == Failing {
		level = slog.LevelError
	}
	attributes = append(attributes, "since", c.Since, "reason", c.Reason.Text(reason.English), "code", c.Reason.Code)
	b.Logger.Log(context.Background(), level, "not healthy", attributes...)
}
