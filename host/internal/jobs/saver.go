package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
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

// Persist repeats something until the database answers: with rows or with none (pgx.ErrNoRows). It gives up only when ctx
// ends.
func (s Saver) Persist(ctx context.Context, what string, do func(ctx context.Context) error) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
		err := do(ctx)
		if err == nil || errors.Is(err, pgx.ErrNoRows) || ctx.Err() != nil {
			return err
		}
		s.Logger.Warn("state cannot be saved or read, trying again", "what", what, "error", err)
		wait.Reset(s.Pause)
	}
}

// PersistLonger is Persist for what was done already: worth saving even when the host is stopping.
func (s Saver) PersistLonger(ctx context.Context, what string, do func(ctx context.Context) error) error {
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
	return s.Persist(longer, what, do)
}
