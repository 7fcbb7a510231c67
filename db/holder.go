package db

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// holderLock is the key of the advisory lock that the host of a database holds as long as it lives.
const holderLock = migrationLock<<8 | 1

// Holder is a host that uses a database.
type Holder struct {
	HostID  uuid.UUID
	DataDir string
	Machine string
	PID     int
	// Since is when it began to use the database.
	Since time.Time
}

// HeldError refuses a database that another host uses: both would record and publish every broadcast.
type HeldError struct {
	// By is the other host; nil when it has not said yet who it is.
	By *Holder
	// Copied tells that the other host has the same number: one data directory is a copy of the other.
	Copied bool
}

func (e *HeldError) Error() string {
	const advice = "stop that one, or give this one a database of its own (--database-url)"
	switch {
	case e.By == nil:
		return "another lubod, which is just starting, uses this database: " + advice
	case e.Copied:
		return fmt.Sprintf("%s uses this database, with the same host-id as this one: %s; if one data directory is a copy of the other, remove the file host-id from the copy", e.By, advice)
	}
	return fmt.Sprintf("%s uses this database, and two at once would record and publish everything twice: %s", e.By, advice)
}

func (h Holder) String() string {
	return fmt.Sprintf("another lubod (process %d on %s, data directory %s, host %s, since %s)", h.PID, h.Machine, h.DataDir, h.HostID, h.Since.UTC().Format(time.RFC3339))
}

// HolderLock keeps other hosts away from a database. It is an advisory lock on a connection of its own: the server lets go of
// it when this process dies.
type HolderLock struct {
	db *DB
	me Holder

	mu        sync.Mutex // guards what follows
	backend   uint32     // the server's process that holds the lock, or held it last
	announced bool

	conn *pgx.Conn // of Run, once that is called
}

// How often the connection is tried, how long an answer may take, and what is waited between two tries to get the lock.
const (
	holderPing    = 2 * time.Second
	holderTimeout = 5 * time.Second
	holderRetry   = 50 * time.Millisecond
	holderRedial  = 500 * time.Millisecond
)

// The server notices at once that a process died, and after a quarter of a minute that its machine did (see connect). So
// long may the lock stay with a connection that nobody has any more.
const (
	// waitForSelf is for the lock of this very host, which was killed.
	waitForSelf = 30 * time.Second
	// waitForName is for one who took the lock and is not far enough to say who it is.
	waitForName = 10 * time.Second
	// waitForOther is for another host that ends at this moment.
	waitForOther = time.Second
)

// Hold makes this process the only host of the database, or fails with a *HeldError. It comes before Migrate, so that the
// schema does not change under a running host. Close or Run ends what it holds.
func (d *DB) Hold(ctx context.Context, me Holder) (*HolderLock, error) {
	lock := &HolderLock{db: d, me: me}
	if err := lock.take(ctx); err != nil {
		return nil, fmt.Errorf("take the database: %w", err)
	}
	return lock, nil
}

// Announce writes down who holds the database, for others to name. The schema has to be there.
func (l *HolderLock) Announce(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.save(ctx, l.db.Queries); err != nil {
		return fmt.Errorf("write down who uses the database: %w", err)
	}
	l.announced = true
	return nil
}

func (l *HolderLock) save(ctx context.Context, q *Queries) error {
	return q.SaveHolder(ctx, SaveHolderParams{
		HostID: l.me.HostID, DataDir: l.me.DataDir, Machine: l.me.Machine, PID: int32(l.me.PID), Since: l.me.Since, Backend: int32(l.backend),
	})
}

// Run holds the lock until ctx ends. When its connection breaks it takes the lock anew, for as long as the database is away;
// it fails, and the host has to stop, when another host was faster.
func (l *HolderLock) Run(ctx context.Context) error {
	defer l.Close(ctx)
	for {
		err := l.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		l.db.logger.Warn("the connection that keeps other hosts away from the database broke; taking a new one", "error", oneLine(err))
		if err := l.retake(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		l.db.logger.Info("other hosts are kept away from the database again")
	}
}

// watch returns when the connection broke, which is noticed at once where the server or the network says so.
func (l *HolderLock) watch(ctx context.Context) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, holderPing)
		_, err := l.conn.WaitForNotification(waiting)
		quiet := waiting.Err() != nil
		cancel()
		if ctx.Err() != nil || (err != nil && !quiet) {
			return errors.Join(err, ctx.Err())
		}
		pinging, cancel := context.WithTimeout(ctx, holderTimeout)
		err = l.conn.Ping(pinging)
		cancel()
		if err != nil {
			return err
		}
	}
}

