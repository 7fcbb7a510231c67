// Package db is the state of lubod in PostgreSQL: the connection pool, the schema and its migrations, and the queries
// that sqlc generates from queries/*.sql.
//
// Nothing here assumes that this process is the only one at the database: rows are claimed with locks, and migrations
// run under a lock that all processes share.
package db

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DB is an open database. Its queries run outside a transaction; use InTx for several that belong together.
type DB struct {
	*Queries
	Pool *pgxpool.Pool

	logger   *slog.Logger
	patience time.Duration
}

// Option changes how Open works.
type Option func(*options)

type options struct {
	logger   *slog.Logger
	patience time.Duration
}

// WithLogger says where Open and Migrate report what they wait for and what they changed. The default is
// slog.Default().
func WithLogger(logger *slog.Logger) Option {
	return func(o *options) { o.logger = logger }
}

// WithPatience limits how long Open waits for a database that is down, and Hold for the lock of a process that is dead. The
// default is one minute; zero or less means one attempt.
func WithPatience(patience time.Duration) Option {
	return func(o *options) { o.patience = patience }
}

// Open connects to the database at url, a PostgreSQL connection string in URL or keyword form
// (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING).
//
// A database that is down or still starting is waited for, with a log message every two seconds. An answer that waiting
// cannot change, such as a wrong password or an unknown database, is an error at once. No message and no error holds
// the password.
//
// The schema is not looked at: call Migrate before the first query.
func Open(ctx context.Context, url string, opts ...Option) (*DB, error) {
	o := options{logger: slog.Default(), patience: time.Minute}
	for _, opt := range opts {
		opt(&o)
	}
	config, err := poolConfig(url)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", describe(config), err)
	}
	if err := waitUntilUp(ctx, pool, o); err != nil {
		pool.Close()
		return nil, err
	}
	return &DB{Queries: New(pool), Pool: pool, logger: o.logger, patience: o.patience}, nil
}

// Close waits for connections that are in use and closes all of them.
func (d *DB) Close() { d.Pool.Close() }

// InTx runs fn in one transaction, which is committed when fn returns nil and rolled back otherwise. An error of the
// commit itself may mean either: the answer was lost, so callers that act on the outside world look before they repeat.
func (d *DB) InTx(ctx context.Context, fn func(tx pgx.Tx, q *Queries) error) error {
	return pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
		return fn(tx, d.WithTx(tx))
	})
}
