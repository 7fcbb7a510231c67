// Package record turns recorder sessions into committed segments.
//
// A recorder process outlives this one, so everything that must survive is in the database before anybody acts on it: a
// session's row before the recorder is asked to start, a segment's row (and the order to upload it) before the recorder
// may forget the event. A host that starts again reads its open sessions and watches on from the last committed event.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/recorder"
)

// Recorders gives access to running recorder processes.
type Recorders interface {
	// For is the process for a new session.
	For(ctx context.Context, wanted Wanted) (Process, error)
	// Instance is one certain process, also one that an earlier host launched. ErrGone when it is dead.
	Instance(ctx context.Context, plugin, instance string) (Process, error)
	// Of is a process of the named plugin, also of one that takes no new sessions. With a key it is one that only those rooms use
	// that name the same key. ErrUninstalled when there is no such plugin any more.
	Of(ctx context.Context, plugin, key string) (Process, error)
}

// Wanted is what a new session needs of a recorder.
type Wanted struct {
	// Name is that of the recorder; empty: the first that takes one of Containers, of which the empty one is not known.
	Name       string
	Containers []string
	// Key: only those rooms use the process that name the same; empty: it is everybody's.
	Key string
}

// Process is one pinned recorder process.
type Process interface {
	// Takes tells whether the recorder can read a container; an empty one is not known.
	Takes(container string) bool
	Plugin() string
	Instance() string
	// Options are those of the given settings, general ones first, that this recorder takes for one session; nil: none.
	Options(settings ...[]byte) json.RawMessage
	Start(ctx context.Context, request recorder.Request) error
	Watch(ctx context.Context, sessionID string, afterSeq int64, handle func(recorder.Event) error) error
	Acknowledge(ctx context.Context, sessionID string, seq int64) error
	Stop(ctx context.Context, sessionID string) error
	Refresh(ctx context.Context, sessionID string, streams []recorder.Stream) error
	Recover(ctx context.Context, pathPrefix string) ([]recorder.Segment, error)
	Release()
}

// ErrGone means that a recorder process is dead.
var ErrGone = errors.New("the recorder process is gone")

// ErrUninstalled means that the plugin of a session is not installed any more.
var ErrUninstalled = errors.New("the recorder is not installed any more")

// ErrNoSlot means that download_limit sessions are running.
var ErrNoSlot = errors.New("all recording slots are in use (download_limit)")

// Publisher is told, inside the transaction that commits it, what was recorded. Its segments say whether they are to be
// published.
type Publisher interface {
	SegmentClosed(ctx context.Context, tx pgx.Tx, segmentID int64) error
	RecordingEnded(ctx context.Context, tx pgx.Tx, recordingID int64) error
}

// Options are what a Service needs.
type Options struct {
	DB        *db.DB
	HostID    uuid.UUID
	Root      string // absolute: where recordings go
	Recorders Recorders
	// Extractors are asked again when the addresses of a running session are refused.
	Extractors Extractors
	Publisher  Publisher
	// Prepare is called before a session begins, with its slot taken; an error keeps it from beginning. nil: nothing is
	// to be prepared.
	Prepare func(ctx context.Context, streamer db.Streamer, status extractor.Status) error
	// SessionFed is called when it is committed that media arrives, SessionEnded after a session's end is: the room may be live
	// again at once, or something keeps it from being recorded.
	SessionFed   func(streamerID int64)
	SessionEnded func(streamerID int64, end End)
	// SlotFree is called when a session is over, however it ended, and another may begin; nil: nobody wants to know.
	SlotFree func()
	Logger   *slog.Logger
	// RetryAfter is the pause before the next try when the database or a plugin is away; 0: one second.
	RetryAfter time.Duration
	// SlowSettle is the pause between two looks at left files where only a person can change something; 0: an hour.
	SlowSettle time.Duration
	// RefreshPause is the least time between two answers to a session's requests for new addresses; 0: five seconds.
	RefreshPause time.Duration
	// Revive is what recordings that wait for their room get after a restart: time for every room to be polled once. 0: 30 s.
	Revive time.Duration
}

