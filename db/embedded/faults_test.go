package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeProgram(t *testing.T, path, script string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// mustFail starts the cluster and checks that the error tells all of what.
func (s *setup) mustFail(what ...string) {
	s.t.Helper()
	server, err := Start(s.t.Context(), s.options)
	if err == nil {
		s.stop(server)
		s.t.Fatal("started")
	}
	for _, part := range what {
		if !strings.Contains(err.Error(), part) {
			s.t.Errorf("the error does not mention %q:\n%v", part, err)
		}
	}
}

func TestPostgresIsNotInstalled(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.options.BinDirs = []string{publicDir(t)}
	s.mustFail("PostgreSQL is not installed", "apt-get install postgresql", "--database-url")
}

func TestOnlyAnOldPostgresIsInstalled(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.options.BinDirs = []string{fakePrograms(t, "echo 'postgres (PostgreSQL) 9.6.24'")}
	s.mustFail("PostgreSQL 9 is too old, version 14 or newer is needed")
}

func TestNotPostgres(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.options.BinDirs = []string{fakePrograms(t, "echo hello")}
	s.mustFail(`answers "hello", which is not PostgreSQL`)
}

func TestPostgresDoesNotRun(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.options.BinDirs = []string{fakePrograms(t, "echo 'libpq.so.5: cannot open' >&2; exit 127")}
	s.mustFail("exit status 127", "libpq.so.5: cannot open")
}

func fakePrograms(t *testing.T, postgres string) string {
	t.Helper()
	dir := publicDir(t)
	writeProgram(t, filepath.Join(dir, "postgres"), postgres)
	writeProgram(t, filepath.Join(dir, "initdb"), "exit 1")
	return dir
}

func TestInitdbFails(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	bins := fakePrograms(t, "echo 'postgres (PostgreSQL) 15.1'")
	writeProgram(t, filepath.Join(bins, "initdb"), "echo 'could not write: No space left on device' >&2; exit 1")
	s.options.BinDirs = []string{bins}
	s.mustFail("create the database: initdb: exit status 1", "No space left on device")
	if entries, err := filepath.Glob(filepath.Join(s.options.Dir, "data*")); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestClusterOfAnotherMajorVersion(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	data := filepath.Join(s.options.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("10\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.mustFail("was made by PostgreSQL 10", "apt-get install postgresql-10", "pg_upgrade")
	s.options.BinDirs = []string{publicDir(t)}
	s.mustFail("was made by PostgreSQL 10, and no PostgreSQL is installed here")
}

func TestDataDirectoryThatIsNoCluster(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	if err := os.Mkdir(filepath.Join(s.options.Dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.mustFail("data exists and is no database", "move it away")
}

func TestServerRefusesToStart(t *testing.T) {
	t.Parallel()
	s := newSetup(t, t.TempDir())
	s.stop(s.start())
	s.options.Settings = map[string]string{"no_such_setting": "1"}
	s.mustFail("exit status 1", serverLogName, `unrecognized configuration parameter "no_such_setting"`)
	s.options.Settings = fast
	s.stop(s.start())
}

func TestDirectoryCannotBeMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSetup(t, filepath.Join(file, "postgres"))
	s.mustFail("create its directory", file, "not a directory")
}

func TestSomebodyElsesSocketFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30), "postgres")
	s := newSetup(t, dir)
	folder := socketDirFor(dir)
	if err := os.Symlink(t.TempDir(), folder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(folder) })
	s.mustFail(folder, "is no directory: remove it")
}
