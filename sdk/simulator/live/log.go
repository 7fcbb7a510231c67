package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Rule names what a request got wrong.
type Rule string

// The rules. None of them is about what real servers refuse; all of them are about what clients should not do.
const (
	RuleMethod      Rule = "method"      // another one than GET
	RuleRange       Rule = "range"       // part of a stream that has no beginning
	RuleConnections Rule = "connections" // more at a time than there are clients
)

// Violation is one thing that a client should not have done.
type Violation struct {
	Rule    Rule
	Detail  string
	Time    time.Time
	Request int // its number
	Method  string
	Path    string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s (request %d: %s %s)", v.Rule, v.Detail, v.Request, v.Method, v.Path)
}

// Request is one logged request.
type Request struct {
	Number int // from 1
	Time   time.Time
	Method string
	Host   string
	Path   string
	Query  url.Values
	Header http.Header
	Remote string
	// Status of the answer; 0 as long as there is none.
	Status int
	// Connection is the number of the connection that came out of it; 0: none.
	Connection int
	// Faults lists the faults that struck.
	Faults []FaultID
}

// Sent is one tag that was sent.
type Sent struct {
	Track Track
	// Config is set for metadata and parameter sets; all others are frames.
	Config bool
	Key    bool
	// Timestamp is the one written into the tag, in milliseconds, Media the frame's place in the broadcast.
	Timestamp uint32
	Media     time.Duration
	// Hash is the SHA-256 of the codec's bytes, in hexadecimal, as ffprobe -show_packets -show_data_hash sha256 prints it.
	Hash string
	// Size is that of the tag's body; Offset is where the tag begins in the body of the answer.
	Size   int
	Offset int64
	// Whole is false for a tag that was cut, or whose size is wrong.
	Whole bool

	place place
}

// place identifies a frame among those of all connections.
type place struct {
	broadcast int
	media     time.Duration
	seq       int
	clip      *Clip
}

// Connection is a request that got the stream.
type Connection struct {
	Number  int // from 1
	Request int // number of the request
	Path    string
	Started time.Time
	// Open is true while the stream is being sent; Ending says why that ended.
	Open   bool
	Ending Ending
	// Bytes of the body that were sent, Frames and Keyframes that were sent whole.
	Bytes     int64
	Frames    int
	Keyframes int
	// Tags are those sent, in order. Forgotten counts those that were sent before and are not remembered any more.
	Tags      []Sent
	Forgotten int
}

func (s *Server) logRequest(r *http.Request) (*Request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, false
	}
	s.handling.Add(1)
	s.lastRequest++
	entry := &Request{
		Number: s.lastRequest, Time: time.Now(), Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.Query(),
		Header: r.Header.Clone(), Remote: r.RemoteAddr,
	}
	s.requests = append(s.requests, entry)
	if keep := s.options.RequestLog; len(s.requests) > keep {
		s.requests = slices.Clone(s.requests[len(s.requests)-(keep+1)/2:])
		s.connections = slices.DeleteFunc(s.connections, func(c *Connection) bool {
			old := !c.Open && c.Request < s.requests[0].Number
			if old {
				s.logged -= len(c.Tags)
			}
			return old
		})
	}
	s.announce()
	return entry, true
}

func (s *Server) violate(r *Request, rule Rule, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violateLocked(r, rule, detail)
}

func (s *Server) violateLocked(r *Request, rule Rule, detail string) {
	v := Violation{Rule: rule, Detail: detail, Time: time.Now(), Request: r.Number, Method: r.Method, Path: r.Path}
	s.options.Logger.Warn("the client should not do this", "rule", v.Rule, "detail", v.Detail, "request", v.Request)
	if len(s.violations) < s.options.RequestLog {
		s.violations = append(s.violations, v)
	}
	s.announce()
}

