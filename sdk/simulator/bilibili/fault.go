package bilibili

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// plan is what is going to happen to one request.
type plan struct {
	x        *exchange
	throttle *rate.Limiter
	action   *Action
	released chan struct{}
	cut      *bool // the body was cut by a reset
}

func (st *state) plan(x *exchange) plan {
	p := plan{x: x, cut: new(bool)}
	for _, r := range st.faults {
		isThrottle := r.Action.Do == DoThrottle
		if (isThrottle && p.throttle != nil) || (!isThrottle && p.action != nil) || !r.Match.matches(x.log) {
			continue
		}
		if r.seen++; r.seen <= r.Skip || (r.Times > 0 && r.hits >= r.Times) {
			continue
		}
		r.hits++
		x.log.Faults = append(x.log.Faults, r.id)
		if isThrottle {
			p.throttle = r.limiter
			if r.Action.PerRequest {
				p.throttle = newLimiter(r.Action.BytesPerSecond)
			}
			continue
		}
		action := r.Action
		p.action, p.released = &action, r.released
		if action.Do == DoEdit {
			x.edits = append(x.edits, action)
		}
	}
	return p
}

func (p plan) does(kinds ...Do) bool { return p.action != nil && slices.Contains(kinds, p.action.Do) }

// body wraps the request's body with what is going to happen to it.
func (p plan) body(body io.ReadCloser) io.ReadCloser {
	var r io.Reader = body
	if p.throttle != nil {
		r = &throttledReader{r: r, ctx: p.x.r.Context(), limiter: p.throttle}
	}
	switch {
	case p.does(DoReset) && p.action.AfterBytes > 0:
		r = &markReader{r: r, left: p.action.AfterBytes, at: func() error { *p.cut = true; return errReset }}
	case p.does(DoStall):
		r = &markReader{r: r, left: p.action.AfterBytes, at: p.hold}
	}
	return readCloser{r, body}
}

// before reports whether the request may go on to be worked on.
func (p plan) before() bool { return !p.does(DoReset) || p.action.AfterBytes > 0 }

func (p plan) failed() bool { return *p.cut }

// instead is the answer that is given without doing anything.
func (p plan) instead() *answer {
	if p.does(DoAnswer) {
		return p.action.answer()
	}
	return nil
}

// after is what becomes of the true answer.
func (p plan) after(x *exchange, a *answer) (*answer, bool) {
	switch {
	case p.does(DoLose, DoReset): // a body shorter than the reset's mark is cut as well
		return nil, true
	case p.does(DoReplace):
		return p.action.answer(), false
	case p.does(DoStallAnswer):
		return a, p.hold() != nil
	case p.does(DoEdit) && a.file == nil:
		a.body = x.edited(a.body)
	}
	return a, false
}

// hold waits until the fault lets go. It fails when the client went away, which can be noticed only once the whole body was
// read, or when the simulator is closed.
func (p plan) hold() error {
	var expired <-chan time.Time
	if p.action.Duration > 0 {
		timer := time.NewTimer(p.action.Duration)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-p.released:
	case <-expired:
	case <-p.x.r.Context().Done():
		*p.cut = true
		return errReset
	}
	return nil
}

func (a Action) answer() *answer {
	out := text(a.Status, a.Body)
	trimmed := strings.TrimSpace(a.Body)
	switch {
	case strings.HasPrefix(trimmed, "{"):
		out.header.Set("Content-Type", "application/json; charset=utf-8")
	case strings.HasPrefix(trimmed, "<?xml"):
		out.header.Set("Content-Type", "application/xml")
	case strings.HasPrefix(trimmed, "<"):
		out.header.Set("Content-Type", "text/html; charset=utf-8")
	}
	for name, value := range a.Header {
		out.header.Set(name, value)
	}
	return out
}

// edited applies the edits of faults to a JSON answer; anything else stays as it is.
func (x *exchange) edited(body []byte) []byte {
	var value map[string]any
	if len(x.edits) == 0 || decodeJSON(body, &value) != nil {
		return body
	}
	for _, edit := range x.edits {
		for path, v := range edit.Set {
			setPath(value, strings.Split(path, "."), v)
		}
		for _, path := range edit.Drop {
			dropPath(value, strings.Split(path, "."))
		}
	}
	out, err := json.Marshal(value)
	if err != nil {
		return body
	}
	return out
}

func setPath(object map[string]any, path []string, value any) {
	for ; len(path) > 1; path = path[1:] {
		inner, ok := object[path[0]].(map[string]any)
		if !ok {
			inner = map[string]any{}
			object[path[0]] = inner
		}
		object = inner
	}
	object[path[0]] = value
}

func dropPath(object map[string]any, path []string) {
	for ; len(path) > 1; path = path[1:] {
		inner, ok := object[path[0]].(map[string]any)
		if !ok {
			return
		}
		object = inner
	}
	delete(object, path[0])
}

type readCloser struct {
	io.Reader
	io.Closer
}

// markReader does something once, when so many bytes have been read or the body ends before.
type markReader struct {
	r    io.Reader
	left int64
	at   func() error
}

func (m *markReader) Read(p []byte) (int, error) {
	if m.at == nil {
		return m.r.Read(p)
	}
	if m.left == 0 {
		return 0, m.reach()
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	if err == io.EOF {
		if reached := m.reach(); reached != nil {
			return n, reached
		}
	}
	return n, err
}

func (m *markReader) reach() error {
	at := m.at
	m.at = nil
	return at()
}

// burst is how many bytes a throttled connection may be ahead: small enough that a limit shows in tests with small files.
const burst = 16 << 10

func newLimiter(bytesPerSecond int64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
}

type throttledReader struct {
	r       io.Reader
	ctx     context.Context
	limiter *rate.Limiter
}

func (t *throttledReader) Read(p []byte) (int, error) {
	if len(p) > burst {
		p = p[:burst]
	}
	n, err := t.r.Read(p)
	if waitErr := t.limiter.WaitN(t.ctx, n); waitErr != nil && err == nil {
		err = waitErr
	}
	return n, err
}