// retake gets the lock back. Only another host that has it is an error.
func (l *HolderLock) retake(ctx context.Context) error {
	l.closeConn(ctx)
	for {
		err := l.take(ctx)
		if held, ok := errors.AsType[*HeldError](err); ok {
			return held
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(holderRedial):
		}
	}
}

// take opens a connection and gets the lock on it.
func (l *HolderLock) take(ctx context.Context) (err error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), holderTimeout)
			defer cancel()
			_ = conn.Close(closing) // the error that is known says more
		}
	}()
	if err := l.wait(ctx, conn); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backend = conn.PgConn().PID()
	if l.announced {
		saving, cancel := context.WithTimeout(ctx, holderTimeout)
		defer cancel()
		if err := l.save(saving, New(conn)); err != nil {
			return err
		}
	}
	l.conn = conn
	return nil
}

// connect makes a connection whose death the server notices: by asking an idle one now and then, by not waiting for ever for
// an acknowledgement. Server settings that end idle connections do not apply to it.
func (l *HolderLock) connect(ctx context.Context) (*pgx.Conn, error) {
	config := l.db.Pool.Config().ConnConfig
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	setting, cancel := context.WithTimeout(ctx, holderTimeout)
	defer cancel()
	_, err = conn.Exec(setting, `SELECT set_config(name, value, false) FROM (VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '3'),
		('tcp_keepalives_count', '3'), ('tcp_user_timeout', '15000'), ('idle_session_timeout', '0'), ('application_name', 'lubod host')) AS s(name, value)`)
	if err != nil {
		return nil, errors.Join(err, conn.Close(setting))
	}
	return conn, nil
}

// wait tries until the lock is free, as long as that may only be a matter of a connection that is dead already.
func (l *HolderLock) wait(ctx context.Context, conn *pgx.Conn) error {
	began, told := time.Now(), false
	for {
		got, err := l.try(ctx, conn)
		if err != nil || got {
			return err
		}
		by, own, err := l.holder(ctx, conn)
		if err != nil {
			return err
		}
		patience := waitForOther
		switch {
		case own && by.PID == l.me.PID && by.Machine == l.me.Machine:
			patience = math.MaxInt64 // a connection that this process had; the server will notice that it broke
		case own:
			patience = min(waitForSelf, l.db.patience)
		case by == nil:
			patience = waitForName
		}
		if time.Since(began) >= patience {
			return &HeldError{By: by, Copied: own}
		}
		if !told {
			told = true
			l.db.logger.Info("the database is still held; waiting", "by", by, "at_most", patience)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(holderRetry):
		}
	}
}

func (l *HolderLock) try(ctx context.Context, conn *pgx.Conn) (got bool, err error) {
	trying, cancel := context.WithTimeout(ctx, holderTimeout)
	defer cancel()
	err = conn.QueryRow(trying, "SELECT pg_try_advisory_lock($1)", int64(holderLock)).Scan(&got)
	return got, err
}

// holder tells who has the lock: nil when that is not known, own when it is this very host by its number.
func (l *HolderLock) holder(ctx context.Context, conn *pgx.Conn) (by *Holder, own bool, err error) {
	asking, cancel := context.WithTimeout(ctx, holderTimeout)
	defer cancel()
	var backend uint32
	err = conn.QueryRow(asking, `SELECT coalesce(max(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND classid::bigint << 32 | objid::bigint = $1`, int64(holderLock)).Scan(&backend)
	if err != nil {
		return nil, false, err
	}
	var exists bool
	if err := conn.QueryRow(asking, "SELECT to_regclass('database_holder') IS NOT NULL").Scan(&exists); err != nil || !exists {
		return nil, false, err
	}
	row, err := New(conn).GetHolder(asking)
	if errors.Is(err, pgx.ErrNoRows) || (err == nil && uint32(row.Backend) != backend) {
		return nil, false, nil // whoever has the lock did not write its name yet
	}
	if err != nil {
		return nil, false, err
	}
	by = &Holder{HostID: row.HostID, DataDir: row.DataDir, Machine: row.Machine, PID: int(row.PID), Since: row.Since}
	return by, by.HostID == l.me.HostID, nil
}

// Close lets other hosts in. It does nothing after Run, which closes by itself.
func (l *HolderLock) Close(ctx context.Context) {
	if l.conn == nil {
		return
	}
	l.mu.Lock()
	backend, announced := l.backend, l.announced
	l.mu.Unlock()
	if announced {
		removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := l.db.RemoveHolder(removing, int32(backend)); err != nil {
			l.db.logger.Warn("the database still names this host; the next start corrects it", "error", oneLine(err))
		}
	}
	l.closeConn(ctx)
}

func (l *HolderLock) closeConn(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.conn.Close(closing) // it is broken, or the server ends it when this process does
	l.conn = nil
}
