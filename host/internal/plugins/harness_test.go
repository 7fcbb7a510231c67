package plugins

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/plugins/process"
)

// patience bounds every wait of a test; nothing is measured against it.
const patience = 30 * time.Second

// world is one test's installation: a folder with plugins and plugins.hcl, and the managers that ran on it.
type world struct {
	t       *testing.T
	dir     string
	log     *logBook
	options Options
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// Not t.TempDir: with the test's name in it the path is too long for sockets.
	dir, err := os.MkdirTemp("", "lubod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	log := newLogBook()
	w := &world{t: t, dir: dir, log: log, options: Options{
		RunDir: filepath.Join(dir, "run"), LogDir: filepath.Join(dir, "logs"), Logger: slog.New(log),
		Level: slog.LevelDebug, Getenv: func(string) string { return "" }, StopTimeout: 10 * time.Second,
		StartTimeout: patience, reattachPause: 50 * time.Millisecond,
	}}
	t.Cleanup(w.killRecorders)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return w
}

// install writes a script that executes the test binary as a plugin.
func (w *world) install(label string, env ...string) {
	w.t.Helper()
	kind, name, _ := strings.Cut(label, "-")
	// Built with the race detector a process waits a second before it exits, for reports that it has none of.
	settings := append([]string{"FAKE_KIND=" + kind, "FAKE_NAME=" + name, "GORACE=atexit_sleep_ms=0"}, env...)
	var script strings.Builder
	script.WriteString("#!/bin/sh\nexec env")
	for _, setting := range settings {
		script.WriteString(" '" + setting + "'")
	}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	script.WriteString(" '" + self + "'\n")
	w.write(filepath.Join("plugs", label), script.String(), 0o700)
}

// write replaces a file in one step, as an installer does: a file that runs cannot be written to.
func (w *world) write(name, content string, mode os.FileMode) string {
	w.t.Helper()
	// A program that another test's fork holds open for writing is busy: nobody forks meanwhile.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(content), mode); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// plugins parses a plugins.hcl for this world.
func (w *world) plugins(source string) config.Plugins {
	w.t.Helper()
	parsed, err := config.ParsePlugins([]byte("plugin_dir = \"plugs\"\n"+source), filepath.Join(w.dir, "plugins.hcl"))
	if err != nil {
		w.t.Fatal(err)
	}
	return parsed
}

// manager makes a manager that the test's end closes.
func (w *world) manager() *Manager {
	w.t.Helper()
	m, err := New(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(m.Close)
	return m
}

// load makes a manager with plugins applied.
func (w *world) load(source string) *Manager {
	w.t.Helper()
	m := w.manager()
	if err := m.Apply(w.ctx(), w.plugins(source)); err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.t.Cleanup(cancel)
	return ctx
}

// resolve asks the extractor behind fake://<name>/ to do something.
func (w *world) resolve(m *Manager, name, what string) (string, error) {
	url := "fake://" + name + "/" + what
	lease, err := m.Extractor(w.ctx(), url)
	if err != nil {
		return "", err
	}
	defer lease.Release()
	status, err := lease.Resolve(w.ctx(), ref(url))
	if err != nil {
		return "", err
	}
	return status.Streams[0].Headers["said"], nil // a title is cut
}

func (w *world) mustResolve(m *Manager, name, what string) string {
	w.t.Helper()
	answer, err := w.resolve(m, name, what)
	if err != nil {
		w.t.Fatalf("resolve %s/%s: %v", name, what, err)
	}
	return answer
}

// awaitState waits until a plugin stands where it should.
func (w *world) awaitState(m *Manager, label string, state State) {
	w.t.Helper()
	w.awaitStatus(m, label, string(state), func(s Status) bool { return s.State == state })
}

func (w *world) awaitStatus(m *Manager, label, what string, holds func(Status) bool) {
	w.t.Helper()
	deadline := time.After(patience)
	for !holds(status(w.t, m, label)) {
		select {
		case <-m.Changed():
		case <-deadline:
			w.t.Fatalf("%s does not become %s: %+v\n%s", label, what, status(w.t, m, label), w.log)
		}
	}
}

// killRecorders ends what outlives its host.
func (w *world) killRecorders() {
	dir, err := process.OpenRunDir(w.options.RunDir, os.TempDir())
	if err != nil {
		return
	}
	records, _ := dir.Records()
	for _, r := range records {
		if r.Alive() {
			_ = syscall.Kill(r.Pid, syscall.SIGKILL)
			<-gone(r.Pid)
		}
	}
}

// gone is closed when there is no such process any more.
func gone(pid int) <-chan struct{} {
	over := make(chan struct{})
	watch := process.WatchExit(pid)
	go func() {
		watch(context.Background())
		close(over)
	}()
	return over
}

func (w *world) await(what string, over <-chan struct{}) {
	w.t.Helper()
	select {
	case <-over:
	case <-time.After(patience):
		w.t.Fatalf("%s did not happen\n%s", what, w.log)
	}
}

func status(t *testing.T, m *Manager, label string) Status {
	t.Helper()
	for _, s := range m.Status() {
		if s.Plugin == label {
			return s
		}
	}
	t.Fatalf("there is no plugin %s: %+v", label, m.Status())
	return Status{}
}

// logBook is a slog.Handler that keeps what it gets, and wakes who waits for it.
type logBook struct {
	shared *logLines
	attrs  []slog.Attr
}

type logLines struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{}
}

func newLogBook() *logBook { return &logBook{shared: &logLines{changed: make(chan struct{})}} }

func (b *logBook) Enabled(context.Context, slog.Level) bool { return true }

func (b *logBook) Handle(_ context.Context, r slog.Record) error {
	var line bytes.Buffer
	fmt.Fprintf(&line, "%s %s", r.Level, r.Message)
	show := func(a slog.Attr) bool {
		fmt.Fprintf(&line, " %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range b.attrs {
		show(a)
	}
	r.Attrs(show)
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	b.shared.lines = append(b.shared.lines, line.String())
	close(b.shared.changed)
	b.shared.changed = make(chan struct{})
	return nil
}

func (b *logBook) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logBook{shared: b.shared, attrs: append(append([]slog.Attr{}, b.attrs...), attrs...)}
}

func (b *logBook) WithGroup(string) slog.Handler { return b }

func (b *logBook) String() string {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	return strings.Join(b.shared.lines, "\n")
}

// count returns how many lines hold all parts.
func (b *logBook) count(parts ...string) int {
	b.shared.mu.Lock()
	defer b.shared.mu.Unlock()
	return b.shared.countLocked(parts)
}

func (l *logLines) countLocked(parts []string) int {
	n := 0
	for _, line := range l.lines {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			n++
		}
	}
	return n
}

// await blocks until n lines hold all parts.
func (b *logBook) await(t *testing.T, n int, parts ...string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.shared.mu.Lock()
		found, changed := b.shared.countLocked(parts), b.shared.changed
		b.shared.mu.Unlock()
		if found >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no %d lines with %q in the log:\n%s", n, parts, b)
		}
	}
}

// testClock stands still until a test moves it.
type testClock struct {
	mu    sync.Mutex
	now   time.Time
	waits chan testWait
}

type testWait struct {
	d    time.Duration
	fire chan struct{}
}

func newTestClock() *testClock {
	return &testClock{now: time.Unix(1_700_000_000, 0), waits: make(chan testWait, 100)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Wait(ctx context.Context, d time.Duration) error {
	wait := testWait{d, make(chan struct{})}
	c.waits <- wait
	select {
	case <-wait.fire:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// next returns the next wait that the manager begins.
func (c *testClock) next(t *testing.T) testWait {
	t.Helper()
	select {
	case wait := <-c.waits:
		return wait
	case <-time.After(patience):
		t.Fatal("nothing waits for the clock")
		return testWait{}
	}
}

// elapse lets a wait end as time would.
func (c *testClock) elapse(wait testWait) {
	c.advance(wait.d)
	close(wait.fire)
}
