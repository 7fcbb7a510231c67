package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/reason"
)

// scripted is a probe whose looks are answered by a test, one by one.
type scripted struct {
	asked   chan context.Context
	answers chan looked
}

func newScripted() *scripted {
	return &scripted{make(chan context.Context), make(chan looked)}
}

func (s *scripted) probe(code string) Probe {
	return Probe{Code: code, Every: time.Hour, Patience: time.Hour, Look: func(ctx context.Context) ([]Finding, error) {
		select {
		case s.asked <- ctx:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case a := <-s.answers:
			return a.findings, a.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
}

// board runs one until the test ends. Each change comes on the channel.
func board(t *testing.T, log *bytes.Buffer, now func() time.Time, probes ...Probe) (*Board, <-chan []Check) {
	t.Helper()
	changes := make(chan []Check, 16)
	b := New(Options{
		Probes: probes, Logger: slog.New(slog.NewTextHandler(log, nil)), Now: now,
		Changed: func(_ Level, checks []Check) { changes <- checks },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = b.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return b, changes
}

func low(folder string) Finding {
	return Finding{Level: Warning, Subject: folder, Reason: reason.New(reason.HealthDiskLow, "folder", folder, "free_mb", "3")}
}

func TestBoardKnowsSinceWhen(t *testing.T) {
	var mu sync.Mutex
	clock := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	advance := func() { mu.Lock(); defer mu.Unlock(); clock = clock.Add(time.Minute) }
	var log bytes.Buffer
	s := newScripted()
	b, changed := board(t, &log, now, s.probe(CodeDisk))
	answer := func(findings []Finding, err error) {
		<-s.asked
		s.answers <- looked{findings, err}
		b.Look(CodeDisk)
	}
	answer([]Finding{{Level: OK, Subject: "a"}, {Level: OK, Subject: "b"}}, nil)
	advance()
	answer([]Finding{low("a"), {Level: OK, Subject: "b"}}, nil)
	since := now()
	if checks := <-changed; len(checks) != 2 || checks[0].Subject != "a" || checks[0].Level != Warning || !checks[0].Since.Equal(since) {
		t.Fatalf("after the first finding: %+v", checks)
	}
	advance()
	answer([]Finding{low("a"), {Level: OK, Subject: "b"}}, nil) // the same: nobody is told
	advance()
	answer(nil, errors.New("it is away"))
	checks := <-changed
	if len(checks) != 3 || checks[0].Reason.Code != reason.HealthUnanswered || !checks[0].Since.Equal(now()) || checks[1].Level != Warning || !checks[1].Since.Equal(since) {
		t.Fatalf("after a failure to look: %+v", checks)
	}
	advance()
	answer([]Finding{low("a"), {Level: OK, Subject: "b"}}, nil)
	if checks := <-changed; len(checks) != 2 || !checks[0].Since.Equal(since) {
		t.Fatalf("after it could look again: %+v", checks)
	}
	answer([]Finding{{Level: OK, Subject: "b"}}, nil)
	if checks := <-changed; len(checks) != 1 || checks[0].Level != OK {
		t.Fatalf("after the folder is gone: %+v", checks)
	}
	<-s.asked // the last answer was taken whole
	for _, line := range []string{
		`level=WARN msg="not healthy" check=disk subject=a since=2026-01-01T12:01:00.000Z reason="only 3 MB`,
		`level=WARN msg="not healthy" check=disk since=2026-01-01T12:03:00.000Z reason="it cannot be found out`,
		`level=INFO msg="healthy again" check=disk subject=a`,
	} {
		if strings.Count(log.String(), line) != 1 {
			t.Errorf("the log has not one line %q:\n%s", line, &log)
		}
	}
}

func TestALookThatHangsIsNotKnownAndHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	looks := make(chan struct{}, 8)
	hangs := Probe{Code: CodeDisk, Every: time.Millisecond, Patience: time.Millisecond, Look: func(context.Context) ([]Finding, error) {
		looks <- struct{}{}
		<-release // as a file system does whose server is gone
		return []Finding{{Level: OK, Subject: "a"}}, nil
	}}
	fine := newScripted()
	var log bytes.Buffer
	b, changed := board(t, &log, nil, hangs, fine.probe(CodePlugin))
	<-fine.asked
	fine.answers <- looked{findings: []Finding{{Level: OK, Subject: "p"}}}
	if checks := <-changed; checks[0].Reason.Code != reason.HealthUnanswered {
		t.Errorf("a look that hangs is shown as %+v", checks)
	}
	b.Look(CodePlugin)
	<-fine.asked
	if plugins := b.Of(CodePlugin); len(plugins) != 1 || plugins[0].Level != OK {
		t.Errorf("beside it, the plugins are %+v", plugins)
	}
	if n := len(looks); n != 1 {
		t.Errorf("%d looks hang at once", n)
	}
	close(release)
	if checks := <-changed; len(checks) == 0 || checks[0].Level != OK || checks[0].Subject != "a" {
		t.Errorf("after it answered: %+v", checks)
	}
	for len(looks) > 0 {
		<-looks
	}
}

func TestJudge(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		free, total int64
		want        Level
	}{
		{500 * gib, 1000 * gib, OK},
		{5 * gib, 1000 * gib, OK},
		{5*gib - 1, 1000 * gib, Warning},
		{gib - 1, 1000 * gib, Failing},
		{2 * gib, 10 * gib, OK},
		{gib - 1, 10 * gib, Warning},
		{gib/5 - 1, 10 * gib, Failing},
		{0, 10 * gib, Failing},
	} {
		found := judge("/recordings", Space{c.free, c.total})
		if found.Level != c.want || (found.Level == OK) != found.Reason.IsZero() {
			t.Errorf("%d free of %d: %+v, want %s", c.free, c.total, found, c.want)
		}
	}
}

func TestDiskLooksAtEachFileSystemOnce(t *testing.T) {
	dir := t.TempDir()
	probe := Disk(func() []string { return []string{dir, t.TempDir(), dir + "/not there yet", "/proc"} })
	found, err := probe.Look(t.Context())
	if err != nil || len(found) != 2 || found[0].Subject != dir || found[1].Subject != "/proc" {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestPluginsAndAccounts(t *testing.T) {
	found, err := Plugins(func() []Plugin {
		return []Plugin{{"a", "ready", ""}, {"b", "failed", "no such file"}, {"c", "backoff", "it crashed"}, {"d", "ready", "no tool"}, {"e", "stopped", "old"}}
	}).Look(t.Context())
	if got := describe(found, err); got != "a ok; b error health.plugin_failed no such file; c warning health.plugin_restarts it crashed; d warning health.plugin_unwell no tool; e ok" {
		t.Errorf("plugins: %s", got)
	}
	found, err = Accounts(func(context.Context) ([]Account, error) {
		return []Account{{"a", "", ""}, {"b", "expired", "soon"}, {"c", "", "soon"}}, nil
	}).Look(t.Context())
	if got := describe(found, err); got != "a ok; b error health.account_unusable expired; c warning health.account_expires soon" {
		t.Errorf("accounts: %s", got)
	}
	if _, err = Accounts(func(context.Context) ([]Account, error) { return nil, errors.New("away") }).Look(t.Context()); err == nil {
		t.Error("a failure to look is lost")
	}
}

func describe(findings []Finding, err error) string {
	var all []string
	for _, f := range findings {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", f.Subject, f.Level, f.Reason.Code, f.Reason.Args["cause"])))
	}
	if err != nil {
		all = append(all, err.Error())
	}
	return strings.Join(all, "; ")
}
