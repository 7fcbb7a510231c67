package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSecondStartFindsWhatTheFirstStored(t *testing.T) {
	t.Parallel()
	s := newSetup(t, filepath.Join(t.TempDir(), "data", "postgres"))
	first := s.start()
	execSQL(t, first.URL(), "CREATE TABLE kept (id int)")
	s.stop(first)
	second := s.start()
	if first.URL() != second.URL() {
		t.Errorf("the URL changed from %s to %s", first.URL(), second.URL())
	}
	execSQL(t, second.URL(), "SELECT id FROM kept")
	if outside, err := URL(s.options.Dir); err != nil || outside != second.URL() {
		t.Errorf("from outside the URL is %s, %v, want %s", outside, err, second.URL())
	}
	s.stop(second)
}

// A cluster that was made with tzdata has to start on a machine without: the only zone that PostgreSQL knows there is GMT.
func TestClusterNeedsNoTimeZoneFiles(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.stop(s.start())
	path := filepath.Join(s.options.Dir, "data", "postgresql.conf")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := strings.NewReplacer("\nlog_timezone = 'GMT'", "\nlog_timezone = 'Etc/UTC'", "\ntimezone = 'GMT'", "\ntimezone = 'UTC'").Replace(string(before))
	if strings.Count(old, "UTC'") != 2 {
		t.Fatalf("postgresql.conf names other zones:\n%s", old)
	}
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	server := s.start()
	var zone, log, source string
	if err := connect(t, server.URL()).QueryRow(t.Context(),
		"SELECT current_setting('timezone'), current_setting('log_timezone'), (SELECT string_agg(setting, ' ') FROM pg_file_settings WHERE name LIKE '%timezone')").Scan(&zone, &log, &source); err != nil {
		t.Fatal(err)
	}
	if zone != "GMT" || log != "GMT" || source != "GMT GMT" {
		t.Errorf("times are told in %s, logged in %s; the file says %s", zone, log, source)
	}
	s.stop(server)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("more than the zones was changed: %v", err)
	}
}

func TestServerListensNowhereButOnItsSocket(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.options.Settings = map[string]string{"fsync": "off", "listen_addresses": "*"}
	server := s.start()
	var addresses, encoding string
	if err := connect(t, server.URL()).QueryRow(t.Context(),
		"SELECT current_setting('listen_addresses'), current_setting('server_encoding')").Scan(&addresses, &encoding); err != nil {
		t.Fatal(err)
	}
	if addresses != "" || encoding != "UTF8" {
		t.Errorf("listens on %q, stores %s", addresses, encoding)
	}
	for _, path := range []string{server.cluster.socketDir, filepath.Join(server.cluster.socketDir, socketName)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
	}
	s.stop(server)
}

func TestServerHasASessionOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	server := s.start()
	pid := s.pid()
	if session, err := unix.Getsid(pid); err != nil || session != pid {
		t.Errorf("process %d is in session %d, %v: Ctrl-C would reach it", pid, session, err)
	}
	s.stop(server)
}

func TestKilledServerIsStartedAgain(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	server := s.start()
	execSQL(t, server.URL(), "CREATE TABLE kept (id int)")
	if err := syscall.Kill(s.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "PostgreSQL runs again")
	execSQL(t, server.URL(), "SELECT id FROM kept")
	s.stop(server)
}

func TestStopWhileTheServerIsBeingStartedAgain(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	server := s.start()
	if err := syscall.Kill(s.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "PostgreSQL ended by itself, starting it again")
	s.stop(server)
	s.stop(s.start())
}

func TestHostKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSetup(t, dir)
	h := launchHost(t, hostCommand(t, dir))
	url := h.ready(t)
	execSQL(t, url, "CREATE TABLE kept (id int)")
	h.kill()
	pid := s.pid()
	server := s.start()
	if now := s.pid(); now != pid {
		t.Errorf("process %d was running, and was replaced by %d", pid, now)
	}
	execSQL(t, server.URL(), "SELECT id FROM kept")
	s.stop(server)
}

func TestHostAndServerKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSetup(t, dir)
	h := launchHost(t, hostCommand(t, dir))
	execSQL(t, h.ready(t), "CREATE TABLE kept (id int)")
	h.kill()
	if err := syscall.Kill(s.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	server := s.start()
	execSQL(t, server.URL(), "SELECT id FROM kept")
	s.stop(server)
}

