package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// cluster is the directory of one PostgreSQL: data/ with its files, log with what it says, socket/ where it listens.
type cluster struct {
	dir       string
	dataDir   string
	logPath   string
	socketDir string
	id        *identity
	programs  programs
	settings  map[string]string
	logger    *slog.Logger
}

// defaultSettings fit a small server. Everything that makes data durable keeps its default.
func defaultSettings() map[string]string {
	return map[string]string{
		"listen_addresses":                "", // never TCP
		"shared_buffers":                  "32MB",
		"max_connections":                 "60",
		"max_wal_size":                    "256MB",
		"min_wal_size":                    "32MB",
		"jit":                             "off",
		"max_worker_processes":            "2",
		"max_parallel_workers_per_gather": "0",
		"wal_level":                       "minimal",
		"max_wal_senders":                 "0",
		"log_min_messages":                "warning",
		"unix_socket_permissions":         "0700",
	}
}

// maxLog is how large the log may be when a start begins a new one.
const maxLog = 4 << 20

func openCluster(ctx context.Context, dir string, options Options) (*cluster, error) {
	id, err := findIdentity(filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	c := &cluster{
		dir: dir, dataDir: filepath.Join(dir, "data"), logPath: filepath.Join(dir, "log"), socketDir: socketDirFor(dir),
		id: id, settings: defaultSettings(), logger: options.Logger,
	}
	for name, value := range options.Settings {
		c.settings[name] = value
	}
	major, err := c.major()
	if err != nil {
		return nil, err
	}
	if c.programs, err = findPrograms(ctx, id, options.BinDirs, major); err != nil {
		return nil, err
	}
	if id.switches {
		// The user walks in, and sees nothing else there: what is inside has owners of its own.
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // see above
			return nil, err
		}
	}
	return c, prepareSocketDir(c.socketDir, id)
}

// close has nothing to undo: what a failed start leaves is what the next one finds.
func (c *cluster) close() {}

// major is the version that made the cluster, 0 when there is none.
func (c *cluster) major() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.dataDir, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the database: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s names no version: %w", filepath.Join(c.dataDir, "PG_VERSION"), err)
	}
	return major, nil
}

// initialise creates the cluster when there is none, and tells whether it did. It becomes visible whole, by a rename: a
// crash in the middle leaves a directory that the next start removes.
func (c *cluster) initialise(ctx context.Context) (bool, error) {
	fresh := filepath.Join(c.dir, "data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return false, fmt.Errorf("remove an unfinished database: %w", err)
	}
	major, err := c.major()
	if err != nil || major != 0 {
		return false, err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return false, fmt.Errorf("make the database directory: %w", err)
	}
	if err := c.id.own(fresh); err != nil {
		return false, fmt.Errorf("hand the database directory to user %s: %w", c.id, err)
	}
	initdb := c.id.command(ctx, c.programs.initdb(), "--pgdata", fresh, "--username", userName, "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions")
	if output, err := initdb.CombinedOutput(); err != nil {
		return false, errorWithOutput("initdb", err, output)
	}
	if err := os.Rename(fresh, c.dataDir); err != nil {
		return false, fmt.Errorf("put the new database in its place: %w", err)
	}
	return true, syncDir(c.dir)
}

func syncDir(dir string) error {
	handle, err := os.Open(dir) //nolint:gosec // below the data directory
	if err != nil {
		return err
	}
	return errors.Join(handle.Sync(), handle.Close())
}

// running is a postmaster: a child of this process, or one that an earlier host left.
type running struct {
	pid     int
	adopted bool
	// exited is closed when the process is gone. For an adopted one that is noticed by looking.
	exited chan struct{}
	err    error // set before exited is closed
}

