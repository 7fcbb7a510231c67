//go:build unix && !linux

package serve

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// redirectStdio makes file descriptors 1 and 2 copies of f.
func redirectStdio(f *os.File) error {
	for _, fd := range []int{1, 2} {
		if err := unix.Dup2(int(f.Fd()), fd); err != nil {
			return fmt.Errorf("redirect file descriptor %d to log: %w", fd, err)
		}
	}
	return nil
}
