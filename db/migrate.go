package db

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the key of the advisory lock that migrations run under, unique to lubod within one database.
const migrationLock = 0x6c75626f64 // "lubod"

// Migrate brings the schema up to date: first the tables of lubod, then those of the job queue. Several processes may
// call it at once: they take turns under one session lock, and whoever comes second finds nothing to do. A database
// that a newer version of lubod has migrated is refused before anything is changed.
func (d *DB) Migrate(ctx context.Context) error {
	pool, err := d.migrationPool(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	defer pool.Close()
	unlock, err := d.lockMigrations(ctx, pool)
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	defer unlock()
	if err := d.migrateLocked(ctx, pool); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

// migrationPool is a pool without the limits that suit queries: rewriting a large table takes as long as it takes.
func (d *DB) migrationPool(ctx context.Context) (*pgxpool.Pool, error) {
	config := d.Pool.Config()
	config.MaxConns = 4
	config.MinConns, config.MinIdleConns = 0, 0
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		config.ConnConfig.RuntimeParams[name] = "0"
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// lockMigrations waits for the lock. It belongs to one connection: when this process dies, the server releases it.
func (d *DB) lockMigrations(ctx context.Context, pool *pgxpool.Pool) (unlock func(), err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	var got bool
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", migrationLock).Scan(&got)
	if err == nil && !got {
		d.logger.Info("waiting for another process that migrates the database")
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock($1)", migrationLock)
	}
	if err != nil {
		conn.Release()
		return nil, fmt.Errorf("take the migration lock: %w", err)
	}
	return func() {
		// Closing the connection releases the lock even when ctx has ended.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		if err := conn.Hijack().Close(closing); err != nil {
			d.logger.Warn("release the migration lock", "error", err)
		}
	}, nil
}

func (d *DB) migrateLocked(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	handle := stdlib.OpenDBFromPool(pool)
	defer handle.Close()
	tables, err := goose.NewProvider(goose.DialectPostgres, handle, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(d.logger))
	if err != nil {
		return err
	}
	// The migrator's own lines, one per version, say less than the summary that apply logs.
	jobs, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	pending, err := checkVersions(ctx, pool, tables, jobs)
	if err != nil || !pending {
		return err
	}
	return d.apply(ctx, tables, jobs)
}

// checkVersions reports whether there is anything to migrate.
func checkVersions(ctx context.Context, pool *pgxpool.Pool, tables *goose.Provider, jobs *rivermigrate.Migrator[pgx.Tx]) (bool, error) {
	have, want, err := tables.GetVersions(ctx)
	if err != nil {
		return false, fmt.Errorf("read the schema version: %w", err)
	}
	if have > want {
		return false, &NewerError{Schema: "lubod", Have: have, Want: want}
	}
	haveJobs, err := jobsVersion(ctx, pool)
	if err != nil {
		return false, fmt.Errorf("read the schema version of the job queue: %w", err)
	}
	all := jobs.AllVersions()
	wantJobs := int64(all[len(all)-1].Version)
	if haveJobs > wantJobs {
		return false, &NewerError{Schema: "job queue", Have: haveJobs, Want: wantJobs}
	}
	return have < want || haveJobs < wantJobs, nil
}

// jobsVersion is 0 when the job queue has no tables yet. River itself fails on versions that it does not know.
func jobsVersion(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	var exists bool
	if err := pool.QueryRow(ctx, "SELECT to_regclass('river_migration') IS NOT NULL").Scan(&exists); err != nil || !exists {
		return 0, err
	}
	var version int64
	err := pool.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM river_migration").Scan(&version)
	return version, err
}

func (d *DB) apply(ctx context.Context, tables *goose.Provider, jobs *rivermigrate.Migrator[pgx.Tx]) error {
	started := time.Now()
	applied, err := tables.Up(ctx)
	if err != nil {
		return err
	}
	queue, err := jobs.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return fmt.Errorf("job queue: %w", err)
	}
	d.logger.Info("database migrated", "migrations", len(applied), "job_queue_migrations", len(queue.Versions),
		"took", time.Since(started).Round(time.Millisecond))
	return nil
}

// NewerError refuses a database that a newer version of lubod has migrated: this one could misread what it holds.
type NewerError struct {
	// Schema is whose tables: lubod's own or the job queue's.
	Schema string
	// Have is the version of the database, Want the newest one that this program knows.
	Have, Want int64
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("the database is newer than this program (%s schema %d, this program knows up to %d): "+
		"run the newer lubod again, or restore a backup from before the upgrade", e.Schema, e.Have, e.Want)
}
