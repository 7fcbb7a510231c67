package monitor

import (
	"container/heap"
	"context"
	"time"
)

// platform is the rooms of one extractor. It has a share of the questions only: one that answers slowly does not keep the
// rooms of the others waiting.
type platform struct {
	name     string
	batches  bool
	schedule schedule
	busy     int // questions under way
	// single is until when rooms are asked one by one, after failed batches in a row could not tell.
	single time.Time
	failed int
}

// platform returns the one of a URL as the plugins are now.
func (r *round) platform(url string) *platform {
	name, batches := r.Extractors.Platform(url)
	known := r.platforms[name]
	if known == nil {
		known = &platform{name: name}
		r.platforms[name] = known
	}
	known.batches = batches
	return known
}

// next is the room that is due next; nil when there is none, or no share of the questions is left.
func (p *platform) next() *watched {
	if len(p.schedule) == 0 || p.busy >= maxShare {
		return nil
	}
	return p.schedule[0]
}

// next is the room of all platforms that is due next.
func (r *round) next() *watched {
	var first *watched
	if r.busy >= maxAsking {
		return nil
	}
	for _, platform := range r.platforms {
		if room := platform.next(); room != nil && (first == nil || room.due.Before(first.due)) {
			first = room
		}
	}
	return first
}

func (r *round) untilNext() time.Duration {
	if room := r.next(); room != nil {
		return time.Until(room.due)
	}
	return rereadInterval
}

// askDue starts the questions that are due, as many as may run at once.
func (r *round) askDue(ctx context.Context) {
	now := time.Now()
	for room := r.next(); room != nil && !room.due.After(now); room = r.next() {
		room.leave()
		if question, needed := r.prepare(room, now); needed {
			r.start(ctx, r.withOthers(question, now))
		}
	}
}

// enter puts a room into the schedule of its platform.
func (w *watched) enter() { heap.Push(&w.home.schedule, w) }

// leave takes a room out of it.
func (w *watched) leave() { heap.Remove(&w.home.schedule, w.place) }

// reorder is for a room in it that is due at another time now.
func (w *watched) reorder() { heap.Fix(&w.home.schedule, w.place) }

// move takes a room to another platform, because it has another URL or the plugins are others.
func (w *watched) move(home *platform) {
	scheduled := w.place >= 0
	if scheduled {
		w.leave()
	}
	if w.home = home; scheduled {
		w.enter()
	}
}
