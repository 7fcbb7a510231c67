package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Lock keeps other processes away from a directory. The kernel releases it when the process ends, however it ends.
type Lock struct{ file *os.File }

// LockDir takes the lock of dir, which must exist, or returns an *InUseError at once. It leaves a file named "lock"
// there, for good: removing it would let two processes hold locks on two files of one name.
func LockDir(dir string) (*Lock, error) {
	path := filepath.Join(dir, "lock")
	file, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock directory: %w", err)
	}
	err = tryLock(file)
	if errors.Is(err, unix.EWOULDBLOCK) {
		inUse := &InUseError{Dir: dir, PID: readHolder(file)}
		return nil, errors.Join(inUse, file.Close())
	}
	if err == nil {
		err = writeHolder(file)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return &Lock{file}, nil
}

// Release lets other processes have the directory. It may be called again.
func (l *Lock) Release() error {
	// Closing is not enough: a child that is being started at this moment still shares the file, and with it the lock.
	_ = unix.Flock(int(l.file.Fd()), unix.LOCK_UN) // fails only when the file is closed already
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// InUseError says who holds a directory.
type InUseError struct {
	Dir string
	PID int // 0 when it is not known
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("%s is in use by process %d", e.Dir, e.PID)
}

func writeHolder(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// readHolder may come between the lock and the number of its new holder: then it is not known.
func readHolder(file *os.File) int {
	content, err := io.ReadAll(io.LimitReader(file, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// openLock follows no link: root may work in a directory that belongs to somebody else.
func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
}

// tryLock fails with EWOULDBLOCK when somebody else has the lock. It is held until the last copy of the file's
// descriptor is closed, which those that a child inherits are too.
func tryLock(file *os.File) error {
	for {
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
