package monitor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

// offlineBut answers a batch: all rooms are offline, and nothing is known of some.
func offlineBut(unknown ...string) func(context.Context, []string) ([]extractor.BatchAnswer, error) {
	return func(_ context.Context, urls []string) ([]extractor.BatchAnswer, error) {
		results := make([]extractor.BatchAnswer, len(urls))
		for i, url := range urls {
			results[i].Known = !slices.Contains(unknown, url)
		}
		return results, nil
	}
}

func (f *fakeRooms) inBatches() (rooms, batches int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, batch := range f.batches {
		rooms += len(batch)
	}
	return rooms, len(f.batches)
}

func (h *harness) logged(words string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Count(h.log.String(), words)
}

func TestThousandRoomsOfAPlatformAreAFewPolls(t *testing.T) {
	t.Parallel()
	const rooms = 1000
	h := newHarness(t, rooms)
	h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 3}'`)
	h.rooms.batch = offlineBut()
	h.start()
	h.until("all are polled more than once", func() bool { polled, _ := h.rooms.inBatches(); return polled >= 3*rooms })
	polled, batches := h.rooms.inBatches()
	t.Logf("%d batches for %d polls", batches, polled)
	if batches > polled/20 {
		t.Errorf("that is less than 20 rooms in each")
	}
	if rooms, _ := h.rooms.total(); rooms > 20 {
		t.Errorf("%d rooms were polled by themselves too", rooms)
	}
}

func TestRoomThatABatchDoesNotKnowIsPolledByItself(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 4)
	h.exec("INSERT INTO streamers (url) VALUES ('http://alone/5')")
	h.rooms.batch = offlineBut("http://room/2", "http://room/3")
	h.rooms.resolve = func(_ context.Context, url string) (extractor.Status, error) {
		switch url {
		case "http://room/2":
			return broadcast, nil
		case "http://room/3":
			return extractor.Offline, &sdk.Error{Kind: sdk.NotFound, Message: "no such room"}
		}
		return extractor.Offline, nil
	}
	h.start()
	h.until("recorded", func() bool {
		h.rooms.mu.Lock()
		defer h.rooms.mu.Unlock()
		return slices.Equal(h.rooms.started, []int64{2})
	})
	h.until("in trouble", func() bool { return h.lastError("http://room/3") == "no such room" })
	h.until("of another platform", func() bool { return h.rooms.times("http://alone/5") == 1 })
	if _, polls := h.rooms.total(); polls != 3 {
		t.Errorf("%d polls, want one about each room that is not offline", polls)
	}
	if polled, batches := h.rooms.inBatches(); polled != 4 || batches != 1 {
		t.Errorf("%d rooms in %d batches, want 4 in one", polled, batches)
	}
}

func TestRoomThatABatchToldIsRecordedWithoutAnotherPoll(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	h.rooms.batch = func(context.Context, []string) ([]extractor.BatchAnswer, error) {
		return []extractor.BatchAnswer{{Known: true}, {Known: true, Status: broadcast}}, nil
	}
	h.start()
	h.until("recorded", func() bool { h.rooms.mu.Lock(); defer h.rooms.mu.Unlock(); return len(h.rooms.started) == 1 })
	if rooms, _ := h.rooms.total(); rooms != 0 {
		t.Errorf("%d rooms were polled again", rooms)
	}
}

func TestBatchThatFailsLeavesRoomsToBePolledOneByOne(t *testing.T) {
	t.Parallel()
	for name, batch := range map[string]func(context.Context, []string) ([]extractor.BatchAnswer, error){
		"error": func(context.Context, []string) ([]extractor.BatchAnswer, error) { return nil, errors.New("broken") },
		"too few": func(context.Context, []string) ([]extractor.BatchAnswer, error) {
			return make([]extractor.BatchAnswer, 1), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, 3)
			h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 1}'`)
			h.rooms.batch = batch
			h.start()
			h.until("polled twice", func() bool {
				return h.rooms.times("http://room/1") > 1 && h.rooms.times("http://room/2") > 1 && h.rooms.times("http://room/3") > 1
			})
			if h.logged("polled in batches") != 1 {
				t.Errorf("logged %d times, want once", h.logged("polled in batches"))
			}
		})
	}
}

func TestPlatformThatIsRateLimitedIsNotPolledOneByOneInstead(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 3)
	var mu sync.Mutex
	banned := true
	h.rooms.batch = func(ctx context.Context, urls []string) ([]extractor.BatchAnswer, error) {
		mu.Lock()
		defer mu.Unlock()
		if banned {
			return nil, &sdk.Error{Kind: sdk.RateLimited, Message: "too often"}
		}
		return offlineBut()(ctx, urls)
	}
	m := h.start()
	h.until("all say so", func() bool {
		return h.lastError("http://room/1") == "too often" && h.lastError("http://room/2") == "too often" && h.lastError("http://room/3") == "too often"
	})
	h.until("logged", func() bool { return h.logged("the platform is rate limited") == 1 })
	if rooms, _ := h.rooms.total(); rooms != 0 || h.logged("level=WARN") != 1 {
		t.Errorf("%d rooms were polled by themselves; log: %s", rooms, h.log.String())
	}
	mu.Lock()
	banned = false
	mu.Unlock()
	for id := range int64(3) {
		m.Changed(id + 1)
	}
	h.until("the trouble is over", func() bool {
		return h.lastError("http://room/1")+h.lastError("http://room/2")+h.lastError("http://room/3") == ""
	})
}

