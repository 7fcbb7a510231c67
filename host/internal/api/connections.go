package api

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxConnections bounds what connections cost in memory and file descriptors.
	maxConnections = 1000
	// maxConnectionsEach keeps one subscriber from using up what is for those who are not logged in. Not for this machine: a proxy
	// may be there.
	maxConnectionsEach = 200
	// strangerIdle is how long a connection may rest on which nobody logged in has asked for anything.
	strangerIdle = 15 * time.Second
)

// connections accepts so many at a time. One more takes the place of another, so that whoever opens many keeps nobody out: first
// go those of strangers that rest, the oldest first, then those of strangers at all, then resting ones of users. What is being
// answered to somebody who is logged in stays.
type connections struct {
	net.Listener
	total, each int
	idle        time.Duration

	mu sync.Mutex
	// open holds *connection, the oldest first.
	open *list.List
}

func newConnections(listener net.Listener, total, each int, idle time.Duration) *connections {
	return &connections{Listener: listener, total: total, each: each, idle: idle, open: list.New()}
}

// connection is one of them.
type connection struct {
	net.Conn
	all *connections
	// address is that of the subscriber; empty: this machine.
	address string

	// The others are guarded by all.mu.
	place *list.Element
	// busy is one on which a request is under way, once its head is there.
	busy bool
	// rests is one that was answered just now: the next limit is for the next request.
	rests bool
	// known is one whose last request came from somebody who is logged in.
	known bool
}

// Accept waits for a connection, and makes room for it.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, all: l, address: subscriber(conn.RemoteAddr())}
		if l.enter(c) {
			return c, nil
		}
		_ = conn.Close()
	}
}

// enter takes a connection in; false: there is no other to be closed for it.
func (l *connections) enter(c *connection) bool {
	l.mu.Lock()
	var closing []*connection
	if c.address != "" && l.strangers(c.address) >= l.each {
		if victim := l.victim(c.address); victim != nil {
			closing = append(closing, victim)
			l.remove(victim)
		}
	}
	full := false
	if l.open.Len() >= l.total {
		if victim := l.victim(""); victim != nil {
			closing = append(closing, victim)
			l.remove(victim)
		} else {
			full = true
		}
	}
	if !full {
		c.place = l.open.PushBack(c)
	}
	l.mu.Unlock()
	for _, victim := range closing {
		_ = victim.Conn.Close() // the server notices
	}
	return !full
}

// strangers counts the connections of a subscriber on which nobody is logged in.
func (l *connections) strangers(address string) (n int) {
	for element := l.open.Front(); element != nil; element = element.Next() {
		if c := element.Value.(*connection); c.address == address && !c.known {
			n++
		}
	}
	return n
}

// victim is what goes next: of one subscriber, and then no user's, or of all. nil: everything is needed.
func (l *connections) victim(address string) *connection {
	var found *connection
	best := 3
	for element := l.open.Front(); element != nil; element = element.Next() {
		c := element.Value.(*connection)
		rank := c.rank()
		if address != "" && (c.address != address || c.known) {
			continue
		}
		if rank < best {
			found, best = c, rank
		}
	}
	return found
}

func (c *connection) rank() int {
	switch {
	case !c.known && !c.busy:
		return 0
	case !c.known:
		return 1
	case !c.busy:
		return 2
	}
	return 3
}

func (l *connections) remove(c *connection) {
	if c.place != nil {
		l.open.Remove(c.place)
		c.place = nil
	}
}

// Close makes room for another connection.
func (c *connection) Close() error {
	c.all.mu.Lock()
	c.all.remove(c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// SetReadDeadline is called by the server first when it begins to wait for the next request. It has one limit for that, whoever
// asks; later ones are for the request.
func (c *connection) SetReadDeadline(until time.Time) error {
	c.all.mu.Lock()
	resting := c.rests && !c.known
	c.rests = false
	c.all.mu.Unlock()
	if limit := time.Now().Add(c.all.idle); resting && until.After(limit) {
		until = limit
	}
	return c.Conn.SetReadDeadline(until)
}

// watchState is for http.Server.ConnState.
func watchState(conn net.Conn, state http.ConnState) {
	if c, ok := conn.(*connection); ok {
		c.all.mu.Lock()
		defer c.all.mu.Unlock()
		c.busy, c.rests = state == http.StateActive || state == http.StateHijacked, state == http.StateIdle
	}
}

type connectionKey struct{}

// withConnection is for http.Server.ConnContext.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, conn)
}

// noteCaller tells the connection of a request whether it came from somebody who is logged in.
func noteCaller(ctx context.Context, known bool) {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		c.all.mu.Lock()
		defer c.all.mu.Unlock()
		c.known = known
	}
}

// subscriber is the key by which connections of one subscriber are counted; empty for this machine.
func subscriber(remote net.Addr) string {
	tcp, isTCP := remote.(*net.TCPAddr)
	if !isTCP || tcp.IP.IsLoopback() {
		return ""
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	return throttleAddress(ip.Unmap())
}
