package dbtest

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lubod/lubod/db"
)

// Mortal is a process's view of a database, which ends at a statement that the test chooses: from then on nothing that
// the process does reaches the database, as after kill -9.
type Mortal struct {
	*db.DB
	// Context ends with the process.
	Context context.Context

	left atomic.Int64
	die  context.CancelFunc
}

// unlimited is more statements than a test makes.
const unlimited = 1 << 40

// NewMortal connects to a database like a process of its own, which lives until LiveFor or Die.
func NewMortal(t testing.TB, database *db.DB) *Mortal {
	t.Helper()
	m := &Mortal{}
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

// LiveFor lets the process make so many statements more.
func (m *Mortal) LiveFor(statements int) { m.left.Store(int64(statements)) }

// Die ends the process now.
func (m *Mortal) Die() {
	m.left.Store(-1)
	m.die()
}

// Dead reports whether the process has come to its end.
func (m *Mortal) Dead() bool { return m.left.Load() < 0 }

// tracer counts the statements of a Mortal.
type tracer Mortal

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
