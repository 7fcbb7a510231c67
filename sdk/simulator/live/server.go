package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Unpaced, as a speed, sends as fast as the client reads.
const Unpaced = 0

// Options of a server. Clip is required; the rest is for one strict, unpaced broadcast of it.
type Options struct {
	// Listen is the address of a server made by Start or New; default 127.0.0.1:0.
	Listen string
	// Paths are those of the stream, as of several networks that carry one broadcast; default: every path.
	Paths []string
	Clip  *Clip
	// Speed 1 sends in real time, 2 twice as fast; Unpaced, the default, as fast as the client reads. The media's clock
	// begins to run with the first connection to a broadcast. Unpaced, it stands wherever the connection that got
	// farthest is.
	Speed float64
	// Loop begins the clip again at its end, on a clock that goes on. Otherwise the broadcast is over there.
	Loop bool
	// GOPCache is how much of what was sent before a new connection gets at once, from the keyframe before that.
	// 0: it begins with the next keyframe.
	GOPCache time.Duration
	// FromStart sends every connection the clip from its start, by a clock of its own. The broadcast is then over only
	// after End.
	FromStart bool
	// StartAt is the time in the first frame of a broadcast; it may be below 0.
	StartAt time.Duration
	// Offline: nobody is live before GoLive.
	Offline bool
	// Identity sends bodies that end with the connection, instead of chunked ones.
	Identity bool
	// Clients is how many are expected, each with one connection at a time; default 1. Below 0: any number.
	Clients int
	// RequestLog is how many requests and connections are remembered, default 20000, and TagLog how many tags, default
	// 1000000. What is older is forgotten.
	RequestLog, TagLog int
	// Logger hears of violations, and at debug level of faults; default: nobody.
	Logger *slog.Logger
}

const (
	defaultPath       = "/live/demo.flv"
	defaultRequestLog = 20000
	defaultTagLog     = 1000000
)

func (o Options) withDefaults() Options {
	setDefault(&o.Listen, "127.0.0.1:0")
	setDefault(&o.Clients, 1)
	setDefault(&o.RequestLog, defaultRequestLog)
	setDefault(&o.TagLog, defaultTagLog)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) validate() error {
	switch {
	case o.Clip == nil:
		return errors.New("there is no clip: make one with Load, Parse or Encode")
	case o.Speed < 0:
		return fmt.Errorf("a speed of %v would send backwards: use 0 for unpaced, 1 for real time", o.Speed)
	case o.GOPCache < 0:
		return fmt.Errorf("a GOP cache of %v is not possible", o.GOPCache)
	case o.RequestLog < 1 || o.TagLog < 1:
		return errors.New("logs must keep at least one entry")
	}
	return nil
}

// Server is a live stream for any number of clients, and an http.Handler. All methods may be called from any goroutine.
type Server struct {
	options  Options
	listener net.Listener // nil for one that is only a handler
	http     *http.Server

	closeOnce sync.Once
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	serving   sync.WaitGroup // the accept loop
	handling  sync.WaitGroup // requests

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes

	live      bool
	broadcast int       // counts GoLive
	started   time.Time // of the broadcast's clock; zero: it does not run yet
	edge      int       // unpaced: the tag behind the last one that anybody was sent

	faults      []*rule
	lastFault   FaultID
	lastRequest int
	requests    []*Request
	connections []*Connection
	viewers     map[*Connection]*viewer // open ones
	accepted    int                     // connections ever
	ended       int                     // of those
	frames      int                     // whole ones ever sent
	logged      int                     // tags remembered
	violations  []Violation
}

// Handler makes a server that listens nowhere: the caller serves it as an http.Handler, behind TLS for example. Close ends
// what it sends.
func Handler(options Options) (*Server, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("start live simulator: %w", err)
	}
	s := &Server{options: options, changed: make(chan struct{}), viewers: map[*Connection]*viewer{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if !options.Offline {
		s.GoLive()
	}
	return s, nil
}

// Start listens and serves until Close.
func Start(options Options) (*Server, error) {
	s, err := Handler(options)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	s.listener, err = config.Listen(s.ctx, "tcp", s.options.Listen)
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("start live simulator: %w", err)
	}
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	s.serving.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.options.Logger.Error("simulated live stream stopped listening", "address", s.listener.Addr(), "error", err)
		}
	})
	return s, nil
}

// closeGrace is how long a client has to take what is on its way when the server closes.
const closeGrace = time.Second

// Close ends all bodies properly, lets go of what faults hold back, and waits until nothing runs any more. A client that does
// not read is cut off. It may be called more than once.
func (s *Server) Close() error {
	var err error
	s.closeOnce.Do(func() {
		s.mu.Lock() // so that a request is either refused or waited for
		s.live = false
		s.cancel()
		s.mu.Unlock()
		s.handling.Wait()
		if s.http == nil {
			return
		}
		// Shutting down lets the ends of bodies out; what hangs after that has no claim.
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			err = s.http.Close()
		}
		s.serving.Wait()
	})
	return err
}

// URL is the address of the stream, at the first of its paths.
func (s *Server) URL() string {
	if len(s.options.Paths) > 0 {
		return s.URLOf(s.options.Paths[0])
	}
	return s.URLOf(defaultPath)
}

// URLOf is the address of a path. Without a listener it is the path alone.
func (s *Server) URLOf(path string) string {
	if s.listener == nil {
		return path
	}
	return "http://" + s.listener.Addr().String() + path
}

// update changes the state and wakes those who wait for a change.
func (s *Server) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.announce()
}

// announce is for callers that hold the lock.
func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// TB is the part of *testing.T that New and RequireNoViolations need.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// New starts a server for one test and closes it when the test ends.
func New(t TB, options Options) *Server {
	t.Helper()
	s, err := Start(options)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close live simulator: %v", err)
		}
	})
	return s
}
