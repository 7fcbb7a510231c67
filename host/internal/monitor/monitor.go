// Package monitor decides which streamer's room to poll when, and reports the rooms that are live.
package monitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk/extractor"
)

const (
	// maxPolls bounds the polls under way at once, maxPlatformPolls those of one platform among them.
	maxPolls         = 32
	maxPlatformPolls = 16
	// pollTimeout bounds one poll.
	pollTimeout = 30 * time.Second
	// rereadInterval is how often the list of streamers is read again: another host may have changed it.
	rereadInterval = time.Minute
	// spread is the distance between the first polls after a start, so that a thousand rooms are not polled at once.
	spread = 20 * time.Millisecond
	// shortest is the least time between two polls about a room whose recordings end one after the other.
	shortest = 5 * time.Second
)

// Extractors asks a room's platform what is live. The settings are the global configuration and the room's override: the
// options and the login that the extractor takes are found there.
type Extractors interface {
	Resolve(ctx context.Context, purpose extractor.Purpose, url string, settings ...[]byte) (extractor.Status, error)
	// Platform names the extractor that takes a URL, and tells whether it can be asked about many rooms at once.
	Platform(url string) (name string, batches bool)
	// ResolveBatch asks one such extractor about rooms that it takes. What it does not tell is asked for by Resolve.
	ResolveBatch(ctx context.Context, global []byte, rooms []Room) ([]extractor.BatchAnswer, error)
}

// Room is what an extractor is told of one of many rooms.
type Room struct {
	URL      string
	Override []byte
}

// Recorder records live rooms.
type Recorder interface {
	Active(streamerID int64) bool
	// Fed tells whether media arrives of a room that is active.
	Fed(streamerID int64) bool
	// Start answers ErrNoSlot when as many rooms are recorded as may be at once.
	Start(ctx context.Context, streamer db.Streamer, status extractor.Status) error
	// Stop ends what is being recorded of the streamer, if anything, and keeps it.
	Stop(ctx context.Context, streamerID int64) error
}

// Options are what a Monitor needs.
type Options struct {
	DB         *db.DB
	Extractors Extractors
	Recorder   Recorder
	Logger     *slog.Logger
}

// Monitor polls rooms. All its state belongs to the goroutine of Run.
type Monitor struct {
	Options
	mu     sync.Mutex
	wanted map[int64]bool // rooms to poll at once; true: even if they were polled just now
	facts  map[int64]fact // the newest of each room
	names  map[int64]roomName
	reread bool
	freed  int // slots that became free
	wake   chan struct{}
}

// New prepares the monitor.
func New(options Options) *Monitor {
	return &Monitor{Options: options, wanted: make(map[int64]bool), facts: make(map[int64]fact), names: make(map[int64]roomName), wake: make(chan struct{}, 1)}
}

// Poll has a room polled at once, or a moment after its last poll: its session just ended, and it may be live again.
func (m *Monitor) Poll(streamerID int64) {
	m.mu.Lock()
	if _, waiting := m.wanted[streamerID]; !waiting {
		m.wanted[streamerID] = false
	}
	m.mu.Unlock()
	m.signal()
}

// Changed has the streamers read again, and the changed one polled at once.
func (m *Monitor) Changed(streamerID int64) {
	m.mu.Lock()
	m.reread, m.wanted[streamerID] = true, true
	m.mu.Unlock()
	m.signal()
}

// ConfigurationChanged has the intervals of all rooms read again.
func (m *Monitor) ConfigurationChanged() {
	m.mu.Lock()
	m.reread = true
	m.mu.Unlock()
	m.signal()
}

func (m *Monitor) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// watched is one room's place in the schedule.
type watched struct {
	streamer db.Streamer
	rules    rules
	interval time.Duration
	due      time.Time
	polled   time.Time // the last time
	platform *platform
	index    int // in the schedule of its platform; -1 while the room is being polled
	failures int // in a row
	broken   int // sessions in a row that failed without media
	trouble  reason.Reason
	fact     *fact // that nobody took notice of yet
	sayings
	changed time.Time // when somebody created it or changed it last
	again   bool      // asked for while a poll was under way
	gone    bool
	person  bool // a person has to act before the next result can be a better one
	slotWait
	batchState
}

// Run polls rooms until ctx ends and every poll is answered or cancelled.
func (m *Monitor) Run(ctx context.Context) error {
	s := &scheduler{
		Monitor: m, rooms: make(map[int64]*watched), platforms: make(map[string]*platform), outcomes: make(chan outcome, maxPolls),
	}
	defer s.polling.Wait()
	reread := time.NewTicker(rereadInterval)
	defer reread.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	s.read(ctx)
	for {
		timer.Reset(s.untilNext())
		select {
		case <-ctx.Done():
			return nil
		case <-reread.C:
			s.read(ctx)
		case <-m.wake:
			s.takeRequests(ctx)
		case outcome := <-s.outcomes:
			if ctx.Err() != nil {
				return nil // it was cut by the stop: that it failed tells nothing
			}
			s.takeOutcome(outcome)
		case <-timer.C:
		}
		s.pollDue(ctx)
	}
}

