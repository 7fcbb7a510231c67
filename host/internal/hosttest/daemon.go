// Package hosttest boots the whole daemon for tests: the real program with its real plugins in processes of their own,
// on a private PostgreSQL, against a simulated Bilibili.
package hosttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk/simulator/bilibili"
)

// patience bounds every wait of a test. It only decides how long a broken test takes to fail.
const patience = 90 * time.Second

// Options say how a daemon is set up.
type Options struct {
	// Plugins is the text of plugins.hcl; empty: the first-party plugins. %q stands for the plugin directory.
	Plugins string
	// DatabaseURL of a PostgreSQL that the test runs itself; empty: the daemon's own.
	DatabaseURL string
	// Sim are the options of the simulated Bilibili.
	Sim bilibili.Options
	// Listen is the address of the API; empty: a free port of the loopback interface.
	Listen string
	// Env is added to the daemon's environment.
	Env []string
	// Wrap is a command that the daemon is run by, such as one that sets a umask first; it has to replace itself by what follows.
	Wrap []string
}

// Daemon is one installation: a data directory, a plugins.hcl, and the process that runs on them, if any.
type Daemon struct {
	Dir     string
	DataDir string
	Plugins string // path of plugins.hcl
	Sim     *bilibili.Server
	Account bilibili.Account
	Client  *Client

	t       testing.TB
	options Options
	log     *Log
	process *process
}

type process struct {
	command *exec.Cmd
	done    chan struct{}
	err     error
}

const firstParty = `plugin_dir = %q
plugin "extractor-direct" {}
plugin "recorder-native" {}
plugin "line-upos" {}
`

