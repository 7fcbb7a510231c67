package process

import (
	"context"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// Adopted is a process that an earlier host launched. It is not our child: the kernel does not tell us its exit status.
type Adopted struct {
	pid     int
	exited  chan struct{}
	letGo   chan struct{}
	release sync.Once
	// stop ends the watch.
	stop func()
}

var _ runner.AttachedRunner = (*Adopted)(nil)

// Adopt begins to watch a process, until it is let go of. From here on its id cannot come to mean another process.
func Adopt(pid int) *Adopted {
	watch := WatchExit(pid)
	ctx, cancel := context.WithCancel(context.Background())
	a := &Adopted{pid: pid, exited: make(chan struct{}), letGo: make(chan struct{}), stop: cancel}
	go func() { // ends with the process or with LetGo
		if watch(ctx) {
			close(a.exited)
		}
	}()
	return a
}

// Exited is closed as soon as the process is gone.
func (a *Adopted) Exited() <-chan struct{} { return a.exited }

// Reason says that it ended; nobody knows how.
func (a *Adopted) Reason() string { return "the process is gone" }

// Clean reports that nothing is known of a good end.
func (a *Adopted) Clean() bool { return false }

// Pid is the process id.
func (a *Adopted) Pid() int { return a.pid }

// End kills the process and what it started.
func (a *Adopted) End() {
	select {
	case <-a.exited: // the id may belong to somebody else by now
	default:
		_ = syscall.Kill(-a.pid, syscall.SIGKILL)
	}
}

// LetGo makes everything return that waits for the process inside go-plugin, and leaves it running.
func (a *Adopted) LetGo() {
	a.release.Do(func() {
		a.stop()
		close(a.letGo)
	})
}

// Wait implements runner.AttachedRunner.
func (a *Adopted) Wait(context.Context) error {
	select {
	case <-a.exited:
	case <-a.letGo:
	}
	return nil
}

// Kill implements runner.AttachedRunner.
func (a *Adopted) Kill(context.Context) error {
	a.End()
	return nil
}

// ID implements runner.AttachedRunner.
func (a *Adopted) ID() string { return strconv.Itoa(a.pid) }

// PluginToHost implements runner.AttachedRunner.
func (a *Adopted) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.AttachedRunner.
func (a *Adopted) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// pollInterval is how often a process is looked for where the kernel cannot tell when it ends.
const pollInterval = 200 * time.Millisecond

// pollExit blocks until the process that started at start is gone (true) or ctx ends.
func pollExit(ctx context.Context, pid int, start string) bool {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if found := StartOf(pid); found == "" || found != start {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}
