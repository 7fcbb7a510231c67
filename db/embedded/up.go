package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	askEvery     = 10 * time.Millisecond
	reportEvery  = 5 * time.Second
	startTries   = 3               // of a server that is killed while it starts
	quietTimeout = 5 * time.Second // how long a server that was taken over may leave its socket dead
)

// errUnreachable is a server that runs and has no socket where it should, for instance because a cleaner of temporary
// files removed it.
var errUnreachable = errors.New("it runs, and does not listen on its socket")

// up returns a server that answers and has the database: the one that runs already, or a new one. One that something killed
// while it started is started again, as one that runs would be.
func (c *cluster) up(ctx context.Context) (*process, error) {
	for try := 1; ; try++ {
		p, err := c.upOnce(ctx)
		if ctx.Err() != nil || try == startTries || !killed(err) {
			return p, err
		}
		c.logger.Warn("PostgreSQL was killed while it started, starting it again", "reason", err)
	}
}

// killed tells a server that a signal ended from one that ended for a reason of its own.
func killed(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

func (c *cluster) upOnce(ctx context.Context) (*process, error) {
	p, err := c.takeOver(ctx)
	if err != nil || p != nil {
		return p, err
	}
	if p, err = c.launch(ctx); err != nil {
		return nil, err
	}
	if err := c.waitReady(ctx, p); err != nil {
		cause := fmt.Errorf("start: %w%s", err, serverLogTail(c.dir, p.logAt))
		atOnce := make(chan struct{})
		close(atOnce)
		if err := c.shutdown(p, atOnce); err != nil && !errors.Is(err, errForced) {
			return nil, errors.Join(cause, err)
		}
		return nil, cause
	}
	return p, nil
}

// takeOver returns the server that a host left running, or nil when there is none. Afterwards nothing is in the way of
// a new one.
func (c *cluster) takeOver(ctx context.Context) (*process, error) {
	pid, err := readPIDFile(c.data())
	if err != nil {
		return nil, err
	}
	if pid != 0 && isPostmaster(pid, c.token) {
		p := c.watch(pid)
		err := c.waitReady(ctx, p)
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, errExited): // it was shutting down
		case errors.Is(err, errUnreachable):
			c.logger.Warn("restarting PostgreSQL", "pid", pid, "reason", err)
			if err := c.shutdown(p, after(quietTimeout)); err != nil && !errors.Is(err, errForced) {
				return nil, err
			}
		default:
			p.leave()
			return nil, fmt.Errorf("take over process %d: %w", pid, err)
		}
	}
	return nil, c.clearCrash(ctx)
}

// clearCrash removes what a server leaves that did not end by itself. PostgreSQL trusts the process number in its lock
// file, and would refuse to start when that number has gone to another process of the same user, as it does in a
// container where numbers start over.
func (c *cluster) clearCrash(ctx context.Context) error {
	path := filepath.Join(c.data(), pidFileName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := c.endOrphans(ctx); err != nil {
		return err
	}
	c.logger.Info("recovering the embedded database, which was not shut down in order", "dir", c.dir)
	for _, stale := range []string{path, filepath.Join(c.socketDir, socketName), filepath.Join(c.socketDir, socketName+".lock")} {
		if err := os.Remove(stale); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func after(d time.Duration) <-chan struct{} {
	elapsed := make(chan struct{})
	time.AfterFunc(d, func() { close(elapsed) })
	return elapsed
}

var errExited = errors.New("it ended")

// waitReady returns once the server answers and has the database.
func (c *cluster) waitReady(ctx context.Context, p *process) error {
	began, reported := time.Now(), time.Now()
	for {
		err := c.ensureDatabase(ctx)
		if err == nil {
			return nil
		}
		if final := c.notReady(err, p, began); final != nil {
			return final
		}
		if time.Since(reported) > reportEvery {
			reported = time.Now()
			c.logger.Info("waiting for the embedded database", "waited", time.Since(began).Round(time.Second), "state", err)
		}
		select {
		case <-p.exited:
			if p.err != nil {
				return fmt.Errorf("%w with %w", errExited, p.err)
			}
			return errExited
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		case <-time.After(askEvery):
		}
	}
}

// notReady tells an answer that waiting does not change.
func (c *cluster) notReady(err error, p *process, began time.Time) error {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		if answer.Code == "57P03" || answer.Code == "57P01" { // starting, recovering or shutting down
			return nil
		}
		return err
	}
	if p.adopted && time.Since(began) > quietTimeout && !pgconn.Timeout(err) {
		return errUnreachable
	}
	return nil
}

// ensureDatabase connects, and makes the database when it is not there: right after initdb, or when the last host was
// killed between the two.
func (c *cluster) ensureDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	err := c.exec(ctx, databaseName, "SELECT 1")
	if answer, ok := errors.AsType[*pgconn.PgError](err); !ok || answer.Code != "3D000" { // invalid_catalog_name
		return err
	}
	return c.exec(ctx, "postgres", "CREATE DATABASE "+databaseName)
}

func (c *cluster) exec(ctx context.Context, database, statement string) error {
	conn, err := pgx.Connect(ctx, connectionURL(c.socketDir, database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
