package hosttest

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestAReservedPortIsRefusedAndNotGivenAwayAndCanBeListenedOn(t *testing.T) {
	address := ReservePort(t)
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting: %v, want it refused", err)
	}
	// More than the kernel hands out before it has to come to a port that may be shared.
	for range 2000 {
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		if other.Addr().String() == address {
			t.Fatalf("%s was given away", address)
		}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("who was handed the port cannot listen on it: %v", err)
	}
	_ = listener.Close()
}

func TestListenTwiceTakesOnePortOfBothAddresses(t *testing.T) {
	first, second := ListenTwice(t, "127.0.0.2", "127.0.0.1")
	defer func() { _, _ = first.Close(), second.Close() }()
	_, one, _ := net.SplitHostPort(first.Addr().String())
	_, two, _ := net.SplitHostPort(second.Addr().String())
	if one != two {
		t.Errorf("ports %s and %s", one, two)
	}
}
