// Package dbtest gives each test a database of its own: migrated, empty, on a real PostgreSQL that all tests of one
// binary share.
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }
//
//	func TestX(t *testing.T) {
//		database := dbtest.New(t)
//		…
//	}
package dbtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/embedded"
)

// A machine with two busy cores needs a while to make a cluster.
const timeout = 2 * time.Minute

const template = "lubod_template"

// shared is the server of this test binary; only Main sets it, before any test runs.
var shared *server

type server struct {
	start    sync.Once
	startErr error

	dir      string
	embedded *embedded.Server
	admin    *pgx.Conn  // makes and drops databases
	mu       sync.Mutex // guards admin and names
	names    int
}

// Tests is a *testing.M, or what wraps one.
type Tests interface{ Run() int }

// Main wraps the tests of a binary: PostgreSQL starts when the first test asks for it and is gone when Run returns, so
// that a check for leaked goroutines that follows sees none of ours.
func Main(m Tests) Tests { return main{m} }

type main struct{ tests Tests }

func (m main) Run() int {
	shared = new(server)
	code := m.tests.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest:", err)
		return max(code, 1)
	}
	return code
}

// New opens a fresh migrated database, which is closed and dropped when the test ends.
func New(t testing.TB) *db.DB {
	t.Helper()
	database, err := db.Open(t.Context(), URL(t), db.WithLogger(quiet()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	return database
}

// URL returns the connection string of a fresh migrated database, which is dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	return create(t, template)
}

// EmptyURL is URL without the tables.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return create(t, "template0")
}

func create(t testing.TB, from string) string {
	t.Helper()
	if shared == nil {
		t.Fatal("dbtest: TestMain has to run the tests through dbtest.Main")
	}
	shared.start.Do(func() { shared.startErr = shared.up() })
	if shared.startErr != nil {
		t.Fatal("dbtest:", shared.startErr)
	}
	name, err := shared.create(from)
	if err != nil {
		t.Fatal("dbtest:", err)
	}
	t.Cleanup(func() {
		// Whatever the test left connected is thrown out.
		if err := shared.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error("dbtest:", err)
		}
	})
	return named(shared.embedded.URL(), name)
}

// named is connection string u with another database.
func named(u, database string) string {
	parsed, err := url.Parse(u)
	if err != nil {
		panic(err) // made by this project
	}
	parsed.Path = "/" + database
	return parsed.String()
}

func (s *server) up() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var err error
	if s.dir, err = os.MkdirTemp("", "lubod-dbtest-"); err != nil {
		return err
	}
	s.embedded, err = embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(s.dir, "postgres"), Logger: quiet(),
		// Nothing here has to survive the machine.
		Settings: map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200",
		},
		DieWithHost: true,
	})
	if err != nil {
		return err
	}
	if s.admin, err = pgx.Connect(ctx, named(s.embedded.URL(), "postgres")); err != nil {
		return err
	}
	if err := s.exec("CREATE DATABASE " + template); err != nil {
		return err
	}
	return migrate(ctx, named(s.embedded.URL(), template))
}

func migrate(ctx context.Context, url string) error {
	database, err := db.Open(ctx, url, db.WithLogger(quiet()))
	if err != nil {
		return err
	}
	defer database.Close()
	return database.Migrate(ctx)
}

func (s *server) create(from string) (string, error) {
	s.mu.Lock()
	s.names++
	name := fmt.Sprintf("test_%d", s.names)
	s.mu.Unlock()
	return name, s.exec("CREATE DATABASE " + name + " TEMPLATE " + from)
}

func (s *server) exec(statement string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err := s.admin.Exec(ctx, statement)
	return err
}

func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Close(ctx))
	}
	if s.embedded != nil {
		errs = append(errs, s.embedded.Stop(ctx))
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// quiet keeps what goes as planned out of the tests' output.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
