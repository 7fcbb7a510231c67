package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// PipeGrace is how long the output of a dead process is read to its end. A program that it started and that lives on
// can hold the pipe open for ever.
const PipeGrace = 2 * time.Second

// Child runs a plugin for go-plugin. Unlike go-plugin's own runner it notices the exit at once and knows its status,
// ends the whole process group, and can let go of a process without killing it.
type Child struct {
	cmd      *exec.Cmd
	detached bool
	// started is told the process id.
	started func(pid int)

	mu     sync.Mutex
	pid    int
	doomed bool // End was called, perhaps before the start

	stdout         greeting
	stderr         *os.File
	exited         chan struct{}
	err            error // how the process ended; set before exited is closed
	drained, letGo chan struct{}
	drain, release sync.Once
}

var _ runner.Runner = (*Child)(nil)

// NewChild prepares a process; go-plugin starts it. A detached one gets a session of its own. started is told the process id.
func NewChild(path string, detached bool, started func(int)) *Child {
	cmd := exec.Command(path) //nolint:noctx // a recorder outlives every context of its host; End kills the others
	// A group of its own keeps a terminal's Ctrl-C and a service manager's stop away while the host still drains.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !detached, Setsid: detached}
	return &Child{
		cmd: cmd, detached: detached, started: started,
		exited: make(chan struct{}), drained: make(chan struct{}), letGo: make(chan struct{}),
	}
}

// RunAs makes another user of the machine the one that the process runs as; it comes before the start.
func (c *Child) RunAs(uid, gid int, groups []uint32) {
	c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}
	c.cmd.Dir = "/" // ours may be closed to that user
}

// SetEnv sets the whole environment; it comes before the start.
func (c *Child) SetEnv(env []string) { c.cmd.Env = env }

// Greeting is the first line of its output as far as it came: the handshake.
func (c *Child) Greeting() string { return c.stdout.line() }

// Start implements runner.Runner.
func (c *Child) Start(context.Context) error {
	stdout, stdoutWriter, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	stderr, stderrWriter, err := os.Pipe()
	if err != nil {
		closeAll(stdout, stdoutWriter)
		return fmt.Errorf("make a pipe: %w", err)
	}
	c.cmd.Stdout, c.cmd.Stderr = stdoutWriter, stderrWriter
	err = c.exec()
	closeAll(stdoutWriter, stderrWriter)
	if err != nil {
		closeAll(stdout, stderr)
		return err
	}
	c.stdout.pipe, c.stderr = stdout, stderr
	c.started(c.Pid())
	go c.wait() // ends with the process
	return nil
}

func (c *Child) exec() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doomed {
		return context.Canceled
	}
	if err := c.cmd.Start(); err != nil {
		return err //nolint:wrapcheck // os/exec names the operation and the file already
	}
	c.pid = c.cmd.Process.Pid
	return nil
}

func (c *Child) wait() {
	c.err = c.cmd.Wait()
	if !c.detached {
		_ = syscall.Kill(-c.Pid(), syscall.SIGKILL) // what it started and left behind
	}
	close(c.exited)
	timer := time.NewTimer(PipeGrace)
	defer timer.Stop()
	select {
	case <-c.drained:
	case <-timer.C:
	}
	closeAll(c.stdout.pipe, c.stderr)
}

// Wait implements runner.Runner. go-plugin calls it when both pipes are read to their end.
func (c *Child) Wait(context.Context) error {
	c.drain.Do(func() { close(c.drained) })
	select {
	case <-c.exited:
		return c.err
	case <-c.letGo:
		return nil
	}
}

// Kill implements runner.Runner.
func (c *Child) Kill(context.Context) error {
	c.End()
	return nil
}

// End kills the process and what it started.
func (c *Child) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doomed = true
	select {
	case <-c.exited: // the id may belong to somebody else by now
	default:
		if c.pid != 0 {
			_ = syscall.Kill(-c.pid, syscall.SIGKILL)
		}
	}
}

// Exited is closed as soon as the process is gone.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Reason says how it ended, once it has: "exit status 2", "signal: killed".
func (c *Child) Reason() string {
	if c.err == nil {
		return "exit status 0"
	}
	return c.err.Error()
}

// Clean reports whether it ended by itself without complaint.
func (c *Child) Clean() bool { return c.err == nil }

// Pid is the process id; 0 before the start.
func (c *Child) Pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// LetGo makes everything return that waits for the process inside go-plugin, and leaves it running.
func (c *Child) LetGo() { c.release.Do(func() { close(c.letGo) }) }

// Diagnose implements runner.Runner; our own messages are made in explain.go.
func (c *Child) Diagnose(context.Context) string { return "" }

// Stdout implements runner.Runner.
func (c *Child) Stdout() io.ReadCloser { return &c.stdout }

// Stderr implements runner.Runner.
func (c *Child) Stderr() io.ReadCloser { return c.stderr }

// Name implements runner.Runner.
func (c *Child) Name() string { return c.cmd.Path }

// ID implements runner.Runner.
func (c *Child) ID() string {
	if pid := c.Pid(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// PluginToHost implements runner.Runner.
func (c *Child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (c *Child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// greeting is a plugin's standard output. Its first line is the handshake, kept for error messages. go-plugin stops
// reading at a line that is too long, and the plugin would then hang in its next print: what comes behind the first
// line is read and replaced by empty lines.
type greeting struct {
	pipe *os.File

	mu   sync.Mutex
	head []byte
	done bool
}

// maxGreeting is enough for a handshake with a certificate in it.
const maxGreeting = 8 << 10

func (g *greeting) Read(p []byte) (int, error) {
	n, err := g.pipe.Read(p)
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range n {
		switch {
		case g.done:
			p[i] = '\n'
		case p[i] == '\n' || len(g.head) == maxGreeting:
			g.done = true
			p[i] = '\n'
		default:
			g.head = append(g.head, p[i])
		}
	}
	return n, err //nolint:wrapcheck // an io.Reader must return io.EOF as it is
}

func (g *greeting) Close() error { return g.pipe.Close() }

// line returns the first line as far as it came.
func (g *greeting) line() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return string(g.head)
}

func closeAll(files ...*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}