// Service owns the sessions of this host.
type Service struct {
	Options
	mu       sync.Mutex
	sessions map[uuid.UUID]*session
	suspects suspects
	// base ends with Run, and with it every follower.
	base     context.Context
	running  sync.WaitGroup
	deadline chan struct{} // the earliest resume_until may have changed
	leftover chan struct{} // a session left files
}

// session is one followed recorder session.
type session struct {
	id         uuid.UUID
	streamerID int64 // 0: the streamer was deleted
	plugin     string
	instance   string
	prefix     string
	started    chan struct{} // closed when the recorder was asked to start, with whatever answer
	done       chan struct{} // closed when the end is committed
	fed        atomic.Bool   // media arrived
	parked     error         // why events of it were set aside; only its follower looks at it
	end        *End          // how it ended, once that is known; only its follower looks at it
}

// End is how a session ended.
type End struct {
	Fed     bool  // media arrived
	Offline bool  // nothing could be opened
	Unasked bool  // nobody had said that the room is live
	Err     error // what it broke with, or what kept every stream from being opened; nil: nothing, or nothing is known
}

// ending remembers how a session ended.
func (f *session) ending(ended recorder.Ended, roomJSON []byte) {
	var known room
	_ = json.Unmarshal(roomJSON, &known) // a room that cannot be read was asked about
	f.end = &End{Fed: f.fed.Load(), Offline: ended.Reason == recorder.EndOffline, Unasked: known.Unasked}
	switch {
	case ended.Err != nil:
		f.end.Err = ended.Err
	case ended.Reason == recorder.EndFailed:
		f.end.Err = errors.New(ended.Message)
	case f.parked != nil:
		f.end.Err = f.parked
	}
}

// streamer is the room as rows name it; nil: it was deleted.
func (f *session) streamer() *int64 {
	if f.streamerID == 0 {
		return nil
	}
	return &f.streamerID
}

// about is the log for lines about one room, which whoever watches that room alone gets. A nil streamer was deleted.
func (s *Service) about(streamerID *int64) *slog.Logger {
	if streamerID == nil {
		return s.Logger
	}
	return s.Logger.With("streamer", *streamerID)
}

// New prepares the service.
func New(options Options) *Service {
	if options.RetryAfter == 0 {
		options.RetryAfter = time.Second
	}
	if options.SlowSettle == 0 {
		options.SlowSettle = slowSettle
	}
	if options.Revive == 0 {
		options.Revive = 30 * time.Second
	}
	if options.RefreshPause == 0 {
		options.RefreshPause = refreshPause
	}
	return &Service{Options: options, sessions: make(map[uuid.UUID]*session), deadline: make(chan struct{}, 1), leftover: make(chan struct{}, 1)}
}

