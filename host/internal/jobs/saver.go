package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

// Saver keeps what a job did or has to know from being lost because the database was away: a job that ended then could not
// even say so.
type Saver struct {
	Logger *slog.Logger
	// Pause between two tries while the database is away.
	Pause time.Duration
	// Linger is how long a stop waits for what was done already to be saved.
	Linger time.Duration
}

// Persist repeats something until the database answers: with rows, with none (pgx.ErrNoRows), or with a refusal that another try
// cannot change (db.Permanent), or until do fails for one of the reasons in final. It gives up only when ctx ends.
func (s Saver) Persist(ctx context.Context, what string, do func(ctx context.Context) error, final ...error) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
		err := do(ctx)
		switch {
		case err == nil, errors.Is(err, pgx.ErrNoRows), ctx.Err() != nil, slices.ContainsFunc(final, func(reason error) bool { return errors.Is(err, reason) }):
			return err
		case db.Permanent(err):
			s.Logger.Error("the database refuses to keep a state; waiting would not help", "what", what, "error", err)
			return err
		}
		s.Logger.Warn("state cannot be saved or read, trying again", "what", what, "error", err)
		wait.Reset(s.Pause)
	}
}

// PersistLonger is Persist for what was done already: worth saving even when the host is stopping.
func (s Saver) PersistLonger(ctx context.Context, what string, do func(ctx context.Context) error, final ...error) error {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(s.Linger):
			cancel()
		case <-longer.Done():
		}
	})
	defer stop()
	return s.Persist(longer, what, do, final...)
}
