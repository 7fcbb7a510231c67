package hosttest

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// ListenTwice listens on one port of two addresses. One that is free on the first may be in use on the second: then it
// takes another.
func ListenTwice(t testing.TB, first, second string) (onFirst, onSecond net.Listener) {
	t.Helper()
	for {
		onFirst, err := net.Listen("tcp", net.JoinHostPort(first, "0"))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(onFirst.Addr().String())
		onSecond, err := net.Listen("tcp", net.JoinHostPort(second, port))
		if err == nil {
			return onFirst, onSecond
		}
		_ = onFirst.Close()
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
	}
}

// ReservePort is an address of the loopback interface on which nobody listens before the program that it is handed to:
// until the test ends the port is not given to anybody who asks for any free one, and connecting to it is refused.
func ReservePort(t testing.TB) string {
	t.Helper()
	// A socket that is bound and does not listen keeps its port; another that names the port may bind it too, as both
	// allow it.
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(socket) })
	if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
}