// Run follows the sessions that an earlier host left, ends recordings that nothing joins any more, and returns when ctx
// ended and no goroutine of the service is left. Recorder sessions themselves go on.
//
// ready is called once sessions can be started.
func (s *Service) Run(ctx context.Context, ready func()) error {
	base, cancel := context.WithCancel(ctx)
	defer s.running.Wait()
	defer s.close()
	defer cancel()
	var open []db.RecorderSession
	err := s.DB.Outlast(ctx, "open sessions", func(ctx context.Context) (err error) {
		if open, err = s.DB.OpenSessions(ctx, s.HostID); err != nil {
			return fmt.Errorf("read open sessions: %w", err)
		}
		return s.reviveWaiting(ctx)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.base = base
	for _, row := range open {
		followed := sessionOf(row)
		s.sessions[followed.id] = followed
		s.running.Go(func() { s.run(base, followed) })
	}
	s.mu.Unlock()
	if len(open) > 0 {
		s.Logger.Info("sessions of recorders are resumed", "sessions", len(open))
	}
	s.running.Go(func() { s.settleAll(base) })
	ready()
	return s.endExpired(ctx)
}

// close lets no new session begin. It comes before the wait for the running ones.
func (s *Service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = nil
}

func sessionOf(row db.RecorderSession) *session {
	followed := &session{
		id: row.ID, plugin: row.Plugin, instance: row.Instance, prefix: row.PathPrefix, started: make(chan struct{}), done: make(chan struct{}),
	}
	followed.fed.Store(row.RecordingID != nil)
	close(followed.started)
	if row.StreamerID != nil {
		followed.streamerID = *row.StreamerID
	}
	return followed
}

// Active tells whether a session of the streamer is running.
func (s *Service) Active(streamerID int64) bool { return s.find(streamerID) != nil }

// Fed tells whether media arrives in a session of the streamer.
func (s *Service) Fed(streamerID int64) bool {
	found := s.find(streamerID)
	return found != nil && found.fed.Load()
}

func (s *Service) find(streamerID int64) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findLocked(streamerID)
}

func (s *Service) findLocked(streamerID int64) *session {
	for _, candidate := range s.sessions {
		if candidate.streamerID == streamerID {
			return candidate
		}
	}
	return nil
}

// room is what a session's row remembers of the room and the broadcast. Whether it becomes a recording of its own or
// part of a waiting one is decided when the first media arrives.
type room struct {
	URL          string    `json:"url"`
	Remark       string    `json:"remark"`
	TemplateName *string   `json:"template_name"`
	Title        string    `json:"title"`
	Streamer     string    `json:"streamer"`
	CoverURL     string    `json:"cover_url"`
	Category     string    `json:"category"`
	StartedAt    time.Time `json:"started_at"`
	// Unasked: nobody said that the room is live, because its address is itself the stream.
	Unasked bool `json:"unasked,omitempty"`
	// BroadcastID names the broadcast; empty: nobody tells.
	BroadcastID string `json:"broadcast_id,omitempty"`
	// Prefix is that of the session as its recorder knows it. The row's follows the data directory when that is moved.
	Prefix string `json:"prefix,omitempty"`
}

// errUnwanted means that the streamer was paused, deleted or given another URL meanwhile.
var errUnwanted = errors.New("the streamer is not to be recorded any more")

// Start begins a session for a live room. It returns once the recorder has taken the order; whether anything is being
// sent shows later.
func (s *Service) Start(ctx context.Context, streamer db.Streamer, status extractor.Status) error {
	global, err := s.configuration(ctx, s.DB.Queries, nil)
	if err != nil {
		return err
	}
	process, err := s.processFor(ctx, streamer, status)
	if err != nil {
		return fmt.Errorf("start recorder: %w", err)
	}
	defer process.Release()
	followed, base, err := s.claim(global.DownloadLimit, streamer.ID, process)
	if followed == nil {
		return err
	}
	if s.Prepare != nil {
		err = s.Prepare(ctx, streamer, status)
	}
	if err != nil {
		close(followed.started)
		s.forget(followed)
		s.running.Done()
		return err
	}
	err = s.begin(ctx, process, streamer, status, followed)
	close(followed.started)
	if errors.Is(err, errUnwanted) {
		s.forget(followed)
		s.running.Done()
		return nil
	}
	// After an error the row may be committed, and the recorder may have taken the order, all the same: following the
	// session finds out, and leaves nothing behind if not.
	go func() {
		defer s.running.Done()
		s.run(base, followed)
	}()
	return err
}

// begin commits the session's row, and then asks the recorder to start it.
func (s *Service) begin(ctx context.Context, process Process, streamer db.Streamer, status extractor.Status, followed *session) error {
	settings, err := s.DB.RoomConfiguration(ctx, &streamer.ID)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	request, err := s.insert(ctx, streamer, status, followed)
	if err != nil {
		return err
	}
	request.Options = process.Options(settings.Global, settings.Override)
	request.Streams = taken(process, request.Streams)
	if err := process.Start(ctx, request); err != nil {
		return fmt.Errorf("the recorder did not confirm the session: %w", err)
	}
	return nil
}

// claim takes a slot and makes the session known, so that Stop finds it from the first moment on. The session is nil
// when there is none to begin; otherwise its follower is counted in running.
func (s *Service) claim(limit int, streamerID int64, process Process) (*session, context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.base == nil || s.base.Err() != nil:
		return nil, nil, context.Canceled
	case s.findLocked(streamerID) != nil:
		return nil, nil, nil
	case len(s.sessions) >= limit:
		return nil, nil, ErrNoSlot
	}
	claimed := &session{
		id: uuid.New(), streamerID: streamerID, plugin: process.Plugin(), instance: process.Instance(),
		started: make(chan struct{}), done: make(chan struct{}),
	}
	s.sessions[claimed.id] = claimed
	s.running.Add(1)
	return claimed, s.base, nil
}

