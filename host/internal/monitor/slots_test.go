package monitor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

// slotted gives rooms slots as a recorder would.
type slotted struct {
	mu    sync.Mutex
	limit int
	busy  []int64
	tries map[int64]int
}

func (s *slotted) start(streamer db.Streamer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries[streamer.ID]++
	if len(s.busy) >= s.limit {
		return ErrNoSlot
	}
	s.busy = append(s.busy, streamer.ID)
	return nil
}

func (s *slotted) active(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.busy, id)
}

func (s *slotted) recording() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.busy)
}

func (s *slotted) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := 0
	for _, n := range s.tries {
		all += n
	}
	return all
}

// end frees the slot of the room that has it longest.
func (s *slotted) end() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.busy[0]
	s.busy = s.busy[1:]
	return first
}

func (s *slotted) raise(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
}

// newSlotted is a harness whose rooms are all live, for a recorder with one slot.
func newSlotted(t *testing.T, rooms int) (*harness, *slotted) {
	t.Helper()
	h, s := newHarness(t, rooms), &slotted{limit: 1, tries: make(map[int64]int)}
	h.exec(`UPDATE configuration SET value = value || '{"download_limit": 1}'`)
	h.rooms.resolve = func(context.Context, string) (extractor.Status, error) { return broadcast, nil }
	h.rooms.start, h.rooms.active = s.start, s.active
	return h, s
}

func (h *harness) waiting() int {
	h.t.Helper()
	var n int
	err := h.db.Pool.QueryRow(h.t.Context(), "SELECT count(*) FROM streamers WHERE last_error LIKE '%waits%download_limit%'").Scan(&n)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestFreeSlotGoesToOneWaitingRoomAtOnce(t *testing.T) {
	t.Parallel()
	const rooms = 5
	h, s := newSlotted(t, rooms)
	m := h.start()
	h.until("all wait but one, and say so", func() bool { return h.waiting() == rooms-1 && s.recording() == 1 })
	for n := range rooms - 1 {
		ended := s.end()
		h.exec("UPDATE streamers SET paused = true WHERE id = $1", ended)
		m.Changed(ended) // the room that ended is not to take the slot again
		m.SlotFree()
		h.until("the next begins", func() bool { return s.recording() == 1 })
		h.until("and waits no more", func() bool { return h.waiting() == rooms-2-n })
	}
	// Each room was tried when it was found to be live and when a slot was free for it, and no other time.
	if n := s.tried(); n > 2*rooms {
		t.Errorf("%d tries to begin", n)
	}
}

func TestRaisedDownloadLimitStartsWaitingRoomsAtOnce(t *testing.T) {
	t.Parallel()
	h, s := newSlotted(t, 5)
	m := h.start()
	h.until("all wait but one", func() bool { return h.waiting() == 4 })
	s.raise(3)
	h.exec(`UPDATE configuration SET value = value || '{"download_limit": 3}'`)
	m.ConfigurationChanged()
	h.until("two more begin", func() bool { return s.recording() == 3 && h.waiting() == 2 })

	h.exec(`UPDATE configuration SET value = value || '{"download_limit": 1}'`)
	s.raise(1)
	m.ConfigurationChanged()
	h.exec("INSERT INTO streamers (url) VALUES ('http://room/last')")
	m.Changed(6)
	h.until("another room waits", func() bool { return h.waiting() == 3 })
	if n := s.recording(); n != 3 {
		t.Errorf("%d rooms are recorded after the limit was lowered, want the 3 that were", n)
	}
}

func TestSlotThatIsNotNeededGoesOn(t *testing.T) {
	t.Parallel()
	h, s := newSlotted(t, 4)
	var mu sync.Mutex
	free, polled := false, make(map[string]bool)
	h.rooms.resolve = func(_ context.Context, url string) (extractor.Status, error) {
		mu.Lock()
		defer mu.Unlock()
		if free {
			polled[url] = true
			if len(polled) < 3 { // of those that wait only the last one is still live, and nobody knows which that is
				return extractor.Offline, nil
			}
		}
		return broadcast, nil
	}
	m := h.start()
	h.until("all wait but one", func() bool { return h.waiting() == 3 })
	mu.Lock()
	free = true
	mu.Unlock()
	s.end()
	m.SlotFree()
	h.until("the last one begins", func() bool { return s.recording() == 1 })
	h.until("nobody waits", func() bool { return h.waiting() == 0 })
}

// A slot that becomes free while a room is being polled is not lost for that room.
func TestSlotThatBecomesFreeDuringAPoll(t *testing.T) {
	t.Parallel()
	h, s := newSlotted(t, 2)
	polling, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.rooms.resolve = func(_ context.Context, url string) (extractor.Status, error) {
		if url == "http://room/2" {
			once.Do(func() { close(polling); <-goOn })
		}
		return broadcast, nil
	}
	var m *Monitor
	freed := false
	h.rooms.start = func(streamer db.Streamer) error {
		err := s.start(streamer)
		if streamer.ID == 2 && errors.Is(err, ErrNoSlot) && !freed {
			freed = true
			s.end()
			m.SlotFree()
			h.until("taken", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.freed == 0 })
		}
		return err
	}
	m = h.start()
	h.until("the other is recorded", func() bool { return s.recording() == 1 })
	<-polling
	h.exec("UPDATE streamers SET paused = true WHERE id = 1")
	m.Changed(1)
	close(goOn)
	h.until("it begins", func() bool { return s.active(2) })
}

func TestSettingsOfAllRoomsAndOfOneReachTheExtractor(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	h.exec(`UPDATE streamers SET override = '{"x_qn": 1}'`)
	m := h.start()
	const url = "http://room/1"
	settings := func() string { h.rooms.mu.Lock(); defer h.rooms.mu.Unlock(); return h.rooms.settings }
	h.until("polled", func() bool { return h.rooms.times(url) == 1 })
	if got := settings(); got != `[{"event_loop_interval": 86400} {"x_qn": 1}]` {
		t.Errorf("settings: %s", got)
	}
	h.exec(`UPDATE configuration SET value = value || '{"x_wait": 2}'`)
	m.ConfigurationChanged()
	m.Changed(1)
	h.until("polled with the new ones", func() bool { return strings.Contains(settings(), `"x_wait": 2`) })
}

// A room that waits for a person gets another chance when a person changed the configuration.
func TestConfigurationThatPutsThingsRightTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	const url = "http://room/1"
	h.rooms.resolve = func(_ context.Context, polled string) (extractor.Status, error) {
		if polled == url {
			return extractor.Offline, &sdk.Error{Kind: sdk.LoginRequired, Message: "log in"}
		}
		return extractor.Offline, nil
	}
	m := h.start()
	h.until("shown", func() bool { return h.lastError(url) == "log in" })
	h.until("the other is polled", func() bool { return h.rooms.times("http://room/2") == 1 })
	m.ConfigurationChanged()
	h.exec(`UPDATE configuration SET value = value || '{"x_cookie": "a=b"}'`)
	m.ConfigurationChanged()
	h.until("polled again", func() bool { return h.rooms.times(url) == 2 })
	if n := h.rooms.times("http://room/2"); n != 1 {
		t.Errorf("a room in order was polled %d times", n)
	}
}
