package process

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// StartOf returns a text that differs between two processes which had the same id one after the other: the time
// since boot at which the process started (field 22 of /proc/<pid>/stat, proc(5)). Empty: there is no such process, or
// it is a zombie.
func StartOf(pid int) string {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses and can hold anything; count from its end.
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" || string(fields[0]) == "X" {
		return ""
	}
	return string(fields[19])
}

// WatchExit returns a function that blocks until the process is gone (true) or its context ends. A pidfd names the
// process itself, so a reused id cannot deceive it (pidfd_open(2)).
func WatchExit(pid int) func(context.Context) bool {
	descriptor, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return func(ctx context.Context) bool { return pollExit(ctx, pid, StartOf(pid)) }
	}
	file, start := os.NewFile(uintptr(descriptor), "pidfd"), StartOf(pid)
	return func(ctx context.Context) bool {
		gone := waitReadable(ctx, file)
		return gone || (ctx.Err() == nil && pollExit(ctx, pid, start))
	}
}

// waitReadable waits in the runtime's poller until a pidfd becomes readable, which is when its process ends. It returns
// false when ctx ended first, or when the poller cannot wait for it.
func waitReadable(ctx context.Context, file *os.File) bool {
	defer func() { _ = file.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := file.SyscallConn()
	if err != nil {
		return false
	}
	// The runtime calls the function once, and again each time the descriptor became ready.
	err = raw.Read(func(descriptor uintptr) bool {
		ready := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, 0)
		return n > 0 && err == nil
	})
	return err == nil
}

// socketOwner returns the process and user behind a listening Unix socket (SO_PEERCRED, unix(7)).
func socketOwner(connection *net.UnixConn) (pid int, uid int, err error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the owner of a socket: %w", err)
	}
	var (
		credentials *unix.Ucred
		optionErr   error
	)
	err = raw.Control(func(descriptor uintptr) {
		credentials, optionErr = unix.GetsockoptUcred(int(descriptor), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = optionErr
	}
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the owner of a socket: %w", err)
	}
	return int(credentials.Pid), int(credentials.Uid), nil
}
