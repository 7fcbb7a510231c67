package embedded_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/lubod/lubod/db/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a PostgreSQL in dir. What is tested is never how durable the disk is, so the tests save its syncs.
func start(t *testing.T, dir string) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(t.Context(), options(dir))
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func options(dir string) embedded.Options {
	return embedded.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), Settings: map[string]string{"fsync": "off"}}
}

func stop(t *testing.T, server *embedded.Server) {
	t.Helper()
	if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func query(t *testing.T, server *embedded.Server, sql string) string {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.WithoutCancel(t.Context())) }()
	var answer string
	if err := connection.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func execute(t *testing.T, server *embedded.Server, sql string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.WithoutCancel(t.Context())) }()
	if _, err := connection.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestDataOutlivesAStop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	server := start(t, dir)
	execute(t, server, `CREATE TABLE kept AS SELECT 'yes'::text AS value`)
	if listening := query(t, server, `SHOW listen_addresses`); listening != "" {
		t.Errorf("PostgreSQL listens on %q", listening)
	}
	stop(t, server)
	stop(t, server)

	server = start(t, dir)
	defer stop(t, server)
	if got := query(t, server, `SELECT value FROM kept`); got != "yes" {
		t.Errorf("value = %q", got)
	}
}

func TestParentsThatOnlyTheHostMayWalk(t *testing.T) {
	parent := t.TempDir()
	if err := os.Chmod(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	server := start(t, filepath.Join(parent, "postgres"))
	defer stop(t, server)
	query(t, server, `SELECT 'up'`)
}

func TestPathTooLongForASocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30), "postgres")
	server := start(t, dir)
	defer stop(t, server)
	query(t, server, `SELECT 'up'`)
	if url, err := embedded.URL(dir); err != nil || url != server.URL() {
		t.Errorf("URL from outside = %q (%v), want %q", url, err, server.URL())
	}
}

func TestKilledPostmasterIsStartedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	server := start(t, dir)
	defer stop(t, server)
	execute(t, server, `CREATE TABLE kept AS SELECT 'yes'::text AS value`)
	connection, err := pgx.Connect(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.WithoutCancel(t.Context())) }()
	if err := syscall.Kill(postmaster(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The backend ends when its postmaster is gone: from then on only a new one can answer.
	if _, err := connection.Exec(t.Context(), `SELECT pg_sleep(60)`); err == nil {
		t.Fatal("the killed server goes on")
	}
	for {
		again, err := pgx.Connect(t.Context(), server.URL())
		if err != nil {
			continue
		}
		defer func() { _ = again.Close(context.WithoutCancel(t.Context())) }()
		break
	}
	if got := query(t, server, `SELECT value FROM kept`); got != "yes" {
		t.Errorf("value = %q", got)
	}
}

func TestSecondHostIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	server := start(t, dir)
	defer stop(t, server)
	_, err := embedded.Start(t.Context(), options(dir))
	var inUse *embedded.InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Errorf("error = %v, want one that names process %d", err, os.Getpid())
	}
}

func TestUnfinishedInitdbIsStartedOver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	server := start(t, dir)
	defer stop(t, server)
	if _, err := os.Stat(filepath.Join(dir, "data.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what initdb left is still there: %v", err)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	missing := options(filepath.Join(t.TempDir(), "postgres"))
	missing.BinDirs = []string{t.TempDir()}
	_, err := embedded.Start(t.Context(), missing)
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("error = %v, want one that says what to install", err)
	}
}

func TestClusterOfAnotherVersionIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := embedded.Start(t.Context(), options(dir))
	if err == nil || !strings.Contains(err.Error(), "made by PostgreSQL 9") {
		t.Errorf("error = %v, want one that names version 9", err)
	}
}
