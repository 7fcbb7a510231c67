package bililive

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// TB is what the simulator needs of a *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Options of a simulator.
type Options struct {
	// Listen is its address; default 127.0.0.1:0.
	Listen string
	// Now is its clock; default time.Now.
	Now func() time.Time
	// SignedPlay demands a signature for getRoomPlayInfo too.
	SignedPlay bool
	// SignatureAge is how far the time in a signature may be from the clock; default 10 minutes.
	SignatureAge time.Duration
	// Lease is how long a media address stays valid; default one hour.
	Lease time.Duration
	// Media answers requests for media that pass all checks; default: the head of an FLV file or a playlist.
	Media http.Handler
}

// Violation is one departure from the protocol.
type Violation struct {
	Call   string `json:"call"`
	Detail string `json:"detail"`
}

// Request is one logged request.
type Request struct {
	Path  string     `json:"path"`
	Query url.Values `json:"query"`
	Login bool       `json:"login"` // with the cookie SESSDATA
	At    time.Time  `json:"at"`
}

// Fault makes calls fail.
type Fault struct {
	// Path is the start of the path of the calls that fail.
	Path string `json:"path"`
	// After is how many of those calls go well before.
	After int `json:"after,omitempty"`
	// Times is how often; 0: until ClearFaults.
	Times int `json:"times,omitempty"`
	// Code answers with an empty result of this code.
	Code int `json:"code,omitempty"`
	// Status and Body answer with these; Status 0 means 200.
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
	// Hang is told when a request arrived, which is then not answered until its client leaves.
	Hang chan<- struct{} `json:"-"`
}

// Server is a running simulator.
type Server struct {
	options Options
	http    *httptest.Server

	mu         sync.Mutex
	rooms      map[int64]*Room
	logins     map[string]bool
	shorts     map[string]string
	faults     []*Fault
	violations []Violation
	requests   []Request
	img, sub   string
}

// New starts a simulator that ends with the test.
func New(t TB, options Options) *Server {
	t.Helper()
	s, err := Start(options)
	if err != nil {
		t.Fatalf("start simulated bilibili live: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a simulator; Close ends it.
func Start(options Options) (*Server, error) {
	if options.Listen == "" {
		options.Listen = "127.0.0.1:0"
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.SignatureAge == 0 {
		options.SignatureAge = 10 * time.Minute
	}
	if options.Lease == 0 {
		options.Lease = time.Hour
	}
	s := &Server{
		options: options, rooms: map[int64]*Room{}, logins: map[string]bool{}, shorts: map[string]string{},
		img: "0123456789abcdef0123456789abcdef", sub: "fedcba9876543210fedcba9876543210",
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", options.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for simulated bilibili live: %w", err)
	}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Listener.Close() // replaced
	s.http.Listener = listener
	s.http.Start()
	return s, nil
}

// Close ends it and every request under way.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// URL is the base URL of all its roles.
func (s *Server) URL() string { return s.http.URL }

// SetKeys changes the two keys for signatures.
func (s *Server) SetKeys(img, sub string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.img, s.sub = img, sub
}

// AddFault adds a fault behind those that exist.
func (s *Server) AddFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults takes all faults away.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Violations lists every departure from the protocol so far.
func (s *Server) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// RequireNoViolations fails a test for every departure from the protocol so far.
func (s *Server) RequireNoViolations(t TB) {
	t.Helper()
	for _, v := range s.Violations() {
		t.Errorf("the client departed from the protocol: %s: %s", v.Call, v.Detail)
	}
}

// Requests lists what was asked, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count is how many requests there were whose path begins with this.
func (s *Server) Count(path string) int {
	n := 0
	for _, r := range s.Requests() {
		if strings.HasPrefix(r.Path, path) {
			n++
		}
	}
	return n
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.options.Now().UTC().Format(http.TimeFormat))
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.inspect(w, r)
		return
	}
	s.mu.Lock()
	const mostRequests = 10000
	if len(s.requests) >= mostRequests {
		s.requests = s.requests[mostRequests/2:]
	}
	_, err := r.Cookie("SESSDATA")
	s.requests = append(s.requests, Request{Path: r.URL.Path, Query: r.URL.Query(), Login: err == nil, At: s.options.Now()})
	fault := s.strike(r.URL.Path)
	s.mu.Unlock()
	if fault != nil {
		fault.answer(w, r)
		return
	}
	s.route(w, r)
}

// strike returns the fault for a request. The caller holds the lock.
func (s *Server) strike(path string) *Fault {
	for i, f := range s.faults {
		if !strings.HasPrefix(path, f.Path) {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		copied := *f
		return &copied
	}
	return nil
}

func (f *Fault) answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case f.Hang != nil:
		select {
		case f.Hang <- struct{}{}:
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	case f.Code != 0:
		answerCode(w, f.Code)
	default:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(max(f.Status, http.StatusOK))
		fmt.Fprint(w, f.Body)
	}
}

func (s *Server) inspect(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	write := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		json.NewEncoder(w).Encode(v) //nolint:errcheck,errchkjson // a client that left
	}
	decode := func(w http.ResponseWriter, r *http.Request, v any) bool {
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return false
		}
		return true
	}
	mux.HandleFunc("GET /_sim/violations", func(w http.ResponseWriter, _ *http.Request) { write(w, s.Violations()) })
	mux.HandleFunc("GET /_sim/requests", func(w http.ResponseWriter, _ *http.Request) { write(w, s.Requests()) })
	mux.HandleFunc("POST /_sim/rooms", func(w http.ResponseWriter, r *http.Request) {
		var room Room
		if !decode(w, r, &room) {
			return
		}
		if room.ID <= 0 || room.UID <= 0 {
			http.Error(w, "a room needs id and uid", http.StatusBadRequest)
			return
		}
		s.SetRoom(room)
		write(w, room)
	})
	mux.HandleFunc("POST /_sim/faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if decode(w, r, &f) {
			s.AddFault(f)
			write(w, f)
		}
	})
	mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { s.ClearFaults(); write(w, []Fault{}) })
	mux.ServeHTTP(w, r)
}
