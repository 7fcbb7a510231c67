package crash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Sizes of the disks of a run, in MiB. PostgreSQL makes files of 16 MiB.
const (
	dataDisk       = 192
	recordingsDisk = 64
)

// disks are small file systems for one run, so that they can be full. Where this program may not
// mount any there are none, and nothing is filled.
type disks struct {
	in               *installation
	data, recordings string
	mounted          []string

	closing sync.Mutex
	closed  int // how often folders were made unwritable and not writable again
}

// mountDisks makes the disks, copies the installation's data directory onto them, and returns them.
func mountDisks(ctx context.Context, in *installation, data string) (*disks, error) {
	d := &disks{in: in, data: data, recordings: filepath.Join(data, "recordings")}
	if err := d.mount(data, dataDisk); err != nil {
		return d, err
	}
	if err := command(ctx, "cp", "-a", in.template()+"/.", data); err != nil {
		return d, err
	}
	return d, d.mount(d.recordings, recordingsDisk)
}

func (d *disks) mount(path string, size int) error {
	if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // as lubod makes it
		return err
	}
	if os.Geteuid() == 0 {
		err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0755", size))
		if err != nil && !errors.Is(err, fs.ErrPermission) { // in a container root may not mount either
			return fmt.Errorf("mount a small disk: %w", err)
		}
		if err == nil {
			d.mounted = append(d.mounted, path)
		}
	}
	return d.in.own(path)
}

// unmount takes the disks away, after what is on them was copied to keep, unless that is "".
func (d *disks) unmount(ctx context.Context, keep string) error {
	var err error
	if keep != "" && len(d.mounted) > 0 {
		err = command(ctx, "cp", "-a", d.data, keep)
	}
	for i := len(d.mounted) - 1; i >= 0; i-- {
		// A process that has just been killed can be there for a moment.
		for range 200 {
			if busy := syscall.Unmount(d.mounted[i], 0); !errors.Is(busy, syscall.EBUSY) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	d.mounted = nil
	return err
}

// fill leaves no space on the disk of a path until free is called.
func (d *disks) fill(path string) (free func()) {
	if len(d.mounted) == 0 {
		return func() {}
	}
	filler := filepath.Join(path, ".filler")
	file, err := os.Create(filler)
	if err != nil {
		return func() {}
	}
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := file.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	_ = file.Close()
	return func() { _ = os.Remove(filler) }
}

// unwritable takes the right to write from all folders of recordings until restore is called. Of several times that overlap
// the last one ends it.
func (d *disks) unwritable() (restore func()) {
	d.closing.Lock()
	defer d.closing.Unlock()
	d.closed++
	d.chmodFolders(func(mode fs.FileMode) fs.FileMode { return mode &^ 0o222 })
	return func() {
		d.closing.Lock()
		defer d.closing.Unlock()
		if d.closed--; d.closed == 0 {
			d.chmodFolders(func(mode fs.FileMode) fs.FileMode { return mode | 0o200 })
		}
	}
}

// chmodFolders leaves folders that are gone meanwhile.
func (d *disks) chmodFolders(change func(fs.FileMode) fs.FileMode) {
	_ = filepath.WalkDir(d.recordings, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			if info, err := entry.Info(); err == nil {
				_ = os.Chmod(path, change(info.Mode().Perm())) //nolint:gosec // of this run alone
			}
		}
		return nil
	})
}
