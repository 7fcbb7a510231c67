package folders

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteFile(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	folder := t.TempDir()
	path := filepath.Join(folder, "host-id")
	for _, content := range []string{"first\n", "the second one, which is longer\n", ""} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("%q, %v; want %q", got, err, content)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		left, err := os.ReadDir(folder)
		if err != nil || len(left) != 1 {
			t.Errorf("left in the folder: %v, %v", left, err)
		}
	}
}

// What is there stays when the new content cannot be written, and nothing is left of the try.
func TestWriteFileThatFailsChangesNothing(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "host-id")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = 1 << 16 // a full disk, as far as this process is concerned
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) }()
	if err := WriteFile(path, bytes.Repeat([]byte("new"), 1<<16)); err == nil {
		t.Error("written")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// A rename is on disk when the folder was synced after it, for which the folder has to be opened.
func TestWriteFileSyncsTheFolderAfterTheRename(t *testing.T) {
	folder := t.TempDir()
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(watch) }()
	if _, err := unix.InotifyAddWatch(watch, folder, unix.IN_MOVED_TO|unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(folder, "host-id"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 64<<10)
	n, err := unix.Read(watch, buffer)
	if err != nil {
		t.Fatal(err)
	}
	named, opened := false, false
	for rest := buffer[:n]; len(rest) >= unix.SizeofInotifyEvent; {
		mask, length := binary.NativeEndian.Uint32(rest[4:]), binary.NativeEndian.Uint32(rest[12:])
		named = named || mask&unix.IN_MOVED_TO != 0
		opened = named && (opened || mask&(unix.IN_OPEN|unix.IN_ISDIR) == unix.IN_OPEN|unix.IN_ISDIR)
		rest = rest[unix.SizeofInotifyEvent+length:]
	}
	if !named || !opened {
		t.Errorf("renamed: %v, folder opened afterwards: %v", named, opened)
	}
}
