// Package monitor decides which streamer's room to ask when, and reports the rooms that are live.
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
	// maxAsking bounds the questions under way at once, maxShare those of one platform among them.
	maxAsking = 32
	maxShare  = 16
	// askTimeout bounds one question.
	askTimeout = 30 * time.Second
	// rereadInterval is how often the list of streamers is read again: another host may have changed it.
	rereadInterval = time.Minute
	// spread is the distance between the first questions after a start, so that a thousand rooms are not asked at once.
	spread = 20 * time.Millisecond
	// shortest is the least time between two questions about a room whose recordings end one after the other.
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

// Monitor asks rooms. All its state belongs to the goroutine of Run.
type Monitor struct {
	Options
	mu     sync.Mutex
	wanted map[int64]bool // rooms to ask at once; true: even if they were asked just now
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

// Ask has a room asked at once, or a moment after its last question: its session just ended, and it may be live again.
func (m *Monitor) Ask(streamerID int64) {
	m.mu.Lock()
	if _, waiting := m.wanted[streamerID]; !waiting {
		m.wanted[streamerID] = false
	}
	m.mu.Unlock()
	m.signal()
}

// Changed has the streamers read again, and the changed one asked at once.
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
	asked    time.Time // the last time
	home     *platform
	place    int // in the schedule of home; -1 while the room is being asked
	failures int // in a row
	broken   int // sessions in a row that failed without media
	trouble  reason.Reason
	fact     *fact // that nobody took notice of yet
	sayings
	again  bool // asked for while a question was under way
	gone   bool
	person bool // a person has to act before the next answer can be a better one
	slotWait
	batchState
}

// Run asks rooms until ctx ends and every question is answered or cancelled.
func (m *Monitor) Run(ctx context.Context) error {
	round := &round{
		Monitor: m, rooms: make(map[int64]*watched), platforms: make(map[string]*platform), replies: make(chan reply, maxAsking),
	}
	defer round.asking.Wait()
	reread := time.NewTicker(rereadInterval)
	defer reread.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	round.read(ctx)
	for {
		timer.Reset(round.untilNext())
		select {
		case <-ctx.Done():
			return nil
		case <-reread.C:
			round.read(ctx)
		case <-m.wake:
			round.takeWishes(ctx)
		case reply := <-round.replies:
			if ctx.Err() != nil {
				return nil // it was cut by the stop: that it failed tells nothing
			}
			round.takeReply(reply)
		case <-timer.C:
		}
		round.askDue(ctx)
	}
}

// round is the state of one Run.
type round struct {
	*Monitor
	rooms     map[int64]*watched
	platforms map[string]*platform
	busy      int
	asking    sync.WaitGroup
	replies   chan reply
	global    []byte    // the configuration for all rooms, as it was read last
	limit     int       // download_limit in it; 0: not read yet
	freedAt   time.Time // when slots became free last
}

// read takes over the list of streamers. When the database is away the list stays as it is.
func (r *round) read(ctx context.Context) {
	streamers, err := r.DB.WatchedStreamers(ctx)
	if err != nil {
		r.complain(ctx, err)
		return
	}
	row, err := r.DB.RoomConfiguration(ctx, nil)
	if err != nil {
		r.complain(ctx, err)
		return
	}
	r.configured(row.Global)
	present := make(map[int64]bool, len(streamers))
	added := 0
	for _, streamer := range streamers {
		present[streamer.ID] = true
		configuration, err := settings.Layered(row.Global, streamer.Override)
		if err != nil {
			r.Logger.Error("a room's configuration cannot be used", "streamer", streamer.ID, "error", err)
			configuration = settings.DefaultConfiguration()
		}
		if r.put(streamer, configuration, time.Now().Add(time.Duration(added)*spread)) {
			added++
		}
	}
	for id, room := range r.rooms {
		if !present[id] {
			r.drop(id, room)
		}
	}
}

func (r *round) complain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		r.Logger.Warn("streamers cannot be read, trying again", "error", err)
	}
}

// put adds a room or updates it, and tells whether it is new.
func (r *round) put(streamer db.Streamer, configuration settings.Configuration, due time.Time) bool {
	interval, zone := configuration.PollInterval(), configuration.Zone()
	room, known := r.rooms[streamer.ID]
	if !known {
		room = &watched{streamer: streamer, interval: interval, due: due, trouble: written(streamer)}
		if !room.trouble.IsZero() && r.Recorder.Fed(streamer.ID) {
			room.fact = &fact{} // a host that died could not note it
		}
		r.follow(room, streamer, zone, false)
		r.rooms[streamer.ID] = room
		room.home = r.platform(streamer.URL)
		room.enter()
		return true
	}
	if home := r.platform(streamer.URL); home != room.home {
		room.move(home)
	}
	changed := r.follow(room, streamer, zone, true) || room.streamer.URL != streamer.URL || room.interval != interval
	room.streamer, room.interval = streamer, interval
	if latest := time.Now().Add(interval); room.place >= 0 && changed && room.due.After(latest) {
		room.due = latest
		room.reorder()
	}
	return false
}

func (r *round) drop(id int64, room *watched) {
	delete(r.rooms, id)
	room.gone = true
	if room.place >= 0 {
		room.leave()
		r.passOn(room, answer{})
	}
}

func (r *round) takeWishes(ctx context.Context) {
	r.mu.Lock()
	wanted, facts, reread, freed := r.wanted, r.facts, r.reread, r.freed
	r.wanted, r.facts, r.reread, r.freed = make(map[int64]bool), make(map[int64]fact), false, 0
	r.mu.Unlock()
	if reread {
		r.read(ctx)
	}
	for id, told := range facts {
		r.takeFact(r.rooms[id], told)
	}
	r.callWaiting(freed)
	for id, atOnce := range wanted {
		room := r.rooms[id]
		switch {
		case room == nil:
		case room.place < 0:
			room.again = true
		default:
			room.due = room.soonest(time.Now(), atOnce)
			room.reorder()
		}
	}
}

// takeFact has a room's fact noted at once, or after the question that is under way.
func (r *round) takeFact(room *watched, told fact) {
	if room == nil {
		return
	}
	room.fact = &told
	if room.place >= 0 {
		room.due = time.Now()
		room.reorder()
	}
}

// soonest is when a room may be asked out of turn.
func (w *watched) soonest(now time.Time, atOnce bool) time.Time {
	if later := w.asked.Add(min(shortest, w.interval)); !atOnce && later.After(now) {
		return later
	}
	return now
}