// up returns a postmaster that answers: the one that is running already, or a new one.
func (c *cluster) up(ctx context.Context) (*running, error) {
	if pid := c.postmaster(); pid != 0 {
		r := adopt(pid)
		err := c.waitUntilUp(ctx, r)
		if err == nil {
			return r, c.ensureDatabase(ctx)
		}
		if ctx.Err() != nil {
			return nil, err
		}
		c.logger.Warn("the PostgreSQL of an earlier run does not answer; starting over", "pid", pid, "error", err)
	}
	r, err := c.launch()
	if err != nil {
		return nil, err
	}
	if err := c.waitUntilUp(ctx, r); err != nil {
		terminate(r, syscall.SIGQUIT)
		<-r.exited
		return nil, err
	}
	return r, c.ensureDatabase(ctx)
}

// postmaster is the process id of a living postmaster of this data directory, else 0. The first line of postmaster.pid
// is its id; since ids are used again, the process must also be named so and have been started on this directory.
func (c *cluster) postmaster() int {
	text, err := os.ReadFile(filepath.Join(c.dataDir, "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		return 0
	}
	arguments, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || !bytes.Contains(arguments, []byte(c.dataDir)) {
		return 0
	}
	return pid
}

// adopt watches a process that is not our child.
func adopt(pid int) *running {
	r := &running{pid: pid, adopted: true, exited: make(chan struct{})}
	go func() {
		defer close(r.exited)
		const look = 200 * time.Millisecond
		ticker := time.NewTicker(look)
		defer ticker.Stop()
		for range ticker.C {
			if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
				return
			}
		}
	}()
	return r
}

func (c *cluster) launch() (*running, error) {
	log, err := c.openLog()
	if err != nil {
		return nil, err
	}
	arguments := []string{"-D", c.dataDir, "-k", c.socketDir}
	for _, name := range sortedKeys(c.settings) {
		arguments = append(arguments, "-c", name+"="+c.settings[name])
	}
	// Not bound to any context: the postmaster is stopped by Stop, or outlives a host that was killed.
	cmd := c.id.command(context.Background(), c.programs.postgres(), arguments...)
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Start()
	closed := log.Close()
	if err = errors.Join(err, closed); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.programs.postgres(), err)
	}
	r := &running{pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		r.err = cmd.Wait()
		close(r.exited)
	}()
	return r, nil
}

func (c *cluster) openLog() (*os.File, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(c.logPath); err == nil && info.Size() > maxLog {
		flags |= os.O_TRUNC
	}
	log, err := os.OpenFile(c.logPath, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database's log: %w", err)
	}
	return log, nil
}

func sortedKeys(settings map[string]string) []string {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// connectPause is the time between two tries to connect to a server that is starting.
const connectPause = 20 * time.Millisecond

// waitUntilUp returns when the server takes connections.
func (c *cluster) waitUntilUp(ctx context.Context, r *running) error {
	ticker := time.NewTicker(connectPause)
	defer ticker.Stop()
	var last error
	for {
		connection, err := pgx.Connect(ctx, connectionURL(c.socketDir, "template1"))
		if err == nil {
			return connection.Close(ctx)
		}
		last = err
		select {
		case <-r.exited:
			return fmt.Errorf("PostgreSQL ended while it was starting; its log (%s) ends with:%s", c.logPath, indent(c.logTail()))
		case <-ctx.Done():
			return fmt.Errorf("%w; the last try said: %w", context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}

// logTail is the end of PostgreSQL's log, for messages.
func (c *cluster) logTail() []byte {
	const most = 1500
	file, err := os.Open(c.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	tail, _ := io.ReadAll(io.LimitReader(file, most))
	return tail
}

// ensureDatabase creates lubod's database within the cluster.
func (c *cluster) ensureDatabase(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, connectionURL(c.socketDir, "template1"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = connection.Close(ctx) }()
	var exists bool
	if err := connection.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, databaseName).Scan(&exists); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := connection.Exec(ctx, `CREATE DATABASE `+databaseName); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

func terminate(r *running, signal syscall.Signal) {
	select {
	case <-r.exited: // its number may belong to somebody else by now
	default:
		_ = syscall.Kill(r.pid, signal)
	}
}

