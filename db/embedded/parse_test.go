package embedded

import (
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func FuzzPIDFile(f *testing.F) {
	f.Add([]byte("4711\n/data\n1795573169\n5432\n/socket\n\n 10078431 16\nready   \n"))
	f.Add([]byte(""))
	f.Add([]byte("-1\n"))
	f.Add([]byte("1\n"))
	f.Add([]byte("99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		// A signal to 0, 1 or a negative number would reach whole groups of processes.
		if pid := parsePIDFile(content); pid != 0 && pid <= 1 {
			t.Errorf("%q names process %d", content, pid)
		}
	})
}

func TestPIDFile(t *testing.T) {
	for content, want := range map[string]int{"4711\n/data\n": 4711, "4711": 4711, "": 0, "x\n4711\n": 0, "-4711\n": 0, "1\n": 0} {
		if got := parsePIDFile([]byte(content)); got != want {
			t.Errorf("%q names process %d, want %d", content, got, want)
		}
	}
}

func TestSocketPathAlwaysFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir := "/" + strings.Join(rapid.SliceOf(rapid.StringMatching(`[^/\x00]{1,40}`)).Draw(t, "dir"), "/")
		path := filepath.Join(socketDirFor(dir), socketName)
		if len(path) > maxSocketPath {
			t.Fatalf("%s has %d bytes", path, len(path))
		}
		if again := filepath.Join(socketDirFor(dir), socketName); again != path {
			t.Fatalf("first %s, then %s", path, again)
		}
	})
}
