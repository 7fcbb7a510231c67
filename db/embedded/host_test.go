package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// The test binary is also a host: with this variable it starts the cluster in that directory, says so on its standard
// output, and stops it in order when its standard input ends.
const (
	hostDirVariable  = "LUBOD_EMBEDDED_TEST_DIR"
	hostBinsVariable = "LUBOD_EMBEDDED_TEST_BINS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(hostDirVariable); dir != "" {
		os.Exit(runHost(dir))
	}
	goleak.VerifyTestMain(m)
}

func runHost(dir string) int {
	options := Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Settings: fast}
	if bins := os.Getenv(hostBinsVariable); bins != "" {
		options.BinDirs = []string{bins}
	}
	server, err := Start(context.Background(), options)
	if err != nil {
		fmt.Println("error", strconv.Quote(err.Error()))
		return 1
	}
	fmt.Println("ready", server.URL())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return 1
	}
	if err := server.Stop(context.Background()); err != nil {
		fmt.Println("error", strconv.Quote(err.Error()))
		return 1
	}
	return 0
}

// fast is for tests that kill processes, not machines: what is in the kernel's cache survives those.
var fast = map[string]string{"fsync": "off"}

// host is a process that uses a cluster.
type host struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Scanner
}

// hostCommand prepares the test binary as a host, in a copy that every user may run.
func hostCommand(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(publicDir(t), "host")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Another process copies it: a program cannot be executed while it is open for writing, which a descriptor of ours would be
	// in whatever another test forks meanwhile.
	if out, err := exec.Command("install", "-m", "0755", self, binary).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), hostDirVariable+"="+dir)
	cmd.Stderr = testWriter{t}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	return cmd
}

// publicDir is a directory that other users can walk to, which those of t.TempDir need not be.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lubod-embedded-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func launchHost(t *testing.T, cmd *exec.Cmd) *host {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &host{cmd: cmd, stdin: stdin, out: bufio.NewScanner(stdout)}
	t.Cleanup(h.kill)
	return h
}

// answer is what the host says: the URL of its database, or the error that it failed with.
func (h *host) answer(t *testing.T) (url string, err error) {
	t.Helper()
	if !h.out.Scan() {
		t.Fatal("the host ended without a word:", h.out.Err())
	}
	word, rest, _ := strings.Cut(h.out.Text(), " ")
	if word == "ready" {
		return rest, nil
	}
	text, err := strconv.Unquote(rest)
	if err != nil {
		t.Fatal(err)
	}
	return "", errors.New(text)
}

func (h *host) ready(t *testing.T) string {
	t.Helper()
	url, err := h.answer(t)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// kill is kill -9. It may be called again.
func (h *host) kill() {
	if h.cmd.ProcessState == nil {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait() // "signal: killed"
	}
}

// end lets the host stop in order.
func (h *host) end(t *testing.T) {
	t.Helper()
	if err := h.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Wait(); err != nil {
		t.Fatal("host:", err)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// setup is one cluster that a test starts, breaks and starts again.
type setup struct {
	t       *testing.T
	options Options
	log     *logSignals
}

func newSetup(t *testing.T, dir string) *setup {
	t.Helper()
	log := &logSignals{messages: make(chan string, 100)}
	s := &setup{t: t, log: log, options: Options{Dir: dir, Logger: slog.New(log), Settings: fast}}
	t.Cleanup(s.sweep)
	return s
}

// sweep ends what a failed test left running.
func (s *setup) sweep() {
	token, err := clusterToken(filepath.Join(s.options.Dir, "data"))
	if err != nil {
		return // never made
	}
	pids, err := clusterProcesses(token)
	if err != nil {
		s.t.Error(err)
	}
	if len(pids) > 0 && !s.t.Failed() {
		s.t.Errorf("the test left processes %v running", pids)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (s *setup) start() *Server {
	s.t.Helper()
	server, err := Start(s.t.Context(), s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	return server
}

func (s *setup) stop(server *Server) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		s.t.Fatal(err)
	}
}

func (s *setup) pid() int {
	s.t.Helper()
	pid, err := readPIDFile(filepath.Join(s.options.Dir, "data"))
	if err != nil || pid == 0 {
		s.t.Fatalf("process of PostgreSQL: %d, %v", pid, err)
	}
	return pid
}

func execSQL(t *testing.T, url, statement string) {
	t.Helper()
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone by then
	return conn
}

// logSignals lets tests wait for what is logged.
type logSignals struct{ messages chan string }

func (l *logSignals) Enabled(context.Context, slog.Level) bool { return true }
func (l *logSignals) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logSignals) WithGroup(string) slog.Handler            { return l }
func (l *logSignals) Handle(_ context.Context, r slog.Record) error {
	select {
	case l.messages <- r.Message:
	default:
	}
	return nil
}

func (l *logSignals) wait(t *testing.T, message string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case got := <-l.messages:
			if got == message {
				return
			}
		case <-limit:
			t.Fatalf("waited in vain for %q in the log", message)
		}
	}
}
