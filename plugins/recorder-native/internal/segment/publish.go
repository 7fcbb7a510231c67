package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	extension  = ".flv"
	partSuffix = ".part"
	// maxNames bounds the search for a free name.
	maxNames = 1000
)

func finalName(prefix string, index int) string {
	return fmt.Sprintf("%s_%03d%s", prefix, index, extension)
}

// create makes the file of the first free index from index on, without touching any file that exists. The file is
// locked, so that nobody recovers it while it is being written.
func create(prefix string, index int) (*os.File, int, error) {
	if err := os.MkdirAll(filepath.Dir(prefix), 0o777); err != nil { //nolint:gosec // recordings are for other programs to read: the umask decides
		return nil, 0, fmt.Errorf("the folder for recordings cannot be made: %w", err)
	}
	for end := index + maxNames; index < end; index++ {
		final := finalName(prefix, index)
		if _, err := os.Lstat(final); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return nil, 0, err
			}
			continue
		}
		f, err := os.OpenFile(final+partSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // see above
		switch {
		case errors.Is(err, fs.ErrExist):
			continue
		case err != nil:
			return nil, 0, fmt.Errorf("a segment file cannot be made: %w", err)
		}
		if !owned(f) {
			_ = f.Close()
			continue
		}
		return f, index, nil
	}
	return nil, 0, fmt.Errorf("no free file name from %s on", finalName(prefix, index-maxNames))
}

// owned locks a new file. false: somebody took it for a dead session's, between its making and this lock.
func owned(f *os.File) bool {
	if err := lock(f); err != nil {
		return false
	}
	named, err := os.Lstat(f.Name())
	if err != nil {
		return false
	}
	opened, err := f.Stat()
	return err == nil && os.SameFile(named, opened)
}

var errLocked = errors.New("is being written by a running recorder")

// lock marks the file as being written. The lock ends with the process. File systems without locks go without.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s %w", f.Name(), errLocked)
	}
	return nil
}

// names is how files get their names.
type names struct {
	rename   func(from, to string) error // never over a file that exists
	syncDir  func(dir string) error
	patience time.Duration // with a file system that is away
}

func newNames(patience time.Duration) names { return names{renameNew, syncDir, patience} }

// publish gives a file its final name, or the next free one made from it, and makes that durable.
func (n names) publish(part, final string) (name string, err error) {
	err = patiently(n.patience, func() (err error) {
		name, err = n.free(part, final)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("a finished segment cannot get its final name: %w", err)
	}
	return name, patiently(n.patience, func() error { return n.syncDir(filepath.Dir(name)) })
}

func (n names) free(part, final string) (string, error) {
	stem := strings.TrimSuffix(final, extension)
	name := final
	for again := 1; again < maxNames; again++ {
		err := n.rename(part, name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		name = fmt.Sprintf("%s-%d%s", stem, again, extension)
	}
	return "", fmt.Errorf("no free file name for %s", final)
}

// renameNew renames without ever replacing a file.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP):
		// Some file systems cannot do both in one step.
		if _, err := os.Lstat(to); err == nil {
			return fs.ErrExist
		}
		return os.Rename(from, to)
	case err != nil:
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// syncDir makes names in dir durable, where the file system knows such a thing.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("folder %s cannot be synced: %w", dir, err)
	}
	return nil
}