// scheduler is the state of one Run.
type scheduler struct {
	*Monitor
	rooms     map[int64]*watched
	platforms map[string]*platform
	busy      int
	polling   sync.WaitGroup
	outcomes  chan outcome
	global    []byte    // the configuration for all rooms, as it was read last
	limit     int       // download_limit in it; 0: not read yet
	freedAt   time.Time // when slots became free last
	// firsts are the first rooms of each name; nil: to be found out again.
	firsts map[roomName]*watched
}

// read takes over the list of streamers. When the database is away the list stays as it is.
func (s *scheduler) read(ctx context.Context) {
	streamers, err := s.DB.WatchedStreamers(ctx)
	if err != nil {
		s.complain(ctx, err)
		return
	}
	row, err := s.DB.RoomConfiguration(ctx, nil)
	if err != nil {
		s.complain(ctx, err)
		return
	}
	s.configured(row.Global)
	present := make(map[int64]bool, len(streamers))
	added := 0
	for _, streamer := range streamers {
		present[streamer.ID] = true
		configuration, err := settings.Layered(row.Global, streamer.Override)
		if err != nil {
			s.Logger.Error("a room's configuration cannot be used", "streamer", streamer.ID, "error", err)
			configuration = settings.DefaultConfiguration()
		}
		if s.put(streamer, configuration, time.Now().Add(time.Duration(added)*spread)) {
			added++
		}
	}
	for id, room := range s.rooms {
		if !present[id] {
			s.drop(id, room)
		}
	}
}

func (s *scheduler) complain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.Logger.Warn("streamers cannot be read, trying again", "error", err)
	}
}

// put adds a room or updates it, and tells whether it is new.
func (s *scheduler) put(streamer db.Streamer, configuration settings.Configuration, due time.Time) bool {
	interval, zone := configuration.PollInterval(), configuration.Zone()
	s.firsts = nil
	room, known := s.rooms[streamer.ID]
	if !known {
		room = &watched{streamer: streamer, interval: interval, due: due, trouble: written(streamer)}
		if !room.trouble.IsZero() && s.Recorder.Fed(streamer.ID) {
			room.fact = &fact{} // a host that died could not note it
		}
		s.follow(room, streamer, zone, false)
		s.rooms[streamer.ID] = room
		room.platform = s.platform(streamer.URL)
		room.enter()
		return true
	}
	if p := s.platform(streamer.URL); p != room.platform {
		room.move(p)
	}
	changed := s.follow(room, streamer, zone, true) || room.streamer.URL != streamer.URL || room.interval != interval
	room.streamer, room.interval = streamer, interval
	if latest := time.Now().Add(interval); room.index >= 0 && changed && room.due.After(latest) {
		room.due = latest
		room.reorder()
	}
	return false
}

func (s *scheduler) drop(id int64, room *watched) {
	delete(s.rooms, id)
	s.firsts = nil
	room.gone = true
	if room.index >= 0 {
		room.leave()
		s.passOn(room, result{})
	}
}

func (s *scheduler) takeRequests(ctx context.Context) {
	s.mu.Lock()
	wanted, facts, reread, freed := s.wanted, s.facts, s.reread, s.freed
	s.wanted, s.facts, s.reread, s.freed = make(map[int64]bool), make(map[int64]fact), false, 0
	s.mu.Unlock()
	if reread {
		s.read(ctx)
	}
	for id, known := range facts {
		s.takeFact(s.rooms[id], known)
	}
	s.callWaiting(freed)
	for id, atOnce := range wanted {
		room := s.rooms[id]
		if room != nil && atOnce {
			room.changed = time.Now()
		}
		switch {
		case room == nil:
		case room.index < 0:
			room.again = true
		default:
			room.due = room.soonest(time.Now(), atOnce)
			room.reorder()
		}
	}
}

// takeFact has a room's fact noted at once, or after the poll that is under way.
func (s *scheduler) takeFact(room *watched, known fact) {
	if room == nil {
		return
	}
	room.fact = &known
	if room.index >= 0 {
		room.due = time.Now()
		room.reorder()
	}
}

// soonest is when a room may be polled out of turn.
func (w *watched) soonest(now time.Time, atOnce bool) time.Time {
	if later := w.polled.Add(min(shortest, w.interval)); !atOnce && later.After(now) {
		return later
	}
	return now
}
