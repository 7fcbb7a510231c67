package bilibili

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

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
