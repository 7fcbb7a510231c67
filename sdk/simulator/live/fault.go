package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// FaultID names a fault that was added.
type FaultID int

// Fault is something that goes wrong: which connections it is for, where it strikes, and what it does. A connection on which
// its place is reached counts once.
type Fault struct {
	Match  Match
	At     At
	Action Action
	// Skip is how many such connections are spared first.
	Skip int
	// Times is how many are hit after that; 0: all, until the fault is removed.
	Times int
}

// Match says which connections a fault is for. A field that is not set matches everything.
type Match struct {
	// Request is the number of the request, from 1; requests that are answered with an error count too.
	Request int
	// Path is the whole path; with a * at the end, its beginning.
	Path string
}

func (m Match) matches(r *Request) bool {
	prefix, open := strings.CutSuffix(m.Path, "*")
	return (m.Request == 0 || m.Request == r.Number) &&
		(m.Path == "" || m.Path == r.Path || open && strings.HasPrefix(r.Path, prefix))
}

// At is the place where a fault strikes. All of it has to be reached; the zero value is in front of the first frame.
type At struct {
	// Tags is how many frames, video and audio, went over the connection before.
	Tags int
	// Keyframes is how many whole groups of pictures went over the connection before.
	Keyframes int
	// Media is the time since the beginning of the broadcast, whatever the connection.
	Media time.Duration
}

// AfterTags is the place behind n frames, video and audio, of a connection.
func AfterTags(n int) At { return At{Tags: n} }

// AfterKeyframes is the place in front of keyframe n+1 of a connection, behind n whole groups of pictures.
func AfterKeyframes(n int) At { return At{Keyframes: n} }

// AtMedia is the first frame at or behind a time of the broadcast.
func AtMedia(d time.Duration) At { return At{Media: d} }

// Do says what happens.
type Do string

// What can happen. The first three happen to the request, the others to the stream.
const (
	// DoAnswer gives Status, Header and Body instead of the stream.
	DoAnswer Do = "answer"
	// DoHang keeps the answer back until released or for Duration.
	DoHang Do = "hang"
	// DoRefuse resets the connection instead of answering.
	DoRefuse Do = "refuse"
	// DoClose ends the body properly, as at the end of a broadcast.
	DoClose Do = "close"
	// DoCut closes the TCP connection (FIN) without the mark that ends a chunked body.
	DoCut Do = "cut"
	// DoReset resets the TCP connection (RST) once everything sent has arrived.
	DoReset Do = "reset"
	// DoStall sends nothing until released or for Duration, and then all that was missed.
	DoStall Do = "stall"
	// DoDrip sends no more than Bytes a second from here on.
	DoDrip Do = "drip"
	// DoGarbage sends so many Bytes that are no tags, always the same ones, in front of the next tag.
	DoGarbage Do = "garbage"
	// DoDamage turns over so many Bytes in the codec's data of the next tag.
	DoDamage Do = "damage"
	// DoWrongSize says in the header of the next tag that its body is so many Bytes long.
	DoWrongSize Do = "wrong_size"
	// DoNoTrailers writes 0 for the size behind each tag from here on.
	DoNoTrailers Do = "no_trailers"
	// DoChangeHeader sends other parameter sets for the same frames: the level of the AVC stream is one step up.
	DoChangeHeader Do = "change_header"
	// DoRepeatHeaders sends metadata and parameter sets again.
	DoRepeatHeaders Do = "repeat_headers"
	// DoSwitch goes on with Clip from its first keyframe, at the next keyframe, on a clock that goes on: its parameter
	// sets, then its frames.
	DoSwitch Do = "switch"
	// DoJump adds Shift to the times of Track, or of all tags, from here on.
	DoJump Do = "jump"
	// DoRestart lets the clock begin at 0 again.
	DoRestart Do = "restart"
	// DoRepeatGOP sends the group of pictures before the next keyframe a second time, with the same times.
	DoRepeatGOP Do = "repeat_gop"
	// DoSkipGOP leaves out everything up to the next keyframe, or the next group of pictures if this is one.
	DoSkipGOP Do = "skip_gop"
)

// Action is what a fault does. Which of the other fields count depends on Do.
type Action struct {
	Do     Do
	Status int
	Header map[string]string
	Body   string

	// MidTag sends half of the next tag before the end.
	MidTag   bool
	Duration time.Duration
	Bytes    int
	Shift    time.Duration
	Track    Track
	Clip     *Clip
}

