package db

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// Permanent tells whether the database refused a statement for what it says: a constraint, a value, a missing column. Repeating
// it brings the same answer, unlike a database that is away, full or busy.
// The classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
func Permanent(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || len(refused.Code) != 5 {
		return false
	}
	switch refused.Code[:2] {
	case "22", "23", "42", "0A", "21", "2F":
		return true
	}
	return false
}