// New sets an installation up with an account in cookies.json; nothing runs yet.
func New(t testing.TB, options Options) *Daemon {
	t.Helper()
	programs := Programs(t)
	dir := shortTempDir(t)
	options.Sim.LineHosts = true
	d := &Daemon{
		Dir: dir, DataDir: filepath.Join(dir, "data"), Plugins: filepath.Join(dir, "plugins.hcl"),
		Sim: bilibili.New(t, options.Sim), t: t, options: options, log: newLog(t),
	}
	if options.Plugins == "" {
		options.Plugins = firstParty
	}
	if options.Listen == "" {
		d.options.Listen = "127.0.0.1:0"
	}
	d.WritePlugins(fmt.Sprintf(options.Plugins, filepath.Join(programs, "plugins")))
	if err := os.MkdirAll(d.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	d.Account = d.Sim.AddAccount(bilibili.AccountOptions{Name: "tester"})
	if err := d.Account.CookieFile().WriteFile(filepath.Join(d.DataDir, "cookies.json")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.cleanUp)
	return d
}

// Wrap is Options.Wrap for the next start.
func (d *Daemon) Wrap(command ...string) { d.options.Wrap = command }

// WritePlugins replaces plugins.hcl.
func (d *Daemon) WritePlugins(text string) {
	d.t.Helper()
	if err := os.WriteFile(d.Plugins, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// shortTempDir is a temporary directory with a short name: the paths of Unix sockets below it are limited.
func shortTempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "lubod-t-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept for a look: %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	return dir
}

var upLine = regexp.MustCompile(`msg="lubod is up" address=(http://\S+)`)

// Start runs the daemon and returns when its API answers.
func (d *Daemon) Start() {
	d.t.Helper()
	d.Launch()
	line := d.log.waitOr(d.t, "lubod is up", d.process.done)
	match := upLine.FindStringSubmatch(line)
	if match == nil {
		d.t.Fatalf("the daemon did not come up: %s", d.log.Tail())
	}
	if d.Client == nil {
		d.Client = newClient(d.t)
	}
	d.Client.base = match[1]
}

// Launch runs the daemon without waiting for it.
func (d *Daemon) Launch() {
	d.t.Helper()
	line := append(slices.Clone(d.options.Wrap), filepath.Join(Programs(d.t), "lubod"), "server",
		"--listen", d.options.Listen, "--data-dir", d.DataDir, "--plugins", d.Plugins, "--database-url", d.options.DatabaseURL)
	command := exec.Command(line[0], line[1:]...)
	command.Env = append(os.Environ(),
		"LUBOD_BILIBILI_MEMBER_URL="+d.Sim.URL(), "LUBOD_BILIBILI_API_URL="+d.Sim.URL(), "LUBOD_BILIBILI_PASSPORT_URL="+d.Sim.URL())
	command.Env = append(command.Env, d.options.Env...)
	command.Dir = d.Dir
	output, err := command.StderrPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	d.log.mark()
	if err := command.Start(); err != nil {
		d.t.Fatal(err)
	}
	running := &process{command: command, done: make(chan struct{})}
	d.process = running
	go func() {
		d.log.read(output)
		running.err = command.Wait()
		close(running.done)
	}()
}

// WaitExit returns how the daemon ended.
func (d *Daemon) WaitExit() error {
	d.t.Helper()
	select {
	case <-d.process.done:
	case <-time.After(patience):
		d.t.Fatalf("the daemon does not end: %s", d.log.Tail())
	}
	return d.process.err
}

// Kill ends the daemon with SIGKILL, as a power cut for it alone would.
func (d *Daemon) Kill() {
	d.t.Helper()
	_ = d.process.command.Process.Kill()
	_ = d.WaitExit()
}

// Stop ends the daemon with SIGTERM and wants it to end in order.
func (d *Daemon) Stop() {
	d.t.Helper()
	if err := d.process.command.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	if err := d.WaitExit(); err != nil {
		d.t.Errorf("the daemon ended with %v: %s", err, d.log.Tail())
	}
}

// Signal sends the daemon a signal.
func (d *Daemon) Signal(signal os.Signal) {
	d.t.Helper()
	if err := d.process.command.Process.Signal(signal); err != nil {
		d.t.Fatal(err)
	}
}

// Log is what the daemon wrote.
func (d *Daemon) Log() *Log { return d.log }

// PluginPIDs lists the living processes of a plugin of this installation.
func (d *Daemon) PluginPIDs(label string) []int {
	path := filepath.Join(Programs(d.t), "plugins", label)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		d.t.Fatal(err)
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		target, err := os.Readlink(filepath.Join("/proc", entry.Name(), "exe"))
		if err != nil || target != path || !d.ours(entry.Name()) {
			continue
		}
		found = append(found, pid)
	}
	return found
}

// ours tells plugins of this daemon from those of tests beside it: their sockets lie below its directory or belong to it
// by name.
func (d *Daemon) ours(pid string) bool {
	environment, err := os.ReadFile(filepath.Join("/proc", pid, "environ"))
	if err != nil {
		return false
	}
	return strings.Contains(string(environment), d.DataDir)
}

// KillPlugin ends every process of a plugin with SIGKILL.
func (d *Daemon) KillPlugin(label string) int {
	killed := 0
	for _, pid := range d.PluginPIDs(label) {
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// cleanUp leaves nothing running: not the daemon, not the recorders that outlive it, not the database of a killed one.
func (d *Daemon) cleanUp() {
	if d.process != nil {
		select {
		case <-d.process.done:
		default:
			if err := d.process.command.Process.Signal(syscall.SIGTERM); err == nil {
				_ = d.WaitExit()
			}
		}
	}
	d.KillPlugin("recorder-native")
	d.KillPlugin("line-upos")
	d.stopDatabase()
}

// stopDatabase ends the PostgreSQL that a killed daemon left.
func (d *Daemon) stopDatabase() {
	text, err := os.ReadFile(filepath.Join(d.DataDir, "postgres", "data", "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if pid, err := strconv.Atoi(first); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
	}
}

// Log collects the daemon's log lines across restarts.
type Log struct {
	t       testing.TB
	mu      sync.Mutex
	lines   []string
	from    int // lines before this one belong to earlier runs
	changed chan struct{}
}

func newLog(t testing.TB) *Log { return &Log{t: t, changed: make(chan struct{})} }

func (l *Log) read(source io.Reader) {
	scanner := bufio.NewScanner(source)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		l.mu.Lock()
		l.lines = append(l.lines, scanner.Text())
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
	}
}

func (l *Log) mark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = len(l.lines)
}

// Count tells how many lines of all runs contain all of words.
func (l *Log) Count(words ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return count(l.lines, words)
}

func count(lines, words []string) int {
	found := 0
	for _, line := range lines {
		if containsAll(line, words) {
			found++
		}
	}
	return found
}

func containsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// Wait returns once n lines of all runs contain all of words.
func (l *Log) Wait(n int, words ...string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	for {
		l.mu.Lock()
		found, changed := count(l.lines, words), l.changed
		l.mu.Unlock()
		if found >= n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			l.t.Fatalf("the log has %d of %d lines with %q: %s", found, n, words, l.Tail())
		}
	}
}

// waitOr returns the first line of this run with word, or "" when ended is closed before.
func (l *Log) waitOr(t testing.TB, word string, ended <-chan struct{}) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		lines, changed := l.lines[l.from:], l.changed
		l.mu.Unlock()
		for _, line := range lines {
			if strings.Contains(line, word) {
				return line
			}
		}
		select {
		case <-changed:
		case <-ended:
			return ""
		case <-timeout:
			t.Fatalf("no %q in the log: %s", word, l.Tail())
		}
	}
}

// Text is the log of this run.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[l.from:], "\n")
}

// Tail is the end of the log, for the message of a failing test.
func (l *Log) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return "\n" + strings.Join(l.lines[max(0, len(l.lines)-60):], "\n")
}
