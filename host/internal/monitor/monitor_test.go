package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

// fakeRooms answers polls and takes orders to record, by functions.
type fakeRooms struct {
	resolve func(ctx context.Context, url string) (extractor.Status, error)
	start   func(streamer db.Streamer) error                                          // nil: fine
	active  func(id int64) bool                                                       // nil: no
	fed     func(id int64) bool                                                       // nil: no
	stop    func(id int64) error                                                      // nil: fine
	batch   func(ctx context.Context, urls []string) ([]extractor.BatchAnswer, error) // nil: one by one only

	mu       sync.Mutex
	polled   map[string]int
	purposes []extractor.Purpose
	started  []int64
	settings string // of the last poll
	batches  [][]string
}

func (f *fakeRooms) Resolve(ctx context.Context, purpose extractor.Purpose, url string, settings ...[]byte) (extractor.Status, error) {
	f.mu.Lock()
	f.polled[url]++
	f.settings = fmt.Sprintf("%s", settings)
	f.purposes = append(f.purposes, purpose)
	f.mu.Unlock()
	return f.resolve(ctx, url)
}

func (f *fakeRooms) lastPurpose() extractor.Purpose {
	all := f.allPurposes()
	return all[len(all)-1]
}

func (f *fakeRooms) allPurposes() []extractor.Purpose {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.purposes)
}

func (f *fakeRooms) begun() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.started)
}

func (f *fakeRooms) Platform(url string) (name string, batches bool) {
	if strings.HasPrefix(url, "http://alone/") {
		return "alone", false
	}
	return "platform", f.batch != nil
}

func (f *fakeRooms) ResolveBatch(ctx context.Context, global []byte, rooms []Room) ([]extractor.BatchAnswer, error) {
	var urls []string
	for _, room := range rooms {
		urls = append(urls, room.URL)
	}
	f.mu.Lock()
	f.batches = append(f.batches, urls)
	f.settings = fmt.Sprintf("%s %s", global, rooms[0].Override)
	f.mu.Unlock()
	return f.batch(ctx, urls)
}

func (f *fakeRooms) Fed(id int64) bool { return f.fed != nil && f.fed(id) }

func (f *fakeRooms) Active(id int64) bool { return f.active != nil && f.active(id) }

func (f *fakeRooms) Start(_ context.Context, streamer db.Streamer, _ extractor.Status) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, streamer.ID)
	if f.start != nil {
		return f.start(streamer)
	}
	return nil
}

func (f *fakeRooms) Stop(_ context.Context, id int64) error {
	if f.stop != nil {
		return f.stop(id)
	}
	return nil
}

func (f *fakeRooms) times(url string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.polled[url]
}

func (f *fakeRooms) total() (rooms, polls int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.polled {
		polls += n
	}
	return len(f.polled), polls
}

type harness struct {
	t     *testing.T
	db    *db.DB
	rooms *fakeRooms

	mu  sync.Mutex
	log bytes.Buffer
}

// newHarness makes rooms that are polled once a day, so that any other poll has a reason of its own.
func newHarness(t *testing.T, rooms int) *harness {
	t.Helper()
	h := &harness{t: t, db: dbtest.New(t)}
	h.rooms = &fakeRooms{polled: make(map[string]int), resolve: func(context.Context, string) (extractor.Status, error) { return extractor.Offline, nil }}
	h.exec(`INSERT INTO configuration (value) VALUES ('{"event_loop_interval": 86400}')`)
	h.exec("INSERT INTO streamers (url) SELECT 'http://room/' || n FROM generate_series(1, $1::int) n", rooms)
	return h
}

func (h *harness) exec(statement string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Pool.Exec(h.t.Context(), statement, args...); err != nil {
		h.t.Fatalf("%s: %v", statement, err)
	}
}

func (h *harness) lastError(url string) string {
	h.t.Helper()
	var text string
	if err := h.db.Pool.QueryRow(h.t.Context(), "SELECT last_error FROM streamers WHERE url = $1", url).Scan(&text); err != nil {
		h.t.Fatal(err)
	}
	return text
}

func (h *harness) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(text)
}

func (h *harness) start() *Monitor {
	h.t.Helper()
	m := New(Options{DB: h.db, Extractors: h.rooms, Recorder: h.rooms, Logger: slog.New(slog.NewTextHandler(h, nil))})
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("run: %v", err)
		}
	})
	return m
}

func (h *harness) until(what string, condition func() bool) {
	h.t.Helper()
	hosttest.Until(h.t, what, condition, func() string { return "" })
}

