package record

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lubod/lubod/db"
)

// mortal ends a process at its nth statement: from then on nothing it does reaches the database.
type mortal struct{ left atomic.Int64 }

func (m *mortal) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if m.left.Add(-1) >= 0 {
		return ctx
	}
	dead, cancel := context.WithCancel(ctx)
	cancel()
	return dead
}

func (m *mortal) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// startMortal runs a service whose process dies after so many statements that follow its start.
func (h *harness) startMortal(statements int) (s host, died func() bool) {
	h.t.Helper()
	config := h.db.Pool.Config()
	config.MaxConns = 2
	m := &mortal{}
	m.left.Store(1 << 40)
	config.ConnConfig.Tracer = m
	pool, err := pgxpool.NewWithConfig(h.t.Context(), config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(pool.Close)
	s = h.startOn(&db.DB{Queries: db.New(pool), Pool: pool})
	s.SessionEnded = func(int64) {}
	m.left.Store(int64(statements))
	return s, func() bool { return m.left.Load() < 0 }
}
