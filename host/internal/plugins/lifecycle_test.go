package plugins

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/line"
	"github.com/lubod/lubod/sdk/wire"
)

func ref(url string) extractor.Ref { return extractor.Ref{URL: url} }

func TestApplyDescribesEveryPlugin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	w.install("extractor-b", "FAKE_VERSION=2.1.0", "FAKE_EXAMPLES=fake://b/1 fake://b/2")
	w.install("line-upos", "FAKE_LINES=bda2 qn ws")
	m := w.load(`
plugin "extractor-a" {}
plugin "extractor-b" {}
plugin "line-upos" {}
`)
	names, err := m.LineNames(w.ctx())
	if err != nil || !slices.Equal(names, []string{"bda2", "qn", "ws"}) {
		t.Errorf("LineNames = %v, %v", names, err)
	}
	if err := m.AcceptsURL(w.ctx(), "fake://b/x"); err != nil {
		t.Error(err)
	}
	err = m.AcceptsURL(w.ctx(), "https://elsewhere.example")
	if !errors.Is(err, ErrNoExtractor) || !strings.Contains(err.Error(), "accepted are for example ^fake://a/ (extractor-a); fake://b/1, fake://b/2 (extractor-b)") {
		t.Errorf("err = %v", err)
	}
	if _, err := m.Line(w.ctx(), "kodo"); !errors.Is(err, ErrNoLine) || !strings.Contains(err.Error(), "bda2, qn, ws") {
		t.Errorf("err = %v", err)
	}
	if _, err := m.Recorder(w.ctx()); !errors.Is(err, ErrNoRecorder) {
		t.Errorf("err = %v", err)
	}
	if got := status(t, m, "extractor-b"); got.Version != "2.1.0" || got.State != Ready || got.Process == nil || len(got.Options) == 0 {
		t.Errorf("status = %+v", got)
	}
}

func TestLeaseCallsThePlugin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("line-upos", "FAKE_LINES=bda2")
	w.install("extractor-a")
	m := w.load("plugin \"line-upos\" {}\nplugin \"extractor-a\" {\n options {\n greeting = \"servus\"\n }\n }")
	lease, err := m.Line(w.ctx(), "bda2")
	if err != nil {
		t.Fatal(err)
	}
	result, err := lease.Upload(w.ctx(), line.File{Line: "bda2", Path: "/x", Name: "x.flv", Threads: 1}, func(line.Progress) error { return nil })
	if err != nil || result.RemoteName != strconv.Itoa(status(t, m, "line-upos").Process.PID) {
		t.Errorf("result = %+v, %v", result, err)
	}
	if !lease.Supports(sdk.CapabilityProbe) || lease.Version() != "1.0.0" {
		t.Errorf("lease = %+v", lease)
	}
	if got := status(t, m, "line-upos").Process.Leases; got != 1 {
		t.Errorf("%d leases", got)
	}
	lease.Release()
	lease.Release()
	if got := status(t, m, "line-upos").Process.Leases; got != 0 {
		t.Errorf("%d leases after the release", got)
	}
	if got := w.mustResolve(m, "a", "greeting"); got != "servus/" {
		t.Errorf("greeting = %q", got)
	}
}

func TestFirstMatchingExtractorInFileOrderWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-special", "FAKE_MATCH=^fake://x/special")
	w.install("extractor-general", "FAKE_MATCH=^fake://")
	m := w.load("plugin \"extractor-special\" {}\nplugin \"extractor-general\" {}")
	for url, want := range map[string]string{"fake://x/special": "extractor-special", "fake://x/other": "extractor-general"} {
		lease, err := m.Extractor(w.ctx(), url)
		if err != nil {
			t.Fatal(err)
		}
		if lease.Plugin != want {
			t.Errorf("%s went to %s", url, lease.Plugin)
		}
		lease.Release()
	}
}

func TestLeaseBeforeTheFirstApplyWaitsForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	m := w.manager()
	answer := make(chan error, 1)
	go func() {
		_, err := w.resolve(m, "a", "")
		answer <- err
	}()
	short, cancel := context.WithCancel(w.ctx())
	cancel()
	if _, err := m.Extractor(short, "fake://a/"); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if err := m.Apply(w.ctx(), w.plugins(`plugin "extractor-a" {}`)); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

