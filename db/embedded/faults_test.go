package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func writeProgram(t *testing.T, path, script string) {
	t.Helper()
	// A program that another test's fork holds open for writing is busy: nobody forks meanwhile.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
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

// A server that is killed while it starts is started again, and not for ever.
func TestServerThatIsKilledWhileItStarts(t *testing.T) {
	t.Parallel()
	for _, kills := range []int{1, startTries} {
		t.Run(strconv.Itoa(kills), func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, t.TempDir())
			server := s.start()
			s.stop(server)
			counted := filepath.Join(publicDir(t), "kills")
			if err := os.WriteFile(counted, nil, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(counted, 0o666); err != nil {
				t.Fatal(err)
			}
			real := server.cluster.programs.dir
			s.options.BinDirs = []string{fakePrograms(t, fmt.Sprintf(
				`case "$*" in *-D*) if [ $(wc -c <%[1]s) -lt %[2]d ]; then printf x >>%[1]s; kill -9 $$; fi;; esac; exec %[3]s/postgres "$@"`, counted, kills, real))}
			if kills == startTries {
				s.mustFail("signal: killed")
				return
			}
			s.stop(s.start())
			s.log.wait(t, "PostgreSQL was killed while it started, starting it again")
		})
	}
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
