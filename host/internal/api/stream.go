package api

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	heartbeatInterval = 15 * time.Second
	// A client that takes nothing for so long is gone.
	streamWriteTimeout = 10 * time.Second
	// recheckTimeout bounds the look whether a client may still read.
	recheckTimeout = 5 * time.Second
	// joinTimeout is how long a client may have to wait for the first events.
	joinTimeout = 5 * time.Second
)

// stream is a request that is answered bit by bit.
type stream struct {
	server  *Server
	request *http.Request
	op      *operation
}

type streamKey struct{}

// streamOf is the stream of the request that a context belongs to.
func streamOf(ctx context.Context) *stream {
	s, _ := ctx.Value(streamKey{}).(*stream)
	return s
}

func (s *Server) isStream(c echo.Context) bool {
	op := s.operations[c.Request().Method+" "+c.Path()]
	return op != nil && op.streaming
}

// stream lets the handlers of streams have their request. There is nothing left to read of it, and no limit for that ends
// it.
func (s *Server) stream(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.isStream(c) {
			return next(c)
		}
		if err := http.NewResponseController(c.Response()).SetReadDeadline(time.Time{}); err != nil {
			s.log.Debug("a stream is cut by the limit for reading requests", "path", c.Path(), "error", err)
		}
		r := c.Request()
		of := &stream{server: s, request: r, op: s.operations[r.Method+" "+c.Path()]}
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), streamKey{}, of)))
		return next(c)
	}
}

// context ends with the client, and with the server.
func (s *stream) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(s.request.Context())
	unhook := context.AfterFunc(s.server.stopping, cancel)
	return ctx, func() { unhook(); cancel() }
}

// allowed tells whether the client may still read: it may have logged out, or its token have been revoked. While the
// database is away nobody is cut off: that is when people look at the log.
func (s *stream) allowed() bool {
	ctx, cancel := context.WithTimeout(s.server.stopping, recheckTimeout)
	defer cancel()
	_, err := s.server.recognize(s.request.WithContext(ctx), s.op)
	var refused *problem
	return !errors.As(err, &refused)
}

// clients are the streams of one kind that are open: at most so many, and none is left behind.
type clients struct {
	mu     sync.Mutex
	open   int
	most   int
	closed bool
	// left is closed when none is open any more, once closed.
	left chan struct{}
}

func newClients(most int) *clients { return &clients{most: most, left: make(chan struct{})} }

// enter tells whether one more is let in; whoever is calls leave.
func (c *clients) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.open >= c.most {
		return false
	}
	c.open++
	return true
}

func (c *clients) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.closed && c.open == 0 {
		close(c.left)
	}
}

// close lets nobody in any more, and waits for those who are there.
func (c *clients) close(ctx context.Context) {
	c.mu.Lock()
	if !c.closed && c.open == 0 {
		close(c.left)
	}
	c.closed = true
	c.mu.Unlock()
	select {
	case <-c.left:
	case <-ctx.Done():
	}
}
