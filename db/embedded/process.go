package embedded

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is the main process of a running cluster.
type process struct {
	pid     int
	adopted bool // started by a host that is gone

	exited chan struct{} // closed once it has ended; then err is set
	err    error
	leave  context.CancelFunc // stop watching an adopted one
	logAt  int64              // where in the server's log its words begin
}

// launch starts PostgreSQL on a cluster that has no process.
func (c *cluster) launch(ctx context.Context) (*process, error) {
	guard, err := c.guard(ctx)
	if err != nil {
		return nil, err
	}
	defer guard.Close() // the server keeps its copy
	log, err := openServerLog(c.dir)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	// Bound to no context: the server outlives whoever asked for it, up to Stop.
	cmd := c.id.command(context.Background(), c.programs.postgres())
	cmd.Args = append(cmd.Args, "-D", c.id.lend(cmd, c.dataDir))
	cmd.Args = append(cmd.Args, c.settingsArgs(c.id.lend(cmd, c.socket))...)
	cmd.ExtraFiles = append(cmd.ExtraFiles, guard)
	cmd.Stdout, cmd.Stderr = log, log
	if c.options.DieWithHost {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	}
	p := &process{exited: make(chan struct{}), leave: func() {}, logAt: info.Size()}
	if err := p.run(cmd); err != nil {
		return nil, fmt.Errorf("run %s as user %s: %w", c.programs.postgres(), c.id, err)
	}
	return p, nil
}

// run starts cmd and returns; a goroutine waits for its end.
func (p *process) run(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		// Pdeathsig means the death of the thread that starts the process, so that thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	return <-started
}

// watchEvery is how late the end of a server is noticed that is no child of this process.
const watchEvery = 100 * time.Millisecond

// watch follows a process that another host started.
func (c *cluster) watch(pid int) *process {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{pid: pid, adopted: true, exited: make(chan struct{}), leave: cancel}
	go func() {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for isPostmaster(pid, c.token) {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return // exited stays open: nothing is known
			}
		}
		close(p.exited)
	}()
	return p
}

// How long each way of stopping may take before the next one, which is harder, is tried.
const (
	immediateTimeout = 10 * time.Second // PostgreSQL itself kills its children after 5 s
	killTimeout      = 10 * time.Second
)

// errForced says that the server had to be stopped without a checkpoint. Nothing is lost.
var errForced = errors.New("it did not shut down in time and was stopped at once; the next start recovers it")

// shutdown ends p: in order until force is closed, then at once. It returns when no process of the cluster is left.
// https://www.postgresql.org/docs/current/server-shutdown.html
func (c *cluster) shutdown(p *process, force <-chan struct{}) error {
	defer p.leave()
	c.signal(p, syscall.SIGINT)
	select {
	case <-p.exited:
		return nil
	case <-force:
	}
	c.signal(p, syscall.SIGQUIT)
	select {
	case <-p.exited:
		return errForced
	case <-time.After(immediateTimeout):
	}
	c.signal(p, syscall.SIGKILL)
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	select {
	case <-p.exited:
	case <-ctx.Done():
		return fmt.Errorf("process %d does not end, even when killed: its disk may hang", p.pid)
	}
	if err := c.endOrphans(ctx); err != nil {
		return err
	}
	return errForced
}

func (c *cluster) signal(p *process, sig syscall.Signal) {
	if p.adopted && !isPostmaster(p.pid, c.token) {
		return // gone; its number may belong to another by now
	}
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.logger.Error("signal PostgreSQL", "pid", p.pid, "signal", sig.String(), "error", err)
	}
}

// orphanPatience is what processes of a dead server get to notice that; they do at their next wait.
const orphanPatience = 2 * time.Second

// endOrphans waits for processes that outlived their main process, and kills those that do not end. A new server must
// not write into the files that they still have open.
func (c *cluster) endOrphans(ctx context.Context) error {
	started := time.Now()
	for {
		pids, err := clusterProcesses(c.token)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Since(started) > orphanPatience {
			c.logger.Warn("killing processes that a dead PostgreSQL left", "pids", pids)
			for _, pid := range pids {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					return fmt.Errorf("kill process %d that a dead PostgreSQL left: %w", pid, err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v of a dead PostgreSQL do not end: %w", pids, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
