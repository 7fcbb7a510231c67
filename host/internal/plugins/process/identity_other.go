//go:build unix && !linux

package process

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
)

// StartOf cannot tell two processes with the same id apart here; Describe's instance id does.
func StartOf(pid int) string {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return ""
	}
	return strconv.Itoa(pid)
}

// WatchExit returns a function that blocks until the process is gone (true) or its context ends.
func WatchExit(pid int) func(context.Context) bool {
	return func(ctx context.Context) bool { return pollExit(ctx, pid, StartOf(pid)) }
}

// socketOwner is not known here.
func socketOwner(*net.UnixConn) (pid int, uid int, err error) {
	return 0, 0, errors.ErrUnsupported
}