// A batch cannot tell a title, nor end a recording, nor use a free slot.
func TestRoomsForWhichOfflineIsNoAnswerAreNotInABatch(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 5)
	h.exec(`UPDATE streamers SET excluded_keywords = '{rerun}' WHERE id = 1`)
	h.rooms.active = func(id int64) bool { return id == 1 }
	h.rooms.batch = offlineBut("http://room/2")
	h.rooms.resolve = func(context.Context, string) (extractor.Status, error) { return broadcast, nil }
	var mu sync.Mutex
	full := true
	h.rooms.start = func(db.Streamer) error {
		mu.Lock()
		defer mu.Unlock()
		if full {
			return ErrNoSlot
		}
		return nil
	}
	m := h.start()
	h.until("waits", func() bool { return h.waiting() == 1 })
	h.until("its title is looked at", func() bool { return h.rooms.times("http://room/1") == 1 })
	mu.Lock()
	full = false
	mu.Unlock()
	m.SlotFree()
	h.until("no longer waits", func() bool { return h.waiting() == 0 })
	if polled, batches := h.rooms.inBatches(); polled != 4 || batches != 1 {
		t.Errorf("%d rooms in %d batches, want 4 in one", polled, batches)
	}
	if n := h.rooms.times("http://room/2"); n != 2 {
		t.Errorf("the room that waited was polled %d times, want once when it was found and once for the slot", n)
	}
}

// A room that moves while a batch is under way is not recorded under its new address by what was told of the old one.
func TestRoomThatMovesDuringABatch(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	polling, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.rooms.batch = func(_ context.Context, urls []string) ([]extractor.BatchAnswer, error) {
		once.Do(func() { close(polling); <-goOn })
		return []extractor.BatchAnswer{{Known: true, Status: broadcast}, {Known: true}}, nil
	}
	m := h.start()
	<-polling
	h.exec("UPDATE streamers SET url = 'http://alone/1' WHERE url = $1", h.rooms.batches[0][0])
	h.exec("DELETE FROM streamers WHERE url = $1", h.rooms.batches[0][1])
	m.Changed(1)
	h.until("taken", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.wanted) == 0 })
	close(goOn)
	h.until("polled at its new address", func() bool { return h.rooms.times("http://alone/1") > 0 })
	if h.rooms.mu.Lock(); len(h.rooms.started) != 0 {
		t.Error("recorded by what was told of its old address")
	}
	h.rooms.mu.Unlock()
}

func TestStopCutsABatch(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 3)
	t.Cleanup(func() { // after the stop, which is registered later
		if h.logged("level=WARN") != 0 {
			t.Errorf("a stop was logged as a failure: %s", h.log.String())
		}
	})
	polling := make(chan struct{})
	h.rooms.batch = func(ctx context.Context, _ []string) ([]extractor.BatchAnswer, error) {
		close(polling)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	h.start()
	<-polling
}

// A platform that answers slowly, or whose batch failed, keeps nobody else waiting.
func TestSlowPlatformDoesNotKeepOthersWaiting(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 200)
	h.exec("INSERT INTO streamers (url) VALUES ('http://alone/201')")
	h.rooms.batch = func(context.Context, []string) ([]extractor.BatchAnswer, error) { return nil, errors.New("broken") }
	h.rooms.resolve = func(ctx context.Context, url string) (extractor.Status, error) {
		if strings.HasPrefix(url, "http://room/") {
			<-ctx.Done()
		}
		return extractor.Offline, ctx.Err()
	}
	m := h.start()
	h.until("the slow platform has its share", func() bool { rooms, _ := h.rooms.total(); return rooms >= maxPlatformPolls })
	for n := range 3 {
		m.Changed(201)
		h.until("the other one is polled", func() bool { return h.rooms.times("http://alone/201") > n })
	}
	if rooms, _ := h.rooms.total(); rooms != maxPlatformPolls+1 {
		t.Errorf("%d rooms are being polled, want %d and the other one", rooms, maxPlatformPolls)
	}
}

// A batch that fails once costs the polls of one interval: then the rest is polled together again.
func TestBatchIsTriedAgainAfterAnInterval(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 300)
	h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 2}'`)
	var mu sync.Mutex
	broken := true
	h.rooms.batch = func(ctx context.Context, urls []string) ([]extractor.BatchAnswer, error) {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			broken = false
			return nil, errors.New("broken")
		}
		return offlineBut()(ctx, urls)
	}
	release := make(chan struct{})
	h.rooms.resolve = func(ctx context.Context, _ string) (extractor.Status, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return extractor.Offline, ctx.Err()
	}
	h.start()
	h.until("polled one by one", func() bool { rooms, _ := h.rooms.total(); return rooms == maxPlatformPolls })
	<-time.After(2 * time.Second) // the interval, in which a batch is not tried again
	close(release)
	h.until("polled in batches", func() bool { _, batches := h.rooms.inBatches(); return batches >= 2 })
	h.until("all are polled", func() bool { polled, _ := h.rooms.inBatches(); return polled >= 2*300-3*maxPlatformPolls })
	if rooms, _ := h.rooms.total(); rooms > 3*maxPlatformPolls {
		t.Errorf("%d rooms were polled by themselves", rooms)
	}
}

// Rooms that are polled often do not hurry others beyond what these may be polled.
func TestRoomThatWasPolledJustNowDoesNotJoin(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	h.rooms.batch = offlineBut()
	m := h.start()
	h.until("polled", func() bool { polled, _ := h.rooms.inBatches(); return polled == 2 })
	began := time.Now()
	m.Poll(1) // its session ended at once: it is due in a few seconds
	h.until("taken", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.wanted) == 0 })
	for n := range 3 {
		m.Changed(2)
		h.until("the other is polled", func() bool { return h.rooms.times("http://room/2") > n })
	}
	if n := h.rooms.times("http://room/1"); n != 0 && time.Since(began) < shortest {
		t.Errorf("polled %d times at once", n)
	}
}
