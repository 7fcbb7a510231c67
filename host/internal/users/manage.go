package users

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

// The same as in the contract of the API.
const (
	shortestPassword = 8
	longestPassword  = 256
	longestName      = 64
)

var nameForm = regexp.MustCompile(`^\S(.*\S)?$`)

// Manager does on the machine itself what the API does for who is logged in.
type Manager struct {
	db        *db.DB
	passwords *Passwords
}

// NewManager works on a database whose tables are there.
func NewManager(database *db.DB) *Manager {
	return &Manager{db: database, passwords: NewPasswords()}
}

// List returns all users in the order of their creation.
func (m *Manager) List(ctx context.Context) ([]db.ListUsersRow, error) { return m.db.ListUsers(ctx) }

// Add creates a user, also the first one.
func (m *Manager) Add(ctx context.Context, name, password string) error {
	if utf8.RuneCountInString(name) > longestName || !nameForm.MatchString(name) {
		return fmt.Errorf("%q cannot be a user name: it has 1 to %d characters and begins and ends with none that is blank", name, longestName)
	}
	hash, err := m.hash(ctx, name, password)
	if err != nil {
		return err
	}
	return m.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if err := q.LockUsers(ctx); err != nil {
			return err
		}
		if _, err := q.UserByName(ctx, name); !errors.Is(err, pgx.ErrNoRows) {
			if err == nil {
				err = fmt.Errorf("there is a user %q already", name)
			}
			return err
		}
		_, err := q.InsertUser(ctx, db.InsertUserParams{Username: name, PasswordHash: hash})
		return err
	})
}

// SetPassword gives a user another password, which ends all his sessions, and his tokens with revoke. It returns how many tokens
// are left.
func (m *Manager) SetPassword(ctx context.Context, name, password string, revoke bool) (tokens int64, err error) {
	hash, err := m.hash(ctx, name, password)
	if err != nil {
		return 0, err
	}
	err = m.db.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		user, err := find(ctx, q, name)
		if err != nil {
			return err
		}
		if _, err := q.SetPassword(ctx, db.SetPasswordParams{ID: user.ID, NewHash: hash}); err != nil {
			return err
		}
		if err := q.DeleteSessionsOfUser(ctx, &user.ID); err != nil {
			return err
		}
		if revoke {
			if _, err := q.DeleteTokensOfUser(ctx, user.ID); err != nil {
				return err
			}
		}
		tokens, err = q.CountAPITokens(ctx, user.ID)
		return err
	})
	return tokens, err
}

// Remove deletes a user with sessions, tokens and devices.
func (m *Manager) Remove(ctx context.Context, name string) error {
	user, err := find(ctx, m.db.Queries, name)
	if err != nil {
		return err
	}
	_, err = Remove(ctx, m.db, user.ID)
	return err
}

func find(ctx context.Context, q *db.Queries, name string) (db.User, error) {
	user, err := q.UserByName(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return user, fmt.Errorf("there is no user %q", name)
	}
	return user, err
}

func (m *Manager) hash(ctx context.Context, name, password string) (string, error) {
	switch n := utf8.RuneCountInString(password); {
	case n < shortestPassword || n > longestPassword:
		return "", fmt.Errorf("a password has %d to %d characters", shortestPassword, longestPassword)
	case Common(name, password):
		return "", errors.New("the password is one of the first that anybody guesses; take another one, such as a few words")
	}
	return m.passwords.Hash(ctx, password)
}
