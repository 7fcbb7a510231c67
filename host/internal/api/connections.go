package api

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

const (
	// maxConnections bounds what connections cost in memory and file descriptors.
	maxConnections = 1000
	// maxConnectionsEach keeps one subscriber from using them all up. Not for this machine: a proxy may be there.
	maxConnectionsEach = 200
)

// boundedListener accepts so many connections at a time. What is too much in all waits in the queue of the system; what
// is too much of one subscriber is closed.
type boundedListener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
	each   int

	mu        sync.Mutex
	addresses map[string]int
}

func newBoundedListener(listener net.Listener, total, each int) *boundedListener {
	return &boundedListener{
		Listener: listener, slots: make(chan struct{}, total), closed: make(chan struct{}), each: each, addresses: make(map[string]int),
	}
}

// Accept waits for a connection and for room for it.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		address, ok := l.enter(conn.RemoteAddr())
		if ok {
			return &boundedConn{Conn: conn, release: sync.OnceFunc(func() { l.leave(address) })}, nil
		}
		_ = conn.Close()
		<-l.slots
	}
}

// Close ends Accept, also one that waits for room.
func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	if err := l.Listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// enter counts a connection for its subscriber; the empty address is not counted.
func (l *boundedListener) enter(remote net.Addr) (address string, ok bool) {
	tcp, isTCP := remote.(*net.TCPAddr)
	if !isTCP || tcp.IP.IsLoopback() {
		return "", true
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	address = throttleAddress(ip.Unmap())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses[address] >= l.each {
		return address, false
	}
	l.addresses[address]++
	return address, true
}

func (l *boundedListener) leave(address string) {
	<-l.slots
	if address == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addresses[address]--; l.addresses[address] == 0 {
		delete(l.addresses, address)
	}
}

type boundedConn struct {
	net.Conn
	release func()
}

// Close makes room for another connection.
func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
