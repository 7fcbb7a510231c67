package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// cluster is what does not change while a host lives: where the data is, and who runs what program on it.
type cluster struct {
	dir, socketDir string
	options        Options
	logger         *slog.Logger
	id             *identity
	programs       programs
	token          string // see clusterToken; set by initialise

	dataDir, socket *os.File // to lend to PostgreSQL; dataDir is set by initialise
}

const initPrefix = "data.init-"

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func openCluster(ctx context.Context, dir string, options Options) (*cluster, error) {
	c := &cluster{dir: dir, socketDir: socketDirFor(dir), options: options, logger: options.Logger}
	major, err := clusterVersion(c.data())
	if err != nil {
		return nil, err
	}
	if c.id, err = chooseIdentity(ctx, c.data()); err != nil {
		return nil, err
	}
	if c.programs, err = findPrograms(ctx, c.id, options.BinDirs, major); err != nil {
		return nil, err
	}
	if err := prepareSocketDir(c.socketDir, c.id); err != nil {
		return nil, err
	}
	c.socket, err = os.Open(c.socketDir)
	return c, err
}

func (c *cluster) close() {
	for _, file := range []*os.File{c.dataDir, c.socket} {
		if file != nil {
			_ = file.Close() // opened for reading
		}
	}
}

// clusterVersion is the major version of PostgreSQL that made the cluster, 0 when there is none yet.
func clusterVersion(data string) (int, error) {
	content, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(data); err == nil {
			return 0, fmt.Errorf("%s exists and is no database (it has no file PG_VERSION): move it away", data)
		}
		return 0, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return 0, fmt.Errorf("%w: run lubod as the user that made this database, or as root", err)
	}
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION holds %q, which is no version of PostgreSQL", data, firstLine(content))
	}
	return version, nil
}

// initialise makes the cluster when there is none. It appears under its name only when it is complete and on disk, so
// that a crash at any moment leaves either nothing or a whole one.
func (c *cluster) initialise(ctx context.Context) (created bool, err error) {
	c.removeLeftovers()
	_, err = os.Stat(c.data())
	if errors.Is(err, fs.ErrNotExist) {
		created = true
		err = c.create(ctx)
	}
	if err != nil {
		return false, err
	}
	if c.dataDir, err = os.Open(c.data()); err != nil {
		return false, err
	}
	if c.token, err = clusterToken(c.data()); err != nil {
		return false, err
	}
	if err := c.plainZone(); err != nil {
		return false, fmt.Errorf("correct the time zone in postgresql.conf: %w", err)
	}
	return created, c.reown()
}

var initZone = regexp.MustCompile(`(?m)^((?:log_)?timezone = )'(?:Etc/)?UTC'`)

// plainZone replaces the zone that initdb wrote down by one that PostgreSQL knows without tzdata: a server that does not know it
// refuses to start, whatever its arguments say, and a data directory may come to another machine.
func (c *cluster) plainZone() error {
	path := filepath.Join(c.data(), "postgresql.conf")
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // PostgreSQL says so better
	}
	if err != nil {
		return err
	}
	after := initZone.ReplaceAll(before, []byte("$1'GMT'"))
	if bytes.Equal(before, after) {
		return nil
	}
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(c.data()), renameio.WithExistingPermissions())
	if err != nil {
		return err
	}
	defer func() { _ = file.Cleanup() }()
	if _, err := file.Write(after); err != nil {
		return err
	}
	if err := c.id.own(file.Name()); err != nil {
		return err
	}
	return errors.Join(file.CloseAtomicallyReplace(), syncDir(c.data()))
}

// removeLeftovers clears what a host left that was killed while it made the cluster.
func (c *cluster) removeLeftovers() {
	leftovers, err := filepath.Glob(filepath.Join(c.dir, initPrefix+"*"))
	if err != nil {
		leftovers = nil // only a malformed pattern fails
	}
	for _, leftover := range leftovers {
		if err := os.RemoveAll(leftover); err != nil {
			c.logger.Warn("remove an unfinished database", "path", leftover, "error", err)
		}
	}
}

func (c *cluster) reown() error {
	info, err := c.dataDir.Stat()
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && c.id.how == asOther && int(stat.Uid) != c.id.uid {
		return c.id.ownAll(c.data())
	}
	return nil
}

func (c *cluster) create(ctx context.Context) (err error) {
	if err := enoughSpace(c.dir); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	c.logger.Info("creating the embedded database", "dir", c.data(), "version", c.programs.version, "user", c.id.name)
	path, err := os.MkdirTemp(c.dir, initPrefix)
	if err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	defer func() {
		if err != nil {
			c.removeLeftovers()
		}
	}()
	if err := c.id.own(path); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	if err := c.initdb(ctx, path); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	if err := os.Rename(path, c.data()); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return syncDir(c.dir)
}

// newClusterBytes is what a new cluster takes, with its first transactions.
const newClusterBytes = 100 << 20

// enoughSpace says so before initdb fails in the middle, in its own words.
func enoughSpace(dir string) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return err
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < newClusterBytes {
		return fmt.Errorf("no space left: it takes %d MB, and %s has %d MB", newClusterBytes>>20, dir, free>>20)
	}
	return nil
}

// initdb fills the empty directory at path and writes it to disk.
func (c *cluster) initdb(ctx context.Context, path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	output, err := c.runInitdb(ctx, dir, "C.UTF-8")
	if err != nil && strings.Contains(string(output), "invalid locale") {
		// Systems without that locale still sort and compare by code point with plain C, just not upper and lower case.
		output, err = c.runInitdb(ctx, dir, "C")
	}
	if err != nil {
		return fmt.Errorf("initdb: %w%s", err, indent(output))
	}
	c.logger.Debug("initdb", "output", string(output))
	return nil
}

func (c *cluster) runInitdb(ctx context.Context, dir *os.File, locale string) ([]byte, error) {
	cmd := c.id.command(ctx, c.programs.initdb(), "--username="+userName, "--encoding=UTF8", "--locale="+locale,
		"--auth-local=trust", "--auth-host=reject", "--data-checksums")
	cmd.Args = append(cmd.Args, "--pgdata="+c.id.lend(cmd, dir))
	if c.options.Settings["fsync"] == "off" {
		cmd.Args = append(cmd.Args, "--no-sync")
	}
	// An initdb without its host would work on in a directory that the next host removes. The signal comes when the
	// thread that started the process ends, so this thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return output, err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