func TestPluginGetsOnlyTheAllowedEnvironment(t *testing.T) {
	w := newWorld(t)
	w.install("extractor-a")
	host := map[string]string{"PATH": os.Getenv("PATH"), "TZ": "Asia/Shanghai", "AWS_SECRET_ACCESS_KEY": "s3cret", "LUBOD_TEST_GREETING": "from the host"}
	w.options.Getenv = func(name string) string { return host[name] }
	w.options.Env = []string{"EXTRA=1"}
	t.Setenv("LUBOD_DATABASE_URL", "postgres://secret")
	m := w.load(`plugin "extractor-a" {}`)
	env := strings.Split(w.mustResolve(m, "a", "env"), "\n")
	for _, want := range []string{"TZ=Asia/Shanghai", "EXTRA=1", "LUBOD_PLUGIN_LEVEL=debug", "LUBOD_PLUGIN_INSTANCE=" + status(t, m, "extractor-a").Process.Instance} {
		if !slices.Contains(env, want) {
			t.Errorf("the plugin lacks %s: %v", want, env)
		}
	}
	for _, line := range env {
		name, _, _ := strings.Cut(line, "=")
		if name == "AWS_SECRET_ACCESS_KEY" || name == "LUBOD_DATABASE_URL" || name == "LUBOD_PLUGIN_DETACHED" {
			t.Errorf("the plugin has %s", line)
		}
	}
	if got := w.mustResolve(m, "a", "greeting"); got != "hello/from the host" {
		t.Errorf("the option that names a variable did not get it: %q", got)
	}
}

func TestAttachedPluginHasItsOwnProcessGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	if got, pid := w.mustResolve(m, "a", "pgid"), status(t, m, "extractor-a").Process.PID; got != strconv.Itoa(pid) {
		t.Errorf("process %d is in group %s", pid, got)
	}
}

func TestIdlePluginStopsAndTheNextLeaseStartsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock, w.options.pingInterval = clock, 10*time.Millisecond
	w.install("extractor-a")
	m := w.load("plugin \"extractor-a\" {\n limits {\n idle_stop = \"1h\"\n }\n }")
	first := w.mustResolve(m, "a", "")
	lease, err := m.Extractor(w.ctx(), "fake://a/")
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(2 * time.Hour)
	if got := w.mustResolve(m, "a", ""); got != first {
		t.Error("a leased plugin was stopped")
	}
	clock.advance(2 * time.Hour)
	lease.Release() // counts as use: the hour begins now
	clock.advance(2 * time.Hour)
	w.log.await(t, 1, "plugin has stopped", "extractor-a")
	if s := status(t, m, "extractor-a"); s.State != Stopped || s.Process != nil || s.LastError != "" || s.Failures != 0 {
		t.Errorf("status = %+v", s)
	}
	if err := m.AcceptsURL(w.ctx(), "fake://a/"); err != nil {
		t.Errorf("a stopped plugin is forgotten: %v", err)
	}
	if second := w.mustResolve(m, "a", ""); second == first {
		t.Error("the process was not stopped")
	}
}

func TestCrashBacksOffThenTheBreakerOpensThenAReloadCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock, w.options.jitter = clock, -1
	w.install("extractor-a")
	block := `plugin "extractor-a" {}`
	m := w.load(block)
	want := time.Second
	for failure := 1; failure < maxFailures; failure++ {
		if _, err := w.resolve(m, "a", "exit"); !errors.Is(err, wire.ErrPluginDown) {
			t.Fatalf("failure %d: err = %v", failure, err)
		}
		wait := clock.next(t)
		if wait.d != min(want, maxDelay) {
			t.Fatalf("failure %d is followed by %s, want %s", failure, wait.d, want)
		}
		want *= 2
		_, err := w.resolve(m, "a", "")
		var down *DownError
		if !errors.As(err, &down) || down.State != Backoff || !down.Next.Equal(clock.Now().Add(wait.d)) || down.RetryAfter != wait.d {
			t.Fatalf("failure %d: err = %#v", failure, err)
		}
		if sdk.KindOf(err) != sdk.Unavailable || sdk.RetryAfter(err) != wait.d {
			t.Fatalf("kind %s, retry after %s", sdk.KindOf(err), sdk.RetryAfter(err))
		}
		clock.elapse(wait)
		w.awaitState(m, "extractor-a", Ready)
	}
	_, _ = w.resolve(m, "a", "exit")
	// Even then it is tried again, slowly and for ever.
	for again := range 3 {
		wait := clock.next(t)
		s := status(t, m, "extractor-a")
		if s.State != Failed || s.Failures != maxFailures+again || !strings.Contains(s.LastError, "exit status 3") || wait.d != brokenDelay || !s.NextTry.Equal(clock.Now().Add(wait.d)) {
			t.Fatalf("waits %s, status = %+v", wait.d, s)
		}
		if _, err := w.resolve(m, "a", ""); err == nil || !strings.Contains(err.Error(), "next attempt in 5m0s") {
			t.Fatalf("err = %v", err)
		}
		clock.elapse(wait)
		w.awaitState(m, "extractor-a", Ready)
		_, _ = w.resolve(m, "a", "exit")
	}
	clock.next(t)
	if n := w.log.count("ERROR plugin has failed", "extractor-a"); n != toldFailures {
		t.Errorf("%d lines in the log tell of it", n)
	}
	if err := m.Apply(w.ctx(), w.plugins(block)); err != nil {
		t.Fatal(err)
	}
	w.mustResolve(m, "a", "")
	if s := status(t, m, "extractor-a"); s.Failures != 0 || s.LastError != "" {
		t.Errorf("the reload did not clear the breaker: %+v", s)
	}
}

func TestTenHealthyMinutesForgiveFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock, w.options.jitter = clock, -1
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	for i := range 3 {
		_, _ = w.resolve(m, "a", "exit")
		clock.elapse(clock.next(t))
		w.log.await(t, i+2, "plugin is ready", "extractor-a")
	}
	clock.advance(healthyAfter)
	_, _ = w.resolve(m, "a", "exit")
	if wait := clock.next(t); wait.d != firstDelay {
		t.Errorf("waits %s, want %s", wait.d, firstDelay)
	}
}

func TestHangingPluginIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	clock := newTestClock()
	w.options.clock, w.options.pingInterval = clock, 10*time.Millisecond
	w.options.pingTimeout = time.Second
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	process := status(t, m, "extractor-a").Process
	if err := syscall.Kill(process.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.log.await(t, 1, "plugin does not answer; it is killed")
	clock.elapse(clock.next(t))
	w.log.await(t, 2, "plugin is ready")
	w.mustResolve(m, "a", "")
}

func TestHangingPluginDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.killGrace = 200 * time.Millisecond
	w.install("extractor-a")
	m := w.load(`plugin "extractor-a" {}`)
	pid := status(t, m, "extractor-a").Process.PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	over := gone(pid)
	m.Close()
	w.await("the end of a stopped process", over)
}

func TestUnhealthyPluginIsShownAndGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.options.pingInterval = 5 * time.Millisecond
	w.install("extractor-a")
	sick := filepath.Join(w.dir, "sick")
	m := w.load("plugin \"extractor-a\" {\n options {\n sick = \"" + sick + "\"\n }\n }")
	first := w.mustResolve(m, "a", "")
	w.write("sick", "", 0o600)
	w.log.await(t, 1, "plugin is not healthy", "the cookie has expired")
	if got := status(t, m, "extractor-a").Process.Unhealthy; got != "the cookie has expired" {
		t.Errorf("unhealthy = %q", got)
	}
	if got := w.mustResolve(m, "a", ""); got != first {
		t.Error("an unhealthy plugin was restarted")
	}
	if err := os.Remove(sick); err != nil {
		t.Fatal(err)
	}
	w.log.await(t, 1, "plugin is healthy again")
}

func TestRunDrainsAndStopsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install("extractor-a")
	m := w.manager()
	ctx, cancel := context.WithCancel(context.Background())
	running := make(chan error, 1)
	go func() { running <- m.Run(ctx) }()
	if err := m.Apply(w.ctx(), w.plugins(`plugin "extractor-a" {}`)); err != nil {
		t.Fatal(err)
	}
	over := gone(status(t, m, "extractor-a").Process.PID)
	lease, err := m.Extractor(w.ctx(), "fake://a/")
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := lease.Resolve(w.ctx(), ref("fake://a/slow:300ms"))
		lease.Release()
		answer <- err
	}()
	cancel()
	if err := <-running; err != nil {
		t.Error(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("a call under way at the end was cut: %v", err)
	}
	w.await("the end of the process", over)
	if _, err := m.Extractor(w.ctx(), "fake://a/"); !errors.Is(err, ErrClosed) {
		t.Errorf("err = %v", err)
	}
	if err := m.Apply(w.ctx(), w.plugins("")); !errors.Is(err, ErrClosed) {
		t.Errorf("err = %v", err)
	}
	m.Close()
}

func TestCloseOfAManagerThatNeverRan(t *testing.T) {
	t.Parallel()
	m := newWorld(t).manager()
	m.Close()
	m.Close()
}
