package record

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

// change is a transaction, and what the log says once it is committed: a line about something that was taken back would
// send whoever reads it the wrong way.
type change struct {
	pgx.Tx
	lines []func()
}

func (c *change) later(line func()) { c.lines = append(c.lines, line) }

func (s *Service) inTx(ctx context.Context, do func(tx *change, q *db.Queries) error) error {
	var made change
	err := s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		made = change{Tx: tx}
		return do(&made, q)
	})
	if err != nil {
		return err
	}
	for _, line := range made.lines {
		line()
	}
	return nil
}