var broadcast = extractor.Status{State: extractor.StateLive, Streams: []extractor.Stream{{URL: "http://cdn/1.flv"}}}

func TestLiveRoomIsRecordedAndOfflineOneIsNot(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	h.rooms.resolve = func(_ context.Context, url string) (extractor.Status, error) {
		if url == "http://room/2" {
			return broadcast, nil
		}
		return extractor.Offline, nil
	}
	h.start()
	h.until("both polled", func() bool { rooms, _ := h.rooms.total(); return rooms == 2 })
	h.until("recorded", func() bool { h.rooms.mu.Lock(); defer h.rooms.mu.Unlock(); return len(h.rooms.started) == 1 })
	if h.rooms.started[0] != 2 {
		t.Errorf("streamer %d is recorded", h.rooms.started[0])
	}
}

func TestErrorIsNeverOfflineAndIsShownUntilItIsOver(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	const url = "http://room/1"
	var mu sync.Mutex
	cause := error(&sdk.Error{Kind: sdk.Bug, Message: "odd answer\x00\xff"})
	h.rooms.resolve = func(context.Context, string) (extractor.Status, error) {
		mu.Lock()
		defer mu.Unlock()
		return extractor.Offline, cause
	}
	m := h.start()
	h.until("shown", func() bool { return strings.HasPrefix(h.lastError(url), "odd answer") })
	mu.Lock()
	cause = nil
	mu.Unlock()
	m.Changed(1)
	h.until("cleared", func() bool { return h.lastError(url) == "" })
	if len(h.rooms.started) != 0 {
		t.Error("a room that is not live was recorded")
	}
}

func TestTroubleOfTheRecorderIsShown(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	h.rooms.resolve = func(_ context.Context, url string) (extractor.Status, error) {
		if url == "http://room/1" {
			return extractor.Status{State: extractor.StateLive}, nil
		}
		return broadcast, nil
	}
	h.rooms.start = func(db.Streamer) error { return errors.New("no slot") }
	h.start()
	h.until("no stream", func() bool { return strings.Contains(h.lastError("http://room/1"), "no stream") })
	h.until("no slot", func() bool { return strings.Contains(h.lastError("http://room/2"), "no slot") })
}

func TestActiveRoomsAreNotPolled(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	h.rooms.active = func(id int64) bool { return id == 1 }
	m := h.start()
	m.Changed(1)
	h.until("the other is polled", func() bool { return h.rooms.times("http://room/2") == 1 })
	m.Changed(2)
	h.until("the other is polled again", func() bool { return h.rooms.times("http://room/2") == 2 })
	if n := h.rooms.times("http://room/1"); n != 0 {
		t.Errorf("a room that is being recorded was polled %d times", n)
	}
}

func TestRequestDuringAPollIsAnsweredAfterIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	polling, goOn := make(chan struct{}, 10), make(chan struct{})
	h.rooms.resolve = func(context.Context, string) (extractor.Status, error) {
		polling <- struct{}{}
		<-goOn
		return extractor.Offline, nil
	}
	m := h.start()
	<-polling
	m.Poll(1)
	h.until("taken", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.wanted) == 0 })
	if n := h.rooms.times("http://room/1"); n != 1 {
		t.Errorf("%d polls at once", n)
	}
	close(goOn)
	<-polling
}

func TestEndlessEndsDoNotBecomeAnEndlessLoop(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	m := h.start()
	h.until("polled", func() bool { return h.rooms.times("http://room/1") == 1 })
	m.Poll(1) // its session ended at once
	h.until("taken", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.wanted) == 0 })
	now := time.Now()
	room := &watched{polled: now, interval: 30 * time.Second}
	if soonest := room.soonest(time.Now(), false); soonest.Before(now.Add(shortest)) {
		t.Errorf("polled again %v after the last question", soonest.Sub(now))
	}
	if soonest := room.soonest(time.Now(), true); soonest.After(time.Now()) {
		t.Error("a change by a person waits")
	}
	room.polled = now.Add(-time.Hour)
	if soonest := room.soonest(time.Now(), false); soonest.After(time.Now()) {
		t.Error("a room whose long session ended waits")
	}
}

