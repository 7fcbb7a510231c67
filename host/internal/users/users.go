package users

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

// ErrLast refuses to remove the only user: without any, whoever comes first could become one.
var ErrLast = errors.New("the last user cannot be removed: without any, whoever comes first on this machine could become one; add another user before")

// Remove deletes a user with sessions, tokens and devices. pgx.ErrNoRows: there is no such user.
func Remove(ctx context.Context, database *db.DB, id int64) (removed db.DeleteUserRow, err error) {
	err = database.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if err := q.LockUsers(ctx); err != nil {
			return err
		}
		if removed, err = q.DeleteUser(ctx, id); err != nil {
			return err
		}
		left, err := q.AnyUser(ctx)
		if err == nil && !left {
			return ErrLast
		}
		return err
	})
	return removed, err
}
