package monitor

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
)

// ErrNoSlot means that a live room waits: as many rooms are recorded as may be at once.
var ErrNoSlot = reason.New(reason.RoomNoSlot).Err()

// slotWait is a room's place in the queue for a recording slot.
type slotWait struct {
	waits  time.Time // since when the room is live and waits; zero: it does not
	called bool      // a slot became free for it: whatever it does not use goes on to the next
}

// calledOrWaits tells whether the room was live when it was polled last.
func (s *slotWait) calledOrWaits() bool { return s.called || !s.waits.IsZero() }

// SlotFree has the room polled at once that has waited longest for a recording slot.
func (m *Monitor) SlotFree() {
	m.mu.Lock()
	m.freed++
	m.mu.Unlock()
	m.signal()
}

// configured takes over the configuration for all rooms: more slots let waiting rooms start at once, and rooms that
// wait for a person get another chance when a person changed something.
func (s *scheduler) configured(global []byte) {
	if s.limit > 0 && bytes.Equal(s.global, global) {
		return
	}
	before := s.limit
	s.global, s.limit = global, settings.DefaultConfiguration().DownloadLimit
	if configuration, err := settings.Layered(global); err == nil {
		s.limit = configuration.DownloadLimit
	}
	if before == 0 {
		return
	}
	s.callWaiting(s.limit - before)
	now := time.Now()
	for _, room := range s.rooms {
		if room.person && room.index >= 0 && room.due.After(now) {
			room.due = now
			room.reorder()
		}
	}
}

// callWaiting has up to n rooms polled at once that wait for a slot, the longest wait first. Asking all of them for one slot
// would only annoy their platforms.
func (s *scheduler) callWaiting(n int) {
	if n <= 0 {
		return
	}
	now := time.Now()
	s.freedAt = now
	var waiting []*watched
	for _, room := range s.rooms {
		if !room.waits.IsZero() && !room.called && room.index >= 0 {
			waiting = append(waiting, room)
		}
	}
	slices.SortFunc(waiting, func(a, b *watched) int { return a.waits.Compare(b.waits) })
	for _, room := range waiting[:min(n, len(waiting))] {
		room.called = true
		if room.due.After(now) {
			room.due = now
			room.reorder()
		}
	}
}

// noteWait notes whether a room waits for a slot or for a person.
func (s *scheduler) noteWait(room *watched, given result, now time.Time) {
	room.person = needsPerson(given.err)
	if errors.Is(given.err, ErrNoSlot) {
		if room.waits.IsZero() {
			room.waits = now
		}
		room.called = false // somebody else was faster; the end of that recording calls again
		room.again = room.again || s.freedAt.After(room.polled)
		return
	}
	room.waits = time.Time{}
	s.passOn(room, given)
}

// passOn calls the next room when the one that was called does not need its slot any more.
func (s *scheduler) passOn(room *watched, given result) {
	if room.called && !given.started && !errors.Is(given.err, ErrNoSlot) {
		s.callWaiting(1)
	}
	room.called = false
}