// note remembers a tag that was sent.
func (v *viewer) note(t *tag, seq int, sent Sent) {
	sent.Track, sent.Config, sent.Key = t.track, t.config, t.key
	sent.Timestamp, sent.Media = v.stamp(t.track, seq), v.at(seq)
	sent.place = place{broadcast: v.broadcast, media: sent.Media, seq: seq, clip: v.clip}
	s := v.server
	s.update(func() {
		v.record.Tags = append(v.record.Tags, sent)
		s.logged++
		s.forget()
		if sent.Config || !sent.Whole {
			return
		}
		s.frames++
		v.record.Frames++
		if sent.Key {
			v.record.Keyframes++
		}
		if v.broadcast != s.broadcast {
			return
		}
		edge := seq + 1
		if v.clip != s.options.Clip {
			edge = s.options.Clip.after(sent.Media)
		}
		s.edge = max(s.edge, edge)
	})
}

// forget keeps the number of remembered tags within its limit: the oldest go first. Slices that were handed out stay as
// they are.
func (s *Server) forget() {
	for _, c := range s.connections {
		if s.logged <= s.options.TagLog {
			return
		}
		drop := len(c.Tags)
		if c.Open {
			drop = (drop + 1) / 2
		}
		c.Tags = slices.Clone(c.Tags[drop:])
		c.Forgotten += drop
		s.logged -= drop
	}
}

// Requests lists the logged requests in the order they came in.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Request, len(s.requests))
	for i, r := range s.requests {
		list[i] = *r
		list[i].Faults = slices.Clone(r.Faults)
	}
	return list
}

// Connections lists the connections in the order they were opened.
func (s *Server) Connections() []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Connection, len(s.connections))
	for i, c := range s.connections {
		list[i] = *c // tags are only ever appended: the part seen here stays as it is
		list[i].Tags = slices.Clip(c.Tags)
	}
	return list
}

// Violations lists what clients should not have done so far.
func (s *Server) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// RequireNoViolations fails a test for everything that its client should not have done.
func (s *Server) RequireNoViolations(t TB) {
	t.Helper()
	for _, v := range s.Violations() {
		t.Errorf("the client does what it should not do to a live stream: %v", v)
	}
}

// Hashes lists the hashes of the whole frames of a track, in the order they were sent.
func Hashes(tags []Sent, track Track) []string {
	var hashes []string
	for _, t := range tags {
		if t.Track == track && !t.Config && t.Whole {
			hashes = append(hashes, t.Hash)
		}
	}
	return hashes
}

// Expected lists the hashes of a track that a client without loss has recorded: every frame that was sent whole on any
// connection, once, in the order of the broadcasts.
func (s *Server) Expected(track Track) []string {
	seen := map[place]bool{}
	var frames []Sent
	for _, c := range s.Connections() {
		for _, t := range c.Tags {
			if t.Track == track && !t.Config && t.Whole && !seen[t.place] {
				seen[t.place] = true
				frames = append(frames, t)
			}
		}
	}
	slices.SortStableFunc(frames, func(a, b Sent) int {
		order := cmp.Or(cmp.Compare(a.place.broadcast, b.place.broadcast), cmp.Compare(a.place.media, b.place.media))
		if order == 0 && a.place.clip == b.place.clip {
			return cmp.Compare(a.place.seq, b.place.seq)
		}
		return order
	})
	return Hashes(frames, track)
}

var errClosed = errors.New("it was closed")

// wait blocks until a condition holds that is looked at under the lock after every change.
func (s *Server) wait(ctx context.Context, condition func() bool) error {
	for {
		s.mu.Lock()
		done, changed := condition(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the simulated live stream: %w", context.Cause(ctx))
		case <-s.ctx.Done():
			return fmt.Errorf("wait for the simulated live stream: %w", errClosed)
		}
	}
}

// Wait blocks until the connections fulfil a condition. It is looked at after every change, without a lock, so it may call any
// method.
func (s *Server) Wait(ctx context.Context, condition func([]Connection) bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if condition(s.Connections()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the simulated live stream: %w", context.Cause(ctx))
		case <-s.ctx.Done():
			return fmt.Errorf("wait for the simulated live stream: %w", errClosed)
		}
	}
}

// WaitRequests blocks until n requests came in.
func (s *Server) WaitRequests(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.lastRequest >= n })
}

// WaitConnections blocks until n connections were opened.
func (s *Server) WaitConnections(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.accepted >= n })
}

// WaitEnded blocks until n connections ended.
func (s *Server) WaitEnded(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.ended >= n })
}

// WaitFrames blocks until n frames were sent whole, over whatever connections.
func (s *Server) WaitFrames(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.frames >= n })
}
