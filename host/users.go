package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/embedded"
	"github.com/lubod/lubod/host/internal/users"
)

// User is one who may use the API.
type User struct {
	Name    string
	Created time.Time
}

// Users works on the users of an installation, whether its daemon runs or not. Who may read its data directory, or reach its
// database, needs no login.
type Users struct {
	manager *users.Manager
	close   []func(context.Context) error
}

// OpenUsers reaches the database of an installation. Where the daemon runs it is used beside it; else a private PostgreSQL is run
// for as long as the Users are open, and tables are made that are missing.
func OpenUsers(ctx context.Context, config Config, logger *slog.Logger) (_ *Users, err error) {
	h := New(config, "", logger)
	u := &Users{}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.Close(ctx))
		}
	}()
	if err := h.prepareDataDir(); err != nil {
		return nil, err
	}
	lock, err := embedded.LockDir(config.DataDir)
	_, running := errors.AsType[*embedded.InUseError](err)
	switch {
	case running:
	case err != nil:
		return nil, fmt.Errorf("the data directory %s (--data-dir) cannot be used: %w", config.DataDir, err)
	default:
		u.onClose(func(context.Context) error { return lock.Release() })
	}
	url, err := h.usersDatabase(ctx, u, running)
	if err != nil {
		return nil, err
	}
	database, err := db.Open(ctx, url, db.WithLogger(h.logger), db.WithPatience(10*time.Second))
	if err != nil {
		return nil, err
	}
	u.onClose(func(context.Context) error { database.Close(); return nil })
	if !running {
		if err := h.migrateAlone(ctx, database); err != nil {
			return nil, err
		}
	}
	u.manager = users.NewManager(database)
	return u, nil
}

// usersDatabase is the URL of the database of an installation, which is started when nobody runs it.
func (h *Host) usersDatabase(ctx context.Context, u *Users, running bool) (string, error) {
	dir := filepath.Join(h.config.DataDir, "postgres")
	switch {
	case h.config.DatabaseURL != "":
		return h.config.DatabaseURL, nil
	case running:
		return embedded.URL(dir)
	}
	server, err := embedded.Start(ctx, embedded.Options{Dir: dir, Logger: h.logger})
	if err != nil {
		return "", err
	}
	u.onClose(server.Stop)
	return server.URL(), nil
}

// migrateAlone makes the tables, unless a host on another machine uses the database: it has made them.
func (h *Host) migrateAlone(ctx context.Context, database *db.DB) error {
	hostID, err := h.identity()
	if err != nil {
		return err
	}
	lock, err := database.Hold(ctx, db.Holder{HostID: hostID, DataDir: h.config.DataDir, PID: os.Getpid(), Since: time.Now()})
	if _, held := errors.AsType[*db.HeldError](err); held {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close(ctx)
	return database.Migrate(ctx)
}

func (u *Users) onClose(f func(context.Context) error) { u.close = append(u.close, f) }

// Close ends what OpenUsers began, in reverse.
func (u *Users) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var errs []error
	for len(u.close) > 0 {
		last := len(u.close) - 1
		errs = append(errs, u.close[last](ctx))
		u.close = u.close[:last]
	}
	return errors.Join(errs...)
}

// List returns all users in the order of their creation.
func (u *Users) List(ctx context.Context) ([]User, error) {
	rows, err := u.manager.List(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]User, len(rows))
	for i, row := range rows {
		all[i] = User{Name: row.Username, Created: row.CreatedAt}
	}
	return all, nil
}

// Add creates a user, also the first one.
func (u *Users) Add(ctx context.Context, name, password string) error {
	return u.manager.Add(ctx, name, password)
}

// Remove deletes a user with sessions and tokens; not the last one.
func (u *Users) Remove(ctx context.Context, name string) error { return u.manager.Remove(ctx, name) }

// SetPassword gives a user another password, which ends all his sessions, and his API tokens with revoke. It returns how many
// tokens are left.
func (u *Users) SetPassword(ctx context.Context, name, password string, revoke bool) (tokens int64, err error) {
	return u.manager.SetPassword(ctx, name, password, revoke)
}