// asked reports whether it happens to the request, before there is a stream.
func (a Action) asked() bool { return a.Do == DoAnswer || a.Do == DoHang || a.Do == DoRefuse }

// atKeyframe reports whether it has to wait for a keyframe.
func (a Action) atKeyframe() bool { return a.Do == DoSwitch || a.Do == DoRepeatGOP }

func (a Action) validate() error {
	switch a.Do {
	case DoAnswer:
		if a.Status < 200 || a.Status > 999 {
			return fmt.Errorf("status %d is not the status of an answer", a.Status)
		}
	case DoDrip, DoGarbage, DoDamage:
		if a.Bytes < 1 {
			return fmt.Errorf("%s needs Bytes of at least 1", a.Do)
		}
	case DoWrongSize:
		if a.Bytes < 0 || a.Bytes > maxBody {
			return fmt.Errorf("a size of %d does not fit into 24 bits", a.Bytes)
		}
	case DoSwitch:
		if a.Clip == nil {
			return errors.New("switch needs a Clip")
		}
	case DoHang, DoRefuse, DoClose, DoCut, DoReset, DoStall, DoNoTrailers, DoChangeHeader, DoRepeatHeaders, DoJump, DoRestart,
		DoRepeatGOP, DoSkipGOP:
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
}

// strikes counts a connection on which the place is reached and reports whether the fault is for it.
func (r *rule) strikes() bool {
	r.seen++
	if r.seen <= r.Skip || r.Times > 0 && r.hits >= r.Times {
		return false
	}
	r.hits++
	return true
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
	ID FaultID
	Fault
	Hits int
}

// AddFault adds a fault behind those that exist. All that are due at the same place strike, in this order, until one of
// them ends the connection. It panics when the action is not valid, as that is a mistake in the test.
func (s *Server) AddFault(fault Fault) FaultID {
	if err := fault.Action.validate(); err != nil {
		panic(fmt.Sprintf("add fault: %v", err))
	}
	r := &rule{Fault: fault, released: make(chan struct{})}
	s.update(func() {
		s.lastFault++
		r.id = s.lastFault
		s.faults = append(s.faults, r)
	})
	return r.id
}

// RemoveFault takes a fault away and releases what it holds back.
func (s *Server) RemoveFault(id FaultID) {
	s.update(func() {
		s.faults = slices.DeleteFunc(s.faults, func(r *rule) bool {
			if r.id == id {
				r.release()
			}
			return r.id == id
		})
	})
}

// ReleaseFault lets go of the connections that a fault holds back, and of those to come.
func (s *Server) ReleaseFault(id FaultID) {
	s.update(func() {
		for _, r := range s.faults {
			if r.id == id {
				r.release()
			}
		}
	})
}

// Release lets go of everything that any fault holds back at this moment. What comes later is held again.
func (s *Server) Release() {
	s.update(func() {
		for _, r := range s.faults {
			r.release()
			r.released = make(chan struct{})
		}
	})
}

// Faults lists what was added and not removed, also faults that have struck as often as they may.
func (s *Server) Faults() []ActiveFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ActiveFault, 0, len(s.faults))
	for _, r := range s.faults {
		list = append(list, ActiveFault{ID: r.id, Fault: r.Fault, Hits: r.hits})
	}
	return list
}

// WaitFault blocks until a fault struck at least n times. One that holds back is holding then.
func (s *Server) WaitFault(ctx context.Context, id FaultID, n int) error {
	return s.wait(ctx, func() bool {
		return slices.ContainsFunc(s.faults, func(r *rule) bool { return r.id == id && r.hits >= n })
	})
}

// strike is a fault that is due now.
type strike struct {
	Action
	released <-chan struct{}
}

// due lists what strikes a request before its answer, or its stream in front of a tag.
func (s *Server) due(r *Request, reached func(*rule) bool) []strike {
	s.mu.Lock()
	defer s.mu.Unlock()
	var strikes []strike
	for _, f := range s.faults {
		if !f.Match.matches(r) || !reached(f) || !f.strikes() {
			continue
		}
		r.Faults = append(r.Faults, f.id)
		strikes = append(strikes, strike{Action: f.Action, released: f.released})
		s.options.Logger.Debug("fault strikes", "do", f.Action.Do, "fault", f.id, "request", r.Number)
	}
	if strikes != nil {
		s.announce()
	}
	return strikes
}
