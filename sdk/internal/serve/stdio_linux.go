package serve

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// redirectStdio makes file descriptors 1 and 2 copies of f. Dup3, because Dup2 does not exist on every architecture.
func redirectStdio(f *os.File) error {
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			return fmt.Errorf("redirect file descriptor %d to log: %w", fd, err)
		}
	}
	return nil
}