// After a reboot, and always in containers, the number in PostgreSQL's lock file may belong to somebody else.
func TestProcessNumberOfTheDeadServerWasGivenAway(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.stop(s.start())
	other := s.options
	other.Dir = t.TempDir()
	neighbour, err := Start(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	// The worst case is another PostgreSQL of the same user.
	lockFile := fmt.Sprintf("%d\n%s\n", neighbour.cluster.mustPID(t), filepath.Join(s.options.Dir, "data"))
	if err := os.WriteFile(filepath.Join(s.options.Dir, "data", pidFileName), []byte(lockFile), 0o600); err != nil {
		t.Fatal(err)
	}
	s.stop(s.start())
	execSQL(t, neighbour.URL(), "SELECT 1")
	s.stop(neighbour)
}

func (c *cluster) mustPID(t *testing.T) int {
	t.Helper()
	pid, err := readPIDFile(c.data())
	if err != nil || pid == 0 {
		t.Fatal("no process", err)
	}
	return pid
}

// A process that does not notice the end of its server still has files open.
func TestOrphanOfAKilledServerIsEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSetup(t, dir)
	h := launchHost(t, hostCommand(t, dir))
	conn := connect(t, h.ready(t))
	h.kill()
	if err := syscall.Kill(int(conn.PgConn().PID()), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.stop(s.start())
}

// In another container with the same volume its process number means nothing, and only its lock shows that it lives.
func TestServerThatCannotBeSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSetup(t, dir)
	h := launchHost(t, hostCommand(t, dir))
	h.ready(t)
	h.kill()
	c := &cluster{dir: dir}
	if _, err := c.guard(t.Context()); err == nil || !strings.Contains(err.Error(), "perhaps in another container") {
		t.Errorf("got %v, want a refusal while a server runs", err)
	}
	s.stop(s.start())
	guard, err := c.guard(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.Close(); err != nil {
		t.Error(err)
	}
}

func TestRunningServerWithoutItsSocketIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSetup(t, dir)
	h := launchHost(t, hostCommand(t, dir))
	execSQL(t, h.ready(t), "CREATE TABLE kept (id int)")
	h.kill()
	if err := os.Remove(filepath.Join(socketDirFor(dir), socketName)); err != nil {
		t.Fatal(err)
	}
	server := s.start()
	execSQL(t, server.URL(), "SELECT id FROM kept")
	s.stop(server)
}

func TestTwoHostsOnOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSetup(t, dir)
	h := launchHost(t, hostCommand(t, dir))
	h.ready(t)
	_, err := Start(t.Context(), s.options)
	inUse, ok := errors.AsType[*InUseError](err)
	if !ok || inUse.PID != h.cmd.Process.Pid {
		t.Fatalf("got %v, want the directory in use by %d", err, h.cmd.Process.Pid)
	}
	if want := fmt.Sprintf("%s is in use by process %d", dir, h.cmd.Process.Pid); !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want it to say %q", err, want)
	}
	h.end(t)
	s.stop(s.start())
}

func TestPathTooLongForASocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30), "postgres")
	s := newSetup(t, dir)
	h := launchHost(t, hostCommand(t, dir))
	execSQL(t, h.ready(t), "CREATE TABLE kept (id int)")
	h.kill()
	server := s.start()
	execSQL(t, server.URL(), "SELECT id FROM kept")
	s.stop(server)
	if _, err := os.Stat(server.cluster.socketDir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind: %v", server.cluster.socketDir, err)
	}
}

func TestUnfinishedDatabaseOfAKilledHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leftover := filepath.Join(dir, initPrefix+"123", "base")
	if err := os.MkdirAll(leftover, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, dir)
	s.stop(s.start())
	if _, err := os.Stat(filepath.Dir(leftover)); !os.IsNotExist(err) {
		t.Errorf("the unfinished database is still there: %v", err)
	}
}

func TestHostKilledWhileItCreatesTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSetup(t, dir)
	// An initdb that says it runs, by making a fifo readable, and then takes for ever.
	bins := publicDir(t)
	fifo := filepath.Join(bins, "running")
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	writeProgram(t, filepath.Join(bins, "initdb"), "echo $$ > "+fifo+"\nexec sleep 1000")
	writeProgram(t, filepath.Join(bins, "postgres"), "echo 'postgres (PostgreSQL) 15.0'")
	cmd := hostCommand(t, dir)
	cmd.Env = append(cmd.Env, hostBinsVariable+"="+bins)
	h := launchHost(t, cmd)
	if _, err := os.ReadFile(fifo); err != nil {
		t.Fatal(err)
	}
	h.kill()
	s.stop(s.start())
	if left, err := filepath.Glob(filepath.Join(dir, initPrefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStopTwiceAtOnce(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	server := s.start()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := server.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.stop(server)
}

func TestStopDoesNotWaitForClients(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	server := s.start()
	conn := connect(t, server.URL())
	if _, err := conn.Exec(t.Context(), "BEGIN; CREATE TABLE unfinished (id int)"); err != nil {
		t.Fatal(err)
	}
	s.stop(server)
}

func TestStopThatMayNotTakeLong(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	server := s.start()
	conn := connect(t, server.URL())
	if err := syscall.Kill(int(conn.PgConn().PID()), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := server.Stop(ctx); !errors.Is(err, errForced) {
		t.Errorf("got %v, want %v", err, errForced)
	}
	s.stop(s.start())
}

func TestStartIsCancelled(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	wanted := errors.New("changed my mind")
	cancel(wanted)
	if _, err := Start(ctx, s.options); err == nil {
		t.Fatal("started")
	}
	s.stop(s.start())
}
