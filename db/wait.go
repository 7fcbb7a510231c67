package db

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	retryEvery = 2 * time.Second

	// oldestServer is the oldest PostgreSQL that gets fixes of its own project, as server_version_num.
	oldestServer = 140000
)

// waitUntilUp returns once the database answers a query.
func waitUntilUp(ctx context.Context, pool *pgxpool.Pool, o options) error {
	where := describe(pool.Config())
	started := time.Now()
	for {
		err := checkServer(ctx, pool)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("database %s: %w", where, context.Cause(ctx))
		}
		if advice, final := cannotImprove(err); final {
			return fmt.Errorf("database %s: %w%s", where, err, advice)
		}
		waited := time.Since(started)
		if waited+retryEvery > o.patience {
			return fmt.Errorf("database %s is down, gave up after %s: %w", where, waited.Round(time.Second), err)
		}
		o.logger.Warn("waiting for the database", "database", where, "error", oneLine(err),
			"waited", waited.Round(time.Second), "limit", o.patience)
		select {
		case <-ctx.Done():
			return fmt.Errorf("database %s: %w", where, context.Cause(ctx))
		case <-time.After(retryEvery):
		}
	}
}

// serverTooOldError is an answer that waiting does not change.
type serverTooOldError struct{ version string }

func (e *serverTooOldError) Error() string {
	return fmt.Sprintf("PostgreSQL %s is too old, version %d or newer is needed", e.version, oldestServer/10000)
}

func checkServer(ctx context.Context, pool *pgxpool.Pool) error {
	var number int
	var version string
	err := pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_version')").
		Scan(&number, &version)
	if err != nil {
		return err
	}
	if number < oldestServer {
		return &serverTooOldError{version}
	}
	return nil
}

// cannotImprove tells an error that a person has to mend from one that passes when the server is up, and what to do
// about it. Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
func cannotImprove(err error) (advice string, final bool) {
	if _, ok := errors.AsType[*serverTooOldError](err); ok {
		return "", true
	}
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return "", false // no PostgreSQL answered: refused, unknown name, timeout
	}
	switch answer.Code {
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return " (check user and password in the database URL)", true
	case "3D000": // invalid_catalog_name
		return " (create it, or correct the name in the database URL)", true
	}
	switch answer.Code[:2] {
	case "08", "53", "57": // connection exception, too many connections, starting up or shutting down
		return "", false
	}
	return "", true
}

// oneLine keeps the list of addresses that were tried on one line of the log.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
