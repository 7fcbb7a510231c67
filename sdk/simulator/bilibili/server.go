package bilibili

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Mode says how much a client may get wrong.
type Mode string

// The modes.
const (
	// Strict refuses and records every departure from the protocol. It is the default.
	Strict Mode = "strict"
	// Lenient forgives what the real service is believed to forgive: incomplete or unsorted part lists, numbers that
	// do not add up, chunks sent after completion and the like.
	Lenient Mode = "lenient"
)

// Options of a simulator. The zero value is a strict one on a free loopback port.
type Options struct {
	// Listen is the address of the creator centre, account and passport roles; default 127.0.0.1:0.
	Listen string
	// LineHosts gives every upload line a listener of its own, so that it matters which host a client talks to.
	// Without it all lines share the main listener.
	LineHosts bool
	// Lines are the upload lines that exist; default: every name that the real service has been seen to know.
	Lines []string
	// Buckets are those of Qiniu that the kodo line may use; default: none, as the real service stopped offering it in 2023.
	Buckets []string
	// ProbeLines are the lines offered to a client that asks for candidates; default bda2, bldsa and tx.
	ProbeLines []string
	// Mode defaults to Strict.
	Mode Mode
	// ChunkSize is the size in bytes of all but the last chunk of a file; default 10485760.
	ChunkSize int64
	// MaxParallel is how many chunks of one file may be on their way at once; default 8.
	MaxParallel int
	// Now is the clock; default time.Now. Server.Advance adds to it.
	Now func() time.Time
	// Dir is an existing folder in which a temporary one is made for received bytes; default: the system's. Close
	// removes it.
	Dir string
	// DiscardBytes hashes a file when it is completed and forgets its bytes, for long demonstrations.
	DiscardBytes bool
	// SignSkew is how far the ts of a signed request may be from the clock; default 10 minutes.
	SignSkew time.Duration
	// RefreshBefore is the remaining life of a token below which its check asks for a refresh; default 30 days.
	RefreshBefore time.Duration
	// Transcode and Review are how long a new archive stays in each state on the clock of the archives; default 30 s
	// and 60 s. Negative: no time at all.
	Transcode, Review time.Duration
	// ArchiveSpeed is how many times as fast as the simulator's the clock of the archives runs; default 1. See SetArchiveSpeed.
	ArchiveSpeed float64
	// ListLag is how much later than accepted archives appear in lists, on the clock of the archives. See SetListLag.
	ListLag time.Duration
	// MaxArchiveParts is how many parts an archive can have: an edit beyond is refused with code 21058; default 500.
	MaxArchiveParts int
	// DuplicateTitleWindow refuses a second archive of the same title within this time with code 21012; 0: never.
	DuplicateTitleWindow time.Duration
	// SubmitLimits counts submissions like the real service: code 21070 within 30 s of the one before, 137022 after
	// 15 within 3.5 hours, 601 after 10 within a day.
	SubmitLimits bool
	// QRScript are the states a QR login goes through, one per poll; the last one stays. Default: pending until
	// ScanQR and ConfirmQR are called.
	QRScript []QRState
	// RequestLog is how many requests are remembered; default 20000.
	RequestLog int
	// Logger hears of violations and faults; default: nobody.
	Logger *slog.Logger
}

const (
	defaultChunkSize     = 10485760
	defaultMaxParallel   = 8
	defaultSignSkew      = 10 * time.Minute
	defaultRefreshBefore = 30 * 24 * time.Hour
	defaultTranscode     = 30 * time.Second
	defaultReview        = time.Minute
	defaultRequestLog    = 20000
	defaultMaxParts      = 500
)

func (o Options) withDefaults() Options {
	setDefault(&o.Listen, "127.0.0.1:0")
	setDefault(&o.Mode, Strict)
	setDefault(&o.ChunkSize, defaultChunkSize)
	setDefault(&o.MaxParallel, defaultMaxParallel)
	setDefault(&o.SignSkew, defaultSignSkew)
	setDefault(&o.RefreshBefore, defaultRefreshBefore)
	setDefault(&o.Transcode, defaultTranscode)
	setDefault(&o.Review, defaultReview)
	setDefault(&o.RequestLog, defaultRequestLog)
	setDefault(&o.MaxArchiveParts, defaultMaxParts)
	o.Transcode, o.Review = max(o.Transcode, 0), max(o.Review, 0)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lines == nil {
		o.Lines = KnownLines()
	}
	if o.ProbeLines == nil {
		o.ProbeLines = slices.DeleteFunc([]string{"bda2", "bldsa", "tx"}, func(name string) bool {
			return !slices.Contains(o.Lines, name)
		})
	}
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
	if o.Mode != Strict && o.Mode != Lenient {
		return fmt.Errorf("mode %q is not known: use %q or %q", o.Mode, Strict, Lenient)
	}
	if o.ChunkSize < 1 || o.MaxParallel < 1 {
		return errors.New("chunk size and parallel chunks must be at least 1")
	}
	if o.ArchiveSpeed < 0 || o.ListLag < 0 || o.MaxArchiveParts < 1 {
		return errors.New("the speed of archives and the lag of lists must not be negative, and an archive has at least 1 part")
	}
	for _, name := range o.ProbeLines {
		if !slices.Contains(o.Lines, name) {
			return fmt.Errorf("probe line %q is not among the lines %v", name, o.Lines)
		}
	}
	return nil
}

