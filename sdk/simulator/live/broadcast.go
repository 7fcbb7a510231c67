package live

import "time"

// GoLive begins a broadcast: the clip from its start. During one it does nothing.
func (s *Server) GoLive() {
	s.update(func() {
		if s.on() || s.ctx.Err() != nil {
			return
		}
		s.live, s.started, s.edge = true, time.Time{}, 0
		s.broadcast++
	})
}

// End ends the broadcast: bodies end properly, at a whole tag, and new requests get 404.
func (s *Server) End() {
	s.update(func() {
		s.live = false
		for _, v := range s.viewers {
			v.cancel(endError{Ended})
		}
	})
}

// Break cuts all open connections off, in the middle of a tag if one is on its way. The broadcast goes on.
func (s *Server) Break() {
	s.update(func() {
		for _, v := range s.viewers {
			v.cancel(endError{Broken})
			_ = v.control.SetWriteDeadline(time.Now())
		}
	})
}

// Live reports whether a request would get the stream.
func (s *Server) Live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on()
}

// The methods below are for callers that hold the lock.

// on reports whether the broadcast goes on. One that nobody watches comes to its end by the clock.
func (s *Server) on() bool {
	return s.live && (s.endless() || s.position() < s.options.Clip.duration)
}

// endless broadcasts are over when somebody says so.
func (s *Server) endless() bool { return s.options.Loop || s.options.FromStart }

// position is how much of the media's time is over. Unpaced there is no clock.
func (s *Server) position() time.Duration {
	if s.started.IsZero() || s.options.Speed == Unpaced {
		return 0
	}
	return time.Duration(float64(time.Since(s.started)) * s.options.Speed)
}

// join is the first tag for a connection that is opened now, and the beginning of the clock it follows.
func (s *Server) join() (seq int, started time.Time) {
	clip, first := s.options.Clip, s.started.IsZero()
	if first {
		s.started = time.Now()
	}
	if s.options.FromStart {
		return 0, time.Now()
	}
	if first {
		return clip.keys[0], s.started
	}
	next, sent := s.edge, clip.at(max(0, s.edge-1))
	if s.options.Speed != Unpaced {
		sent = s.position()
		next = clip.after(sent)
	}
	if s.options.GOPCache == 0 {
		return clip.keyFrom(next), s.started
	}
	// A track may reach beyond the end of the clip, into the time of its next lap, of which nothing was sent yet.
	return clip.keyUpTo(min(next, clip.after(max(0, sent-s.options.GOPCache))) - 1), s.started
}
