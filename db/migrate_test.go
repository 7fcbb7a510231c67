package db_test

import (
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"golang.org/x/sync/errgroup"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
)

func open(t *testing.T, url string) *db.DB {
	t.Helper()
	database, err := db.Open(t.Context(), url, db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	return database
}

func TestHostsThatMigrateAtOnceTakeTurns(t *testing.T) {
	url := dbtest.EmptyURL(t)
	var group errgroup.Group
	for range 4 {
		database := open(t, url)
		group.Go(func() error { return database.Migrate(t.Context()) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := tables(t, open(t, url)); !strings.Contains(got, "segments") || !strings.Contains(got, "river_job") {
		t.Errorf("tables %s, want lubod's and the job queue's", got)
	}
}

func TestMigratingAgainChangesNothing(t *testing.T) {
	database := dbtest.New(t)
	before := tables(t, database)
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := tables(t, database); after != before {
		t.Errorf("first %s, then %s", before, after)
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	for schema, newer := range map[string]string{
		"lubod":     "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)",
		"job queue": "INSERT INTO river_migration (line, version) VALUES ('main', 99999)",
	} {
		t.Run(schema, func(t *testing.T) {
			database := dbtest.New(t)
			if _, err := database.Pool.Exec(t.Context(), newer); err != nil {
				t.Fatal(err)
			}
			err := database.Migrate(t.Context())
			refused, ok := errors.AsType[*db.NewerError](err)
			if !ok || refused.Schema != schema || refused.Have != 99999 {
				t.Fatalf("got %v, want a refusal because of the %s schema", err, schema)
			}
			mustSay(t, err, "the database is newer than this program", "run the newer lubod again")
		})
	}
}

// A newer job queue must not be noticed only after lubod's own tables were changed.
func TestNewerDatabaseIsRefusedBeforeAnythingChanges(t *testing.T) {
	database := open(t, dbtest.EmptyURL(t))
	for _, statement := range []string{
		"CREATE TABLE river_migration (line text NOT NULL, version bigint NOT NULL)",
		"INSERT INTO river_migration VALUES ('main', 99999)",
	} {
		if _, err := database.Pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := errors.AsType[*db.NewerError](database.Migrate(t.Context())); !ok {
		t.Fatal("not refused")
	}
	if got := tables(t, database); strings.Contains(got, "segments") {
		t.Errorf("tables %s were made", got)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	database := dbtest.New(t)
	handle := stdlib.OpenDBFromPool(database.Pool)
	defer handle.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, handle, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	before := tables(t, database)
	if _, err := provider.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := tables(t, database); strings.Contains(got, "segments") {
		t.Errorf("tables %s are left", got)
	}
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := tables(t, database); after != before {
		t.Errorf("first %s, then %s", before, after)
	}
}

// A limit that was possible once must not make the whole configuration unusable.
func TestUploadLimitsThatAreNotPossibleAnyMoreAreLowered(t *testing.T) {
	database := dbtest.New(t)
	handle := stdlib.OpenDBFromPool(database.Pool)
	defer handle.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, handle, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	_, err = database.Pool.Exec(t.Context(), `INSERT INTO configuration (value) VALUES ('{"upload_limit": 1000, "threads": 5}');
		INSERT INTO streamers (url, override) VALUES ('http://a', '{"upload_limit": 101}'), ('http://b', '{"upload_limit": 7}'), ('http://c', '{}')`)
	if err != nil {
		t.Fatal(err)
	}
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var global, rooms string
	err = database.Pool.QueryRow(t.Context(), `SELECT (SELECT value::text FROM configuration), (SELECT string_agg(override::text, ' ' ORDER BY url) FROM streamers)`).Scan(&global, &rooms)
	if err != nil {
		t.Fatal(err)
	}
	if global != `{"threads": 5, "upload_limit": 100}` || rooms != `{"upload_limit": 100} {"upload_limit": 7} {}` {
		t.Errorf("configuration %s, overrides %s", global, rooms)
	}
}

// Numbers without duplicates: two branches that both add the same one meet here instead of in production.
func TestMigrationNames(t *testing.T) {
	name := regexp.MustCompile(`^(\d{5})_[a-z]+(_[a-z0-9]+)+\.sql$`)
	entries, err := os.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, entry := range entries {
		match := name.FindStringSubmatch(entry.Name())
		if match == nil {
			t.Errorf("%s is not named like 00001_create_tables.sql", entry.Name())
			continue
		}
		number, err := strconv.Atoi(match[1])
		if err != nil || number <= last {
			t.Errorf("%s has number %d, which is not above %d", entry.Name(), number, last)
		}
		last = number
	}
}

func tables(t *testing.T, database *db.DB) string {
	t.Helper()
	rows, err := database.Pool.Query(t.Context(), "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}
