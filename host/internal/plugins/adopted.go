package plugins

import (
	"context"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// adopted is a process that an earlier host launched. It is not our child: the kernel does not tell us its exit status.
type adopted struct {
	pid     int
	exited  chan struct{}
	letGo   chan struct{}
	release sync.Once
	// stop ends the watch.
	stop func()
}

var (
	_ runner.AttachedRunner = (*adopted)(nil)
	_ process               = (*adopted)(nil)
)

// adopt begins to watch a process. watch blocks until the process is gone (true) or ctx ends.
func adopt(pid int, watch func(ctx context.Context) bool) *adopted {
	ctx, cancel := context.WithCancel(context.Background())
	a := &adopted{pid: pid, exited: make(chan struct{}), letGo: make(chan struct{}), stop: cancel}
	go func() { // ends with the process or with LetGo
		if watch(ctx) {
			close(a.exited)
		}
	}()
	return a
}

// Exited implements process.
func (a *adopted) Exited() <-chan struct{} { return a.exited }

// Reason implements process.
func (a *adopted) Reason() string { return "the process is gone" }

// Clean implements process.
func (a *adopted) Clean() bool { return false }

// Pid implements process.
func (a *adopted) Pid() int { return a.pid }

// End implements process.
func (a *adopted) End() {
	select {
	case <-a.exited: // the id may belong to somebody else by now
	default:
		_ = syscall.Kill(-a.pid, syscall.SIGKILL)
	}
}

// LetGo implements process.
func (a *adopted) LetGo() {
	a.release.Do(func() {
		a.stop()
		close(a.letGo)
	})
}

// Wait implements runner.AttachedRunner.
func (a *adopted) Wait(context.Context) error {
	select {
	case <-a.exited:
	case <-a.letGo:
	}
	return nil
}

// Kill implements runner.AttachedRunner.
func (a *adopted) Kill(context.Context) error {
	a.End()
	return nil
}

// ID implements runner.AttachedRunner.
func (a *adopted) ID() string { return strconv.Itoa(a.pid) }

// PluginToHost implements runner.AttachedRunner.
func (a *adopted) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.AttachedRunner.
func (a *adopted) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// pollInterval is how often a process is looked for where the kernel cannot tell when it ends.
const pollInterval = 200 * time.Millisecond

// pollExit blocks until the process that started at start is gone (true) or ctx ends.
func pollExit(ctx context.Context, pid int, start string) bool {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if found := processStart(pid); found == "" || found != start {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}
