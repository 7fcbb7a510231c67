package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options of a Server. Clip is required.
type Options struct {
	Clip *Clip
	// Speed 1 sends in real time, 2 twice as fast; 0: as fast as the client reads.
	Speed float64
	// Loop starts the clip again at its end, on a clock that goes on. Otherwise the broadcast ends there.
	Loop bool
	// GOPCache: a client begins with the keyframe before what is being sent, as most networks do it, not with the next.
	GOPCache bool
	// AnyTag: a client begins in the middle of a group of pictures.
	AnyTag bool
	// StartAt is the time in the first tag; it may be below 0.
	StartAt time.Duration
	// Offline: nobody is live before GoLive.
	Offline bool
	// AllowConcurrent: several connections at a time are no mistake.
	AllowConcurrent bool
	Faults          []Fault
}

// Server is a live stream for any number of clients. It is an http.Handler; Listen serves it on a port of its own.
type Server struct {
	options Options
	handler sync.WaitGroup

	mu          sync.Mutex
	connections []*Connection
	mistakes    []string
	open        int
	closed      bool
	live        bool
	finished    bool      // the clip was sent to its end
	began       time.Time // real time of the clip's time resumed
	resumed     int64     // ms on the clip's endless clock
	edge        int       // without pacing: the frame behind the last one that anyone was sent
	generation  chan struct{}
	ending      string        // why the generation was closed
	release     chan struct{} // closed by Release
	changed     chan struct{} // closed whenever something was sent or ended

	listener *http.Server
	url      string
	serving  chan error
	stopping sync.Once
	stopErr  error
}

// New returns a server for use as an http.Handler. Close ends its connections.
func New(o Options) *Server {
	s := &Server{options: o, release: make(chan struct{}), generation: make(chan struct{}), changed: make(chan struct{})}
	if !o.Offline {
		s.GoLive()
	}
	return s
}

// Listen serves on a free port of 127.0.0.1 until Close.
func Listen(o Options) (*Server, error) { return ListenOn("127.0.0.1:0", o) }

// ListenOn serves on addr until Close.
func ListenOn(addr string, o Options) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("live simulator: %w", err)
	}
	s := New(o)
	s.listener = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.url = "http://" + l.Addr().String()
	s.serving = make(chan error, 1)
	go func() { s.serving <- s.listener.Serve(l) }()
	return s, nil
}

// URL is the address of the stream on a server made by Listen.
func (s *Server) URL() string { return s.url + "/live.flv" }

// Close ends all connections, waits for them, and frees the port. It may be called again.
func (s *Server) Close() error {
	s.stopping.Do(func() { s.stopErr = s.shutdown() })
	return s.stopErr
}

func (s *Server) shutdown() error {
	s.mu.Lock()
	s.closed = true
	s.endGeneration("closed")
	s.mu.Unlock()
	s.handler.Wait()
	if s.listener == nil {
		return nil
	}
	err := s.listener.Close()
	if serveErr := <-s.serving; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// GoLive begins the broadcast, or goes on with it where End ended it.
func (s *Server) GoLive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live || s.closed {
		return
	}
	if s.finished {
		s.finished, s.resumed, s.edge = false, 0, 0
	}
	s.live, s.began = true, time.Now()
	s.announce()
}

// End ends the broadcast: bodies end cleanly, new requests get 404.
func (s *Server) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off()
	s.endGeneration(endingOver)
}

// Break resets all open connections. The broadcast goes on.
func (s *Server) Break() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endGeneration(endingBroken)
}

// Endings that treat the last bytes differently.
const (
	endingOver   = "ended"
	endingBroken = "broken"
)

// Release lets stalled connections go on.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.release)
	s.release = make(chan struct{})
}

// Wait returns when done says so about the connections, which it is asked whenever something was sent or ended.
func (s *Server) Wait(ctx context.Context, done func([]Connection) bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done(s.Connections()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// The functions below are called with the lock held.

// off: new clients find nobody.
func (s *Server) off() { s.resumed, s.live = s.now(), false }

func (s *Server) endGeneration(why string) {
	s.ending = why
	close(s.generation)
	s.generation = make(chan struct{})
	s.announce()
}

func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// now is the time on the clip's endless clock, in ms.
func (s *Server) now() int64 {
	if !s.live || s.options.Speed == 0 {
		return s.resumed
	}
	return s.resumed + int64(float64(time.Since(s.began).Milliseconds())*s.options.Speed)
}

// at is the time of frame k on the endless clock.
func (s *Server) at(k int) int64 {
	c := s.options.Clip
	return int64(k/len(c.frames))*c.length + c.frames[k%len(c.frames)].ms
}

// join is the first frame for a client that comes now.
func (s *Server) join() int {
	c := s.options.Clip
	k := s.edge
	if s.options.Speed > 0 {
		k = 0
		for now := s.now(); s.at(k) < now; k++ {
		}
	}
	if s.options.AnyTag {
		return k
	}
	if s.options.GOPCache {
		for j := k; j >= 0 && j > k-len(c.frames); j-- {
			if c.entry(j % len(c.frames)) {
				return j
			}
		}
	}
	i := k % len(c.frames)
	return k + (c.nextEntry(i)-i+len(c.frames))%len(c.frames)
}

func (s *Server) mistake(format string, a ...any) {
	s.mistakes = append(s.mistakes, fmt.Sprintf(format, a...))
}
