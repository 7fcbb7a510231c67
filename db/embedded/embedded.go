// Package embedded runs a private PostgreSQL for one lubod: found on this machine, kept in one directory, reached over
// a unix socket and never over TCP.
//
// The server is a process of its own in its own session. It does not die with the host, so a host that was killed finds
// it again and takes it over. While a host lives it restarts a server that died, and Stop shuts it down in order.
//
// The directory holds
//
//	data/       the cluster (PGDATA), which belongs to the user that PostgreSQL runs as
//	socket/     the unix socket, mode 0700 and of the same user; elsewhere when its path would be too long for one
//	server.log  what PostgreSQL says
//	server.lock held by the server
//	lock        held by the host that uses the cluster
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Database and user of lubod within the cluster.
const (
	databaseName = "lubod"
	userName     = "lubod"
)

// Options says where the cluster lives and how to run it.
type Options struct {
	// Dir holds the cluster and all that belongs to it, usually <data-dir>/postgres. It is created when missing.
	Dir string
	// Logger is told what happens; the default is slog.Default().
	Logger *slog.Logger
	// BinDirs are searched for PostgreSQL's programs, first match wins. The default is PATH and then the folders of the
	// usual packages, newest version first.
	BinDirs []string
	// Settings are added to those of this package, or replace them: fsync=off for tests, more memory on a large server.
	Settings map[string]string
	// StartTimeout limits how long a start may take, crash recovery included. The default is five minutes, since
	// interrupting a recovery only starts it over.
	StartTimeout time.Duration
	// DieWithHost makes the kernel end the server when this process dies, for tests: nothing is to be taken over, and a
	// test that is killed leaves nothing behind.
	DieWithHost bool
}

// Server is a running PostgreSQL that this process looks after.
type Server struct {
	cluster *cluster

	requestStop, force context.CancelFunc
	done               chan struct{} // closed when nothing runs any more; then stopErr is set
	stopErr            error
}

// Start brings the cluster in options.Dir up and returns once it answers: it is created when there is none, recovered
// after a crash, and taken over when it is running already because the last host was killed. A directory that another
// process uses is refused with an *InUseError. ctx limits the start only.
func Start(ctx context.Context, options Options) (*Server, error) {
	server, err := start(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("embedded PostgreSQL: %w", err)
	}
	return server, nil
}

func start(ctx context.Context, options Options) (_ *Server, err error) {
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.StartTimeout <= 0 {
		options.StartTimeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, options.StartTimeout,
		fmt.Errorf("did not answer within %s", options.StartTimeout))
	defer cancel()
	began := time.Now()

	dir, err := prepareDir(options.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := LockDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Release())
		}
	}()
	c, err := openCluster(ctx, dir, options)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	created, err := c.initialise(ctx)
	if err != nil {
		return nil, err
	}
	running, err := c.up(ctx)
	if err != nil {
		return nil, err
	}
	options.Logger.Info("embedded PostgreSQL is ready", "dir", dir, "version", c.programs.version, "pid", running.pid,
		"created", created, "taken_over", running.adopted, "took", time.Since(began).Round(time.Millisecond))
	return supervise(c, running, lock), nil
}

// prepareDir creates dir and returns its one true name, so that the same cluster always has the same socket.
func prepareDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no directory given")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create its directory: %w", err)
	}
	return filepath.EvalSymlinks(dir)
}

// URL is the connection string of the database. It is the same at every start.
func (s *Server) URL() string { return connectionURL(s.cluster.socketDir, databaseName) }

// URL is the connection string of the embedded database in dir (Options.Dir) of a host that may be running, for tools
// that look into it from outside.
func URL(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	return connectionURL(socketDirFor(dir), databaseName), nil
}

func connectionURL(socketDir, database string) string {
	// All that matters is named, so that variables such as PGPORT in the environment change nothing.
	query := url.Values{"host": {socketDir}, "port": {"5432"}, "user": {userName}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: query.Encode()}).String()
}

// Stop shuts PostgreSQL down: in order first, which ends open transactions and writes a checkpoint. When ctx ends
// before that is done the server is stopped at once, which costs nothing but a recovery at the next start. Stop may be
// called again and from several goroutines; all get the same answer.
func (s *Server) Stop(ctx context.Context) error {
	s.requestStop()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.force()
		<-s.done
	}
	if s.stopErr != nil {
		return fmt.Errorf("stop embedded PostgreSQL: %w", s.stopErr)
	}
	return nil
}