// Server is a running simulator. All methods may be called from any goroutine.
type Server struct {
	options   Options
	listeners map[string]*listener // by line; "" is the main one
	routes    map[string]route
	dir       string

	closeOnce sync.Once
	ctx       context.Context // of every request; ends with Close
	cancel    context.CancelFunc
	serving   sync.WaitGroup // accept loops
	handling  sync.WaitGroup // requests

	mu      sync.Mutex
	state   *state
	changed chan struct{} // closed and replaced whenever the state changes
}

type listener struct {
	net  net.Listener
	http *http.Server
}

// Start opens the listeners and serves until Close.
func Start(options Options) (*Server, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("start bilibili simulator: %w", err)
	}
	s := &Server{
		options: options, listeners: map[string]*listener{},
		changed: make(chan struct{}), state: newState(options),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.routes = s.routeTable()
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("start bilibili simulator: %w", err), s.Close())
	}
	for line, l := range s.listeners {
		l.http = &http.Server{
			Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, line) }),
			BaseContext:       func(net.Listener) context.Context { return s.ctx },
			ReadHeaderTimeout: 30 * time.Second,
			ErrorLog:          slog.NewLogLogger(options.Logger.Handler(), slog.LevelDebug),
		}
		s.serving.Go(func() {
			if err := l.http.Serve(l.net); !errors.Is(err, http.ErrServerClosed) {
				options.Logger.Error("simulated bilibili stopped listening", "address", l.net.Addr(), "error", err)
			}
		})
	}
	return s, nil
}

func (s *Server) open() error {
	dir, err := os.MkdirTemp(s.options.Dir, "bilibili-simulator-")
	if err != nil {
		return fmt.Errorf("create a folder for received files: %w", err)
	}
	s.dir = dir
	if err := s.listen("", s.options.Listen); err != nil || !s.options.LineHosts {
		return err
	}
	host, _, err := net.SplitHostPort(s.listeners[""].net.Addr().String())
	if err != nil {
		return err
	}
	lines := s.options.Lines
	if len(s.options.Buckets) > 0 {
		lines = append(slices.Clone(lines), KodoLine)
	}
	for _, line := range lines {
		if err := s.listen(line, net.JoinHostPort(host, "0")); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) listen(line, address string) error {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.listeners[line] = &listener{net: l}
	return nil
}

// Close ends every connection, lets go of held requests, waits until nothing runs any more and removes what was stored.
// It may be called more than once.
func (s *Server) Close() error {
	var err error
	s.closeOnce.Do(func() {
		s.mu.Lock() // so that a request is either refused or waited for
		s.cancel()
		s.mu.Unlock()
		for _, l := range s.listeners {
			if l.http == nil {
				err = errors.Join(err, l.net.Close())
				continue
			}
			err = errors.Join(err, l.http.Close())
		}
		s.serving.Wait()
		s.handling.Wait()
		if s.dir != "" {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	})
	return err
}

// URL is the base URL of the creator centre, account and passport roles, without a trailing slash.
func (s *Server) URL() string { return "http://" + s.host("") }

// LineURL is the base URL of a line's storage host; the same for all lines unless Options.LineHosts is set.
func (s *Server) LineURL(line string) string { return "http://" + s.host(line) }

func (s *Server) host(line string) string {
	l, ok := s.listeners[line]
	if !ok {
		l = s.listeners[""]
	}
	return l.net.Addr().String()
}

// Now is the time on the simulator's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// now is for callers that hold the lock.
func (s *Server) now() time.Time { return s.options.Now().Add(s.state.advanced) }

// Advance moves the clock: tokens, upload authorisations and QR codes grow old, archives get through their review.
func (s *Server) Advance(d time.Duration) {
	s.update(func(st *state) { st.advanced += d })
}

// Reset forgets accounts, files, archives, faults, logs and clock changes. Requests under way may still finish.
func (s *Server) Reset() {
	s.update(func(st *state) {
		for _, rule := range st.faults {
			rule.release()
		}
		for _, o := range st.objects {
			o.removeBytes()
		}
		*st = *newState(s.options)
	})
}

// update changes the state and wakes those who wait for a change.
func (s *Server) update(change func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.state)
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

// New starts a simulator for one test and closes it when the test ends.
func New(t TB, options Options) *Server {
	t.Helper()
	s, err := Start(options)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close bilibili simulator: %v", err)
		}
	})
	return s
}
