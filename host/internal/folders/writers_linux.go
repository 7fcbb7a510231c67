package folders

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// disks are the file systems of which this machine is the only user, so that it knows who writes to a file.
var disks = []int64{
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
}

// WritersOf tells whether a process has a file open for writing. It asks for a lease on the file, which the system gives only
// while nobody has (fcntl(2), F_SETLEASE), and gives it back at once.
func WritersOf(path string) Writers {
	descriptor, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return WritersUnknown
	}
	defer func() { _ = unix.Close(descriptor) }() // gives the lease back, too
	var system unix.Statfs_t
	if err := unix.Fstatfs(descriptor, &system); err != nil || !slices.Contains(disks, int64(system.Type)) { //nolint:unconvert // it is narrower elsewhere
		return WritersUnknown
	}
	_, err = unix.FcntlInt(uintptr(descriptor), unix.F_SETLEASE, unix.F_RDLCK)
	switch {
	case err == nil:
		return NoWriter
	case errors.Is(err, unix.EAGAIN):
		return SomeWriter
	}
	return WritersUnknown // the file of another user, for one
}
