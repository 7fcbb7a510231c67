package dbtest

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lubod/lubod/db"
)

// Crashing is a process's view of a database, which ends at a statement that the test chooses: from then on nothing that
// the process does reaches the database, as after kill -9.
type Crashing struct {
	*db.DB
	// Context ends with the process.
	Context context.Context

	left atomic.Int64
	die  context.CancelFunc
}

// unlimited is more statements than a test makes.
const unlimited = 1 << 40

// NewCrashing connects to a database like a process of its own, which lives until CrashAfter or Crash.
func NewCrashing(t testing.TB, database *db.DB) *Crashing {
	t.Helper()
	m := &Crashing{}
	m.left.Store(unlimited) // connecting is not counted
	m.Context, m.die = context.WithCancel(t.Context())
	config := database.Pool.Config()
	config.MaxConns = 2
	config.ConnConfig.Tracer = (*tracer)(m)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	t.Cleanup(m.die)
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.DB = &db.DB{Queries: db.New(pool), Pool: pool}
	return m
}

// CrashAfter ends the process behind so many statements more.
func (m *Crashing) CrashAfter(statements int) { m.left.Store(int64(statements)) }

// Crash ends the process now.
func (m *Crashing) Crash() {
	m.left.Store(-1)
	m.die()
}

// Crashed reports whether the process has come to its end.
func (m *Crashing) Crashed() bool { return m.left.Load() < 0 }

// tracer counts the statements of a Crashing.
type tracer Crashing

func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if t.left.Add(-1) >= 0 {
		return ctx
	}
	t.die()
	dead, cancel := context.WithCancel(ctx)
	cancel()
	return dead
}

func (t *tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
