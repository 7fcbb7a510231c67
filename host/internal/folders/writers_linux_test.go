package folders_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lubod/lubod/host/internal/folders"
)

func TestWritersOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.flv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if folders.WritersOf(path) == folders.WritersUnknown {
		t.Skip("the temporary folder is on a file system that does not tell")
	}
	for range 2 {
		if got := folders.WritersOf(path); got != folders.SomeWriter {
			t.Errorf("with a writer: %v", got)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	for range 2 { // the lease is given back
		if got := folders.WritersOf(path); got != folders.NoWriter {
			t.Errorf("without a writer: %v", got)
		}
	}
	again, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if got := folders.WritersOf(path + ".missing"); got != folders.WritersUnknown {
		t.Errorf("a file that is not there: %v", got)
	}
}
