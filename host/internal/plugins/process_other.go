//go:build unix && !linux

package plugins

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
)

// processStart cannot tell two processes with the same id apart here; Describe's instance id does.
func processStart(pid int) string {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return ""
	}
	return strconv.Itoa(pid)
}

// watchExit returns a function that blocks until the process is gone (true) or its context ends.
func watchExit(pid int) func(context.Context) bool {
	return func(ctx context.Context) bool { return pollExit(ctx, pid, processStart(pid)) }
}

// socketOwner is not known here.
func socketOwner(*net.UnixConn) (pid int, uid int, err error) {
	return 0, 0, errors.ErrUnsupported
}
