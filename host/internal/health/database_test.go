package health

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/db/embedded"
	"github.com/lubod/lubod/host/internal/reason"
)

// look is one look, which must not fail to be one.
func look(t *testing.T, d *Database) Finding {
	t.Helper()
	findings, err := d.Probe().Look(t.Context())
	if err != nil || len(findings) != 1 {
		t.Fatalf("a look brought %+v, %v", findings, err)
	}
	return findings[0]
}

func TestDatabaseThatTakesWrites(t *testing.T) {
	d := NewDatabase(dbtest.New(t), uuid.New())
	for range 3 {
		if found := look(t, d); found.Level != OK {
			t.Fatalf("%+v", found)
		}
	}
}

// TestDatabaseOnAFullDisk fills the disk of a real PostgreSQL: reads go on, and nothing can be written.
func TestDatabaseOnAFullDisk(t *testing.T) {
	disk := smallDisk(t, "160m")
	server, err := embedded.Start(t.Context(), embedded.Options{
		Dir: filepath.Join(disk, "postgres"), Logger: slog.New(slog.DiscardHandler), DieWithHost: true,
		Settings: map[string]string{"min_wal_size": "32MB", "max_wal_size": "48MB"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(t.Context()) })
	database, err := db.Open(t.Context(), server.URL(), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := NewDatabase(database, uuid.New())
	for range 5 { // a table that has pages with room would take some rows more
		if found := look(t, d); found.Level != OK {
			t.Fatalf("before: %+v", found)
		}
	}
	last := d.wrote
	fill := filepath.Join(disk, "fill")
	fillUp(t, fill)
	found := look(t, d)
	full := []string{reason.HealthDatabaseFull, reason.HealthDatabaseRefuses, reason.HealthDatabaseAway} // it may also die of it
	if found.Level != Failing || !slices.Contains(full, found.Reason.Code) || !found.Since.Equal(last) {
		t.Errorf("on a full disk: %+v, last write at %v", found, last)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	for look(t, d).Level != OK { // the server may have to recover first
		if t.Context().Err() != nil {
			t.Fatal("it takes no writes after there is room again")
		}
	}
}

func TestDatabaseThatIsStopped(t *testing.T) {
	server, err := embedded.Start(t.Context(), embedded.Options{
		Dir: filepath.Join(t.TempDir(), "postgres"), Logger: slog.New(slog.DiscardHandler), DieWithHost: true, Settings: map[string]string{"fsync": "off"},
	})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			_ = server.Stop(t.Context())
		}
	})
	database, err := db.Open(t.Context(), server.URL(), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	if err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := NewDatabase(database, uuid.New())
	look(t, d)
	stopped = true
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := look(t, d); found.Level != Failing || found.Reason.Code != reason.HealthDatabaseAway {
		t.Errorf("a database that is stopped: %+v", found)
	}
}

// smallDisk mounts one of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0755"); err != nil {
		t.Skipf("no small disk can be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fillUp writes a file until nothing more fits.
func fillUp(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for size := 1 << 20; size > 0; {
		if _, err := file.Write(make([]byte, size)); err != nil {
			if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
				t.Fatal(err)
			}
			size /= 2
		}
	}
}
