package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
)

// A write is looked for so often, and waited for so long: what is shown is as old as both at most.
const (
	writeEvery    = 5 * time.Second
	writePatience = 4 * time.Second
)

// Database writes to the database, and knows when it could last. Its looks come one after the other.
type Database struct {
	db     *db.DB
	hostID uuid.UUID
	now    func() time.Time

	// wrote is when the last write was asked for that succeeded.
	wrote time.Time
}

// NewDatabase prepares the probe of a database.
func NewDatabase(database *db.DB, hostID uuid.UUID) *Database {
	return &Database{db: database, hostID: hostID, now: time.Now, wrote: time.Now()}
}

// Probe is for the board.
func (d *Database) Probe() Probe {
	return Probe{Code: CodeDatabase, Every: writeEvery, Patience: writePatience + time.Second, Look: d.look}
}

func (d *Database) look(ctx context.Context) ([]Finding, error) {
	began := d.now()
	writing, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	err := d.write(writing)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		d.wrote = began
		return []Finding{{Level: OK}}, nil
	}
	return []Finding{{Level: Failing, Since: d.wrote, Reason: databaseReason(err)}}, nil
}

// write needs a page in a new file, the log of the database and its commit: what a segment's row needs at worst. A row that
// fits into a page which is there already would be written to a full disk.
func (d *Database) write(ctx context.Context) error {
	return d.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if err := q.EmptyHealthProbes(ctx); err != nil {
			return fmt.Errorf("write to the database: %w", err)
		}
		return q.WriteHealthProbe(ctx, d.hostID)
	})
}

func databaseReason(err error) reason.Reason {
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "53100":
		return reason.New(reason.HealthDatabaseFull, "cause", refused.Message)
	case errors.As(err, &refused):
		return reason.New(reason.HealthDatabaseRefuses, "cause", refused.Message)
	case errors.Is(err, context.DeadlineExceeded):
		return reason.New(reason.HealthDatabaseSlow, "seconds", fmt.Sprintf("%.0f", writePatience.Seconds()))
	}
	return reason.New(reason.HealthDatabaseAway)
}
