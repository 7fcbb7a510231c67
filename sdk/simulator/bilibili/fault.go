package bilibili

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

var errClosed = errors.New("the simulator was closed")

// FaultID names a fault that was added.
type FaultID int

// Fault makes matching requests go wrong.
type Fault struct {
	Match  Match  `json:"match"`
	Action Action `json:"action"`
	// Skip lets this many matching requests pass first.
	Skip int `json:"skip,omitempty"`
	// Times is how many matching requests are hit after that; 0: all, until the fault is removed.
	Times int `json:"times,omitempty"`
}

// Match says which requests a fault is for. A field that is not set matches everything.
type Match struct {
	Call   Call   `json:"call,omitempty"`
	Method string `json:"method,omitempty"`
	// Host is the Host header, with its port.
	Host string `json:"host,omitempty"`
	// Path is the whole path; with a * at the end, its beginning.
	Path string `json:"path,omitempty"`
	// Query holds parameters that must have these values.
	Query map[string]string `json:"query,omitempty"`
	// Line is the upload line the request belongs to.
	Line string `json:"line,omitempty"`
	// Part is a chunk's number, from 1.
	Part int `json:"part,omitempty"`
	// Attempt picks the nth request for the same call, path and part, from 1.
	Attempt int `json:"attempt,omitempty"`
	// MID is the account the request is made for.
	MID int64 `json:"mid,omitempty"`
}

func (m Match) matches(r *Request) bool {
	for name, want := range m.Query {
		if r.Query.Get(name) != want {
			return false
		}
	}
	return equalOrUnset(m.Call, r.Call) && equalOrUnset(m.Method, r.Method) && equalOrUnset(m.Host, r.Host) &&
		equalOrUnset(m.Line, r.Line) && equalOrUnset(m.Part, r.Part) && equalOrUnset(m.Attempt, r.Attempt) &&
		equalOrUnset(m.MID, r.MID) && matchesPath(m.Path, r.Path)
}

func equalOrUnset[T comparable](want, got T) bool {
	var unset T
	return want == unset || want == got
}

func matchesPath(want, got string) bool {
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(got, prefix)
	}
	return want == "" || want == got
}

// Do says what happens to a request.
type Do string

// What can happen to a request.
const (
	// DoAnswer gives Status, Header and Body instead of doing what was asked for.
	DoAnswer Do = "answer"
	// DoReplace does what was asked for, and then gives Status, Header and Body.
	DoReplace Do = "replace"
	// DoEdit does what was asked for, and changes the JSON answer by Set and Drop.
	DoEdit Do = "edit"
	// DoReset cuts the connection after AfterBytes of the body, and nothing is done.
	DoReset Do = "reset"
	// DoLose does what was asked for and cuts the connection instead of answering.
	DoLose Do = "lose"
	// DoStall stops after AfterBytes of the body, until ReleaseFault or for Duration, and then goes on.
	DoStall Do = "stall"
	// DoStallAnswer does what was asked for and keeps the answer back, until ReleaseFault or for Duration.
	DoStallAnswer Do = "stall_answer"
	// DoThrottle reads the body at BytesPerSecond. It can be combined with another fault on the same request.
	DoThrottle Do = "throttle"
)

// Action is what a fault does.
type Action struct {
	Do     Do                `json:"do"`
	Status int               `json:"status,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body,omitempty"`
	// Set puts values into the JSON answer and Drop removes them; "data.url" names url within data.
	Set  map[string]any `json:"set,omitempty"`
	Drop []string       `json:"drop,omitempty"`

	AfterBytes int64 `json:"after_bytes,omitempty"`
	// Duration is in nanoseconds when written as JSON; 0: until released.
	Duration       time.Duration `json:"duration,omitempty"`
	BytesPerSecond int64         `json:"bytes_per_second,omitempty"`
	// PerRequest gives every request the whole bandwidth; else all requests that match share it.
	PerRequest bool `json:"per_request,omitempty"`
}

func (a Action) validate() error {
	switch a.Do {
	case DoAnswer, DoReplace:
		if a.Status < 100 || a.Status > 999 {
			return fmt.Errorf("status %d is not an HTTP status", a.Status)
		}
	case DoThrottle:
		if a.BytesPerSecond < 1 {
			return errors.New("bytes_per_second must be at least 1")
		}
	case DoEdit, DoReset, DoLose, DoStall, DoStallAnswer:
	default:
		return fmt.Errorf("do %q is not known", a.Do)
	}
	return nil
}

// rule is a fault that was added, with what it did so far.
type rule struct {
	Fault
	id       FaultID
	seen     int
	hits     int
	released chan struct{}
	limiter  *rate.Limiter
}

func (r *rule) release() {
	select {
	case <-r.released:
	default:
		close(r.released)
	}
}

// ActiveFault is a fault that was added, with how often it struck.
type ActiveFault struct {
	ID FaultID `json:"id"`
	Fault
	Hits int `json:"hits"`
}

// AddFault adds a fault behind those that exist; of several that match a request, the first one is applied. It panics when
// the action is not valid, as that is a mistake in the test.
func (s *Server) AddFault(fault Fault) FaultID {
	id, err := s.addFault(fault)
	if err != nil {
		panic(fmt.Sprintf("add fault: %v", err))
	}
	return id
}

func (s *Server) addFault(fault Fault) (FaultID, error) {
	if err := fault.Action.validate(); err != nil {
		return 0, err
	}
	r := &rule{Fault: fault, released: make(chan struct{})}
	if fault.Action.Do == DoThrottle {
		r.limiter = newLimiter(fault.Action.BytesPerSecond)
	}
	s.update(func(st *state) {
		r.id = st.nextFault
		st.nextFault++
		st.faults = append(st.faults, r)
	})
	return r.id, nil
}

// RemoveFault takes a fault away and releases what it holds back.
func (s *Server) RemoveFault(id FaultID) {
	s.update(func(st *state) {
		st.faults = slices.DeleteFunc(st.faults, func(r *rule) bool {
			if r.id == id {
				r.release()
			}
			return r.id == id
		})
	})
}

// ClearFaults takes all faults away and releases what they hold back.
func (s *Server) ClearFaults() {
	s.update(func(st *state) {
		for _, r := range st.faults {
			r.release()
		}
		st.faults = nil
	})
}

// ReleaseFault lets go of the requests that a stall holds back, and of those to come.
func (s *Server) ReleaseFault(id FaultID) {
	s.update(func(st *state) {
		for _, r := range st.faults {
			if r.id == id {
				r.release()
			}
		}
	})
}

// Faults lists what was added and not removed, also faults that have struck as often as they may.
func (s *Server) Faults() []ActiveFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]ActiveFault, 0, len(s.state.faults))
	for _, r := range s.state.faults {
		out = append(out, ActiveFault{ID: r.id, Fault: r.Fault, Hits: r.hits})
	}
	return out
}

// WaitFault blocks until a fault struck at least n times.
func (s *Server) WaitFault(ctx context.Context, id FaultID, n int) error {
	return s.Wait(ctx, func() bool {
		return slices.ContainsFunc(s.Faults(), func(f ActiveFault) bool { return f.ID == id && f.Hits >= n })
	})
}