func TestAddedChangedAndDroppedRooms(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	m := h.start()
	h.until("polled", func() bool { return h.rooms.times("http://room/1") == 1 })

	h.exec("INSERT INTO streamers (url) VALUES ('http://room/new')")
	m.Changed(2)
	h.until("a new room", func() bool { return h.rooms.times("http://room/new") == 1 })

	h.exec("UPDATE streamers SET url = 'http://room/moved' WHERE id = 1")
	m.Changed(1)
	h.until("another URL", func() bool { return h.rooms.times("http://room/moved") == 1 })

	h.exec("UPDATE streamers SET paused = true WHERE id = 1")
	m.Changed(1)
	h.exec("DELETE FROM streamers WHERE id = 2")
	m.Changed(2)
	h.exec("INSERT INTO streamers (url) VALUES ('http://room/last')")
	m.Changed(3) // requests are taken in order: the others are gone by now
	h.until("a last room", func() bool { return h.rooms.times("http://room/last") >= 1 })
	for _, url := range []string{"http://room/1", "http://room/moved", "http://room/new"} {
		if n := h.rooms.times(url); n != 1 {
			t.Errorf("%s was polled %d times: once too often after it was paused, deleted or moved", url, n)
		}
	}
}

func TestRoomDroppedWhileItIsPolled(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	polling, goOn := make(chan struct{}), make(chan struct{})
	h.rooms.resolve = func(_ context.Context, url string) (extractor.Status, error) {
		if url == "http://room/1" {
			close(polling)
			<-goOn
		}
		return extractor.Offline, nil
	}
	m := h.start()
	<-polling
	h.exec("DELETE FROM streamers WHERE id = 1")
	m.Changed(1)
	m.Changed(2)
	h.until("read again", func() bool { return h.rooms.times("http://room/2") >= 1 })
	close(goOn)
	before := h.rooms.times("http://room/2")
	m.Changed(2)
	h.until("goes on", func() bool { return h.rooms.times("http://room/2") > before })
	if n := h.rooms.times("http://room/1"); n != 1 {
		t.Errorf("a deleted room was polled %d times", n)
	}
}

func TestShorterIntervalTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	m := h.start()
	h.until("polled", func() bool { return h.rooms.times("http://room/1") == 1 })
	h.exec(`UPDATE configuration SET value = '{"event_loop_interval": 1}'`)
	m.ConfigurationChanged()
	h.until("polled by the new interval", func() bool { return h.rooms.times("http://room/1") >= 2 })
}

func TestUnusableOverrideDoesNotKeepARoomFromBeingAsked(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	h.exec(`UPDATE streamers SET override = '{"delay": "x"}'`)
	h.start()
	h.until("polled", func() bool { return h.rooms.times("http://room/1") == 1 })
}

func TestDatabaseAwayKeepsTheList(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	m := h.start()
	h.until("polled", func() bool { return h.rooms.times("http://room/1") == 1 })
	h.exec("ALTER TABLE streamers RENAME TO away")
	m.Changed(1)
	h.until("polled all the same", func() bool { return h.rooms.times("http://room/1") == 2 })
	h.exec("ALTER TABLE away RENAME TO streamers")
	m.Changed(1)
	h.until("polled again", func() bool { return h.rooms.times("http://room/1") == 3 })
}

func TestThousandRoomsArePolledAFewAtATime(t *testing.T) {
	t.Parallel()
	const rooms = 1000
	h := newHarness(t, rooms)
	var mu sync.Mutex
	now, most := 0, 0
	h.rooms.resolve = func(context.Context, string) (extractor.Status, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		defer func() { mu.Lock(); now--; mu.Unlock() }()
		return extractor.Offline, nil
	}
	m := h.start()
	h.until("read", func() bool { rooms, _ := h.rooms.total(); return rooms > 0 })
	for id := range rooms {
		m.Changed(int64(id + 1)) // all at once, instead of one after the other
	}
	h.until("all polled", func() bool { polled, _ := h.rooms.total(); return polled == rooms })
	mu.Lock()
	defer mu.Unlock()
	if most > maxPlatformPolls {
		t.Errorf("%d polls at once, want at most %d of one platform", most, maxPlatformPolls)
	}
}

func TestStopCutsPolls(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	polling := make(chan struct{})
	h.rooms.resolve = func(ctx context.Context, _ string) (extractor.Status, error) {
		close(polling)
		<-ctx.Done()
		return extractor.Offline, ctx.Err()
	}
	h.start()
	<-polling
	t.Cleanup(func() {
		// After the stop: a cut poll is no trouble of the room.
		var text string
		if err := h.db.Pool.QueryRow(context.Background(), "SELECT last_error FROM streamers").Scan(&text); err == nil && text != "" {
			t.Errorf("last_error = %q", text)
		}
	})
}