func (s *Service) forget(followed *session) {
	s.mu.Lock()
	delete(s.sessions, followed.id)
	close(followed.done)
	alone := s.aloneLocked(followed)
	s.mu.Unlock()
	if alone && !followed.fed.Load() {
		s.removeEmpty(filepath.Dir(followed.prefix))
	}
	if s.SlotFree != nil {
		s.SlotFree()
	}
}

// insert commits the session's row, unless the streamer changed since the room was asked.
func (s *Service) insert(ctx context.Context, streamer db.Streamer, status extractor.Status, followed *session) (recorder.Request, error) {
	now := time.Now()
	known := room{
		URL: streamer.URL, Remark: streamer.Remark, TemplateName: streamer.TemplateName, Title: db.Text(status.Title),
		Streamer: db.Text(status.Streamer), CoverURL: db.Text(status.CoverURL), Category: db.Text(status.Category), StartedAt: now,
		Unasked: status.Unasked, BroadcastID: db.Text(status.BroadcastID),
	}
	remembered, err := json.Marshal(known)
	if err != nil {
		return recorder.Request{}, fmt.Errorf("encode room: %w", err)
	}
	index, err := s.DB.NextSegmentIndex(ctx, streamer.ID)
	if err != nil {
		return recorder.Request{}, fmt.Errorf("number segments: %w", err)
	}
	configuration, err := s.configuration(ctx, s.DB.Queries, &streamer.ID)
	if err != nil {
		return recorder.Request{}, err
	}
	template := configuration.FilenamePrefix
	if streamer.FilenamePrefix != nil {
		template = *streamer.FilenamePrefix
	}
	modes := configuration.Modes()
	prefix, wanted, err := s.insertNamed(ctx, db.InsertSessionParams{
		ID: followed.id, StreamerID: streamer.ID, URL: streamer.URL, HostID: s.HostID, Plugin: followed.plugin,
		Instance: followed.instance, FirstIndex: index, Room: remembered,
	}, s.prefixes(template, known, now.In(configuration.Zone())), modes.Folder)
	s.mu.Lock()
	followed.prefix = prefix
	s.mu.Unlock()
	switch {
	case err != nil:
		return recorder.Request{}, err
	case !wanted:
		return recorder.Request{}, errUnwanted
	}
	return recorder.Request{
		SessionID: followed.id.String(), Streams: status.Streams, PathPrefix: followed.prefix, FirstIndex: int(index),
		SplitDuration: configuration.SplitTime(streamer.SplitTime), SplitSize: configuration.SplitSize(streamer.SplitSize), FileMode: modes.File,
	}, nil
}

// Stop ends the streamer's session, if there is one, with everything received in its files. It returns when the end is
// committed, or with ctx's error while the recorder is still at it: then the end is committed later.
func (s *Service) Stop(ctx context.Context, streamerID int64) error {
	followed := s.find(streamerID)
	if followed == nil {
		s.wakeEnd()
		return nil
	}
	select {
	case <-followed.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.order(ctx, followed); err != nil {
		return fmt.Errorf("stop recording: %w", err)
	}
	select {
	case <-followed.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// order asks the recorder to end a session. That it is dead is no error: the follower finds out by itself.
func (s *Service) order(ctx context.Context, followed *session) error {
	process, err := s.Recorders.Instance(ctx, followed.plugin, followed.instance)
	if err == nil {
		defer process.Release()
		err = process.Stop(ctx, followed.id.String())
	}
	if err != nil && !gone(err) {
		return err
	}
	return nil
}
