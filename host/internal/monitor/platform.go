package monitor

import (
	"container/heap"
	"context"
	"time"
)

// platform is the rooms of one extractor. It has a share of the polls only: one that answers slowly does not keep the
// rooms of the others waiting.
type platform struct {
	name     string
	batches  bool
	schedule schedule
	busy     int // polls under way
	// single is until when rooms are polled one by one, after failed batches in a row could not tell.
	single time.Time
	failed int
}

// platform returns the one of a URL as the plugins are now.
func (s *scheduler) platform(url string) *platform {
	name, batches := s.Extractors.Platform(url)
	known := s.platforms[name]
	if known == nil {
		known = &platform{name: name}
		s.platforms[name] = known
	}
	known.batches = batches
	return known
}

// next is the room that is due next; nil when there is none, or no share of the polls is left.
func (p *platform) next() *watched {
	if len(p.schedule) == 0 || p.busy >= maxPlatformPolls {
		return nil
	}
	return p.schedule[0]
}

// next is the room of all platforms that is due next.
func (s *scheduler) next() *watched {
	var first *watched
	if s.busy >= maxPolls {
		return nil
	}
	for _, platform := range s.platforms {
		if room := platform.next(); room != nil && (first == nil || room.due.Before(first.due)) {
			first = room
		}
	}
	return first
}

func (s *scheduler) untilNext() time.Duration {
	if room := s.next(); room != nil {
		return time.Until(room.due)
	}
	return rereadInterval
}

// pollDue starts the polls that are due, as many as may run at once.
func (s *scheduler) pollDue(ctx context.Context) {
	now := time.Now()
	for room := s.next(); room != nil && !room.due.After(now); room = s.next() {
		room.leave()
		if poll, needed := s.prepare(room, now); needed {
			s.start(ctx, s.withOthers(poll, now))
		}
	}
}

// enter puts a room into the schedule of its platform.
func (w *watched) enter() { heap.Push(&w.platform.schedule, w) }

// leave takes a room out of it.
func (w *watched) leave() { heap.Remove(&w.platform.schedule, w.index) }

// reorder is for a room in it that is due at another time now.
func (w *watched) reorder() { heap.Fix(&w.platform.schedule, w.index) }

// move takes a room to another platform, because it has another URL or the plugins are others.
func (w *watched) move(p *platform) {
	scheduled := w.index >= 0
	if scheduled {
		w.leave()
	}
	if w.platform = p; scheduled {
		w.enter()
	}
}
