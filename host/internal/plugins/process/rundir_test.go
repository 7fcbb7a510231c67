package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRunDirMustBeOurs(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := PrivateDir(link); err == nil {
		t.Error("a link was taken for a private directory")
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := PrivateDir(open); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(open); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := OpenRunDir(filepath.Join(dir, strings.Repeat("x/", 60)), filepath.Join(dir, strings.Repeat("y", 90))); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("err = %v", err)
	}
}

func TestOldLogsOfDeadRecordersAreCleaned(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{
		"recorder-r-11111111.log": 8, "recorder-r-11111111.log.1": 8, "recorder-r-22222222.log": 1, "recorder-r-33333333.log": 8,
		"recorder-r-33333333.log.1": 8, "lubod.log": 8,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	CleanLogs(dir, map[string]bool{filepath.Join(dir, "recorder-r-33333333.log"): true}, now)
	var left []string
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		left = append(left, entry.Name())
	}
	if got := strings.Join(left, " "); got != "lubod.log recorder-r-22222222.log recorder-r-33333333.log recorder-r-33333333.log.1" {
		t.Errorf("left: %s", got)
	}
}

func TestRecordIsWholeOrAbsent(t *testing.T) {
	dir, err := OpenRunDir(filepath.Join(t.TempDir(), "run"), os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dir.Close)
	const instance = "0f9a2c44-1111-2222-3333-444444444444"
	written := Record{Plugin: "recorder-r", Instance: instance, Isolate: "room-7", Pid: os.Getpid(), Start: StartOf(os.Getpid()), Socket: "/run/x"}
	for range 2 { // the second time it is replaced
		if err := dir.WriteRecord(written); err != nil {
			t.Fatal(err)
		}
	}
	// What hosts left that died while they wrote one.
	for _, name := range []string{"." + instance + ".json123456", instance + ".json.new"} {
		if err := os.WriteFile(filepath.Join(dir.path, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	records, problems := dir.Records()
	if len(records) != 1 || records[0] != written || len(problems) != 0 {
		t.Fatalf("records %+v, %v", records, problems)
	}
	if !written.Alive() {
		t.Error("this process is not alive")
	}
	if problems := dir.Clean(nil); len(problems) != 0 {
		t.Error(problems)
	}
	left, err := os.ReadDir(dir.path)
	if err != nil || len(left) != 1 || left[0].Name() != instance+".json" {
		t.Errorf("left: %v, %v", left, err)
	}
	dir.Forget(instance)
	if _, err := dir.Record(instance); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}
