package db

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// awayPause is the wait between two tries of Outlast, awayPatience how long it tries.
	awayPause    = 200 * time.Millisecond
	awayPatience = time.Minute
)

// Away tells whether an error means that the server did not answer, rather than what it answered.
// The classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
func Away(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.Code, "57P") || strings.HasPrefix(refused.Code, "08")
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}

// Outlast does a step of a start, again and again while the server is away: one that is killed just then is back in a moment, and
// that is no reason for a host not to start. Other errors, and a server that stays away, are the caller's.
func (d *DB) Outlast(ctx context.Context, what string, step func(ctx context.Context) error) error {
	began := time.Now()
	for {
		err := step(ctx)
		if err == nil || ctx.Err() != nil || !Away(err) || time.Since(began) > awayPatience {
			return err
		}
		d.logger.Warn("the database went away during the start, trying again", "step", what, "error", oneLine(err))
		pause := time.NewTimer(awayPause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}
