package folders

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	for link, target := range map[string]string{"out": "../x", "absolute": dir + "/file", "loop": "loop", "dangling": "nothing"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	for name, want := range map[string]string{
		"later": "there is no such file", "dangling": "there is no such file", "file/x": "a file is where a folder should be",
		"out": "a link that leads out of the folder", "absolute": "a link that leads out of the folder", "loop": "a link that leads nowhere",
		strings.Repeat("x", 300): "file name too long",
	} {
		_, err := root.Open(name)
		got := Explain(err)
		if got == nil || !strings.Contains(got.Error(), want) || strings.Contains(got.Error(), "openat") || !errors.Is(got, err) {
			t.Errorf("%.20s: %v is explained as %v, want %s", name, err, got, want)
		}
	}
	if got := Explain(&fs.PathError{Op: "openat", Path: "x", Err: fs.ErrPermission}); !strings.Contains(got.Error(), "no permission") {
		t.Error(got)
	}
	if Explain(nil) != nil {
		t.Error("no error became one")
	}
}
