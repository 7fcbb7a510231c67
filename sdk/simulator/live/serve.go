package live

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// ServeHTTP answers a request with the stream, or with what is wrong.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	entry, ok := s.logRequest(r)
	if !ok {
		http.Error(w, "the simulator is closed", http.StatusServiceUnavailable)
		return
	}
	defer s.handling.Done()
	switch {
	case r.Method != http.MethodGet:
		s.violate(entry, RuleMethod, "a live stream is read with GET")
		w.Header().Set("Allow", http.MethodGet)
		s.answer(w, entry, http.StatusMethodNotAllowed, "")
		return
	case len(s.options.Paths) > 0 && !slices.Contains(s.options.Paths, r.URL.Path):
		s.answer(w, entry, http.StatusNotFound, "")
		return
	case r.Header.Get("Range") != "":
		s.violate(entry, RuleRange, fmt.Sprintf("a live stream has no byte range %q", r.Header.Get("Range")))
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	control := http.NewResponseController(w)
	defer context.AfterFunc(s.ctx, func() {
		cancel(endError{Shutdown})
		_ = control.SetWriteDeadline(time.Now().Add(closeGrace))
	})()
	if s.replaced(ctx, w, entry) {
		return
	}
	v := &viewer{server: s, w: w, control: control, ctx: ctx, cancel: cancel, request: entry}
	if !s.admit(v) {
		s.answer(w, entry, http.StatusNotFound, "nobody is live\n")
		return
	}
	v.serve()
}

// replaced applies the faults that take the place of an answer, and reports whether one did.
func (s *Server) replaced(ctx context.Context, w http.ResponseWriter, entry *Request) bool {
	for _, fault := range s.due(entry, func(r *rule) bool { return r.Action.asked() }) {
		switch fault.Do {
		case DoHang:
			if hold(ctx, fault) != nil {
				return true
			}
		case DoRefuse:
			sever(w, true)
			return true
		default:
			for name, value := range fault.Header {
				w.Header().Set(name, value)
			}
			s.answer(w, entry, fault.Status, fault.Body)
			return true
		}
	}
	return false
}

func (s *Server) answer(w http.ResponseWriter, entry *Request, status int, body string) {
	s.update(func() { entry.Status = status })
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	if body == "" {
		body = http.StatusText(status) + "\n"
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// hold waits as long as a fault holds back.
func hold(ctx context.Context, fault strike) error {
	var over <-chan time.Time
	if fault.Duration > 0 {
		timer := time.NewTimer(fault.Duration)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-fault.released:
	case <-over:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// overlapGrace is how long a connection that was closed by its client may take to be noticed, before the next one counts
// as one too many.
const overlapGrace = 2 * time.Second

// admit opens a connection and decides where it begins. False: nobody is live.
func (s *Server) admit(v *viewer) bool {
	grace, cancel := context.WithTimeout(v.ctx, overlapGrace)
	defer cancel()
	for {
		s.mu.Lock()
		if !s.on() {
			s.mu.Unlock()
			return false
		}
		open, changed := len(s.viewers), s.changed
		crowded := s.options.Clients >= 0 && open >= s.options.Clients
		if !crowded || grace.Err() != nil {
			if crowded && v.ctx.Err() == nil {
				s.violateLocked(v.request, RuleConnections, fmt.Sprintf("%d connections are open already, for %d expected clients", open, s.options.Clients))
			}
			s.open(v)
			s.mu.Unlock()
			return true
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-grace.Done():
		}
	}
}

// open is for callers that hold the lock.
func (s *Server) open(v *viewer) {
	s.accepted++
	v.request.Status, v.request.Connection = http.StatusOK, s.accepted
	v.record = &Connection{
		Number: s.accepted, Request: v.request.Number, Path: v.request.Path, Started: time.Now(), Open: true,
	}
	v.clip, v.broadcast = s.options.Clip, s.broadcast
	v.seq, v.started = s.join()
	s.connections = append(s.connections, v.record)
	s.viewers[v.record] = v
	s.announce()
}
