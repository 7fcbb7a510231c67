package crash

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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startBudget = 30 * time.Second // from the start to the API, beside another run
	stopBudget  = 20 * time.Second
)

// host is the daemon of a run: a process that comes and goes.
type host struct {
	in      *installation
	data    string
	logPath string
	sim     string
	note    func(format string, args ...any)

	// turn is held by whoever ends or starts the daemon: what the plan wants of it happens one after the other.
	turn sync.Mutex

	mu      sync.Mutex
	changed chan struct{}
	address string // of the API; "" while it is not up
	running *exec.Cmd
	done    chan struct{}
	ending  bool // by us
	deaths  []string
}

func newHost(in *installation, data, logPath, sim string, note func(string, ...any)) *host {
	return &host{in: in, data: data, logPath: logPath, sim: sim, note: note, changed: make(chan struct{})}
}

func (h *host) announce() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// pace is how many times as fast as in real life lubod waits.
const pace = 800

var upLine = regexp.MustCompile(`msg="lubod is up" address=(http://\S+)`)

// start runs the daemon without waiting for its API.
func (h *host) start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	log, err := os.OpenFile(h.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	// Its life is longer than ctx: stop and kill end it.
	c := exec.Command(h.in.lubod, "server", "--listen", "127.0.0.1:0", "--data-dir", h.data, //nolint:noctx // see above
		"--plugins", h.in.pluginsFile(), "--database-url", "")
	c.Env = append(os.Environ(), "LUBOD_DATABASE_URL=", "HOME="+h.data, fmt.Sprintf("LUBOD_TEST_PACE=%f", 1/float64(pace)),
		"LUBOD_BILIBILI_MEMBER_URL="+h.sim, "LUBOD_BILIBILI_API_URL="+h.sim, "LUBOD_BILIBILI_PASSPORT_URL="+h.sim)
	c.Dir = filepath.Dir(h.data)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: h.in.owner}
	output, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start lubod: %w", err), log.Close())
	}
	done := make(chan struct{})
	h.mu.Lock()
	h.running, h.done, h.ending, h.address = c, done, false, ""
	h.announce()
	h.mu.Unlock()
	go func() {
		defer close(done)
		h.follow(output, log)
		err := errors.Join(c.Wait(), log.Close())
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.ending {
			h.deaths = append(h.deaths, fmt.Sprint(err))
		}
		h.running, h.address = nil, ""
		h.announce()
	}()
	return nil
}

// follow copies the log, and learns the address of the API from it.
func (h *host) follow(output io.Reader, log io.Writer) {
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		_, _ = io.WriteString(log, line)
		if match := upLine.FindStringSubmatch(line); match != nil {
			h.mu.Lock()
			h.address = match[1]
			h.announce()
			h.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// base is the address of the API; "" while it is not up.
func (h *host) base() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.address
}

// waitUp returns when the API answers, and fails when the daemon ends instead.
func (h *host) waitUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startBudget, fmt.Errorf("lubod is not up after %v", startBudget))
	defer cancel()
	for {
		h.mu.Lock()
		address, running, changed := h.address, h.running, h.changed
		h.mu.Unlock()
		switch {
		case address != "":
			return nil
		case running == nil:
			return errors.New("lubod ended before it was up")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// signal sends the daemon a signal that ends it, and returns when it has ended; false: it runs not.
func (h *host) signal(signal syscall.Signal) (<-chan struct{}, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running == nil {
		return nil, false
	}
	h.ending = true
	_ = h.running.Process.Signal(signal)
	return h.done, true
}

// kill ends the daemon with SIGKILL.
func (h *host) kill() {
	if done, running := h.signal(syscall.SIGKILL); running {
		<-done
	}
}

// stop ends the daemon in order.
func (h *host) stop() error {
	done, running := h.signal(syscall.SIGTERM)
	if !running {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-time.After(stopBudget):
		h.kill()
		return fmt.Errorf("lubod did not end within %v of SIGTERM", stopBudget)
	}
}

// diedAlone are the ends of the daemon that nobody caused.
func (h *host) diedAlone() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	deaths := h.deaths
	h.deaths = nil
	return deaths
}

// pids are the living processes of a plugin of this daemon.
func (h *host) pids(plugin string) []int {
	return processes(func(pid string) bool {
		program, err := os.Readlink(filepath.Join("/proc", pid, "exe"))
		if err != nil || program != filepath.Join(h.in.plugins, plugin) {
			return false
		}
		environment, err := os.ReadFile(filepath.Join("/proc", pid, "environ"))
		return err == nil && strings.Contains(string(environment), h.data+"/")
	})
}

func processes(wanted func(pid string) bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && wanted(entry.Name()) {
			found = append(found, pid)
		}
	}
	return found
}

// postmaster is the database server's first process, or 0.
func (h *host) postmaster() int {
	text, err := os.ReadFile(filepath.Join(h.data, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid < 2 || !alive(pid) {
		return 0
	}
	return pid
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// backends are the server's processes that serve connections.
func (h *host) backends() []int {
	parent := strconv.Itoa(h.postmaster())
	return processes(func(pid string) bool {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil {
			return false
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		title, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		return err == nil && len(fields) > 1 && fields[1] == parent && strings.Contains(string(title), "[local]")
	})
}

func killAll(pids []int) int {
	killed := 0
	for _, pid := range pids {
		if pid > 1 && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// cleanUp leaves no process of this daemon.
func (h *host) cleanUp() error {
	err := h.stop()
	for _, plugin := range []string{"recorder-native", "line-upos", "extractor-direct"} {
		killAll(h.pids(plugin))
	}
	if pid := h.postmaster(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
		for deadline := time.Now().Add(5 * time.Second); alive(pid) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		}
	}
	return err
}
