package line

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lubod/lubod/sdk"
)

func sourceFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.flv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatCannotBeUploadedIsRefusedAtOnce(t *testing.T) {
	folder := t.TempDir()
	for path, want := range map[string]sdk.Kind{
		filepath.Join(folder, "none"): sdk.NotFound, folder: sdk.Corrupt, sourceFile(t, ""): sdk.Corrupt,
	} {
		if _, err := OpenSource(path); sdk.KindOf(err) != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func TestChangedFileIsNoticed(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"longer":  func(path string) error { return os.WriteFile(path, []byte("abcdefgh"), 0o600) },
		"touched": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", []byte("abcd"), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
	} {
		path := sourceFile(t, "abcd")
		src, err := OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := src.Unchanged(); err != nil {
			t.Errorf("%s: before: %v", name, err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		if err := src.Unchanged(); sdk.KindOf(err) != sdk.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMovedFileIsTheSame(t *testing.T) {
	path := sourceFile(t, "abcd")
	src, err := OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := src.Unchanged(); err != nil {
		t.Error(err)
	}
	part := src.Section(1, 2)
	for range 2 { // as often as a request is sent
		if got, err := io.ReadAll(part.Open()); string(got) != "bc" || err != nil || part.Failed() != nil {
			t.Errorf("%q, %v, %v", got, err, part.Failed())
		}
	}
}

// What a disk that is away says is no verdict about the file; that it became shorter is.
func TestSectionThatCannotBeRead(t *testing.T) {
	src, err := OpenSource(sourceFile(t, "abcd"))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.Open(t.TempDir()) // reading it fails, as reading from a disk with a fault does
	if err != nil {
		t.Fatal(err)
	}
	whole := src.file
	src.file = folder
	part := src.Section(0, 4)
	_, _ = io.ReadAll(part.Open())
	if err := part.Failed(); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("got %v", err)
	}
	src.file = whole
	beyond := src.Section(2, 4)
	_, _ = io.ReadAll(beyond.Open())
	if err := beyond.Failed(); sdk.KindOf(err) != sdk.Corrupt {
		t.Errorf("got %v", err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
	_ = folder.Close()
}
