package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
	"github.com/lubod/lubod/sdk/recorder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

// fakeProcess is a recorder process that outlives the services of a test. Its sessions do what the test emits.
type fakeProcess struct {
	instance string
	start    func(recorder.Request) error // nil: fine
	stop     func(id string) error        // nil: the session ends
	recover  func(prefix string) ([]recorder.Segment, error)
	// acknowledge hears of each acknowledgement before it counts; nil: nobody does.
	acknowledge func(id string, seq int64)

	mu       sync.Mutex
	changed  chan struct{}
	dead     bool
	sessions map[string]*fakeSession
	order    []string
	stops    int
	// refreshed are the addresses of all sessions that were handed over.
	refreshed [][]recorder.Stream
}

type fakeSession struct {
	request recorder.Request
	events  []recorder.Event // kept until acknowledged
	seq     int64
	acked   int64
	noAcks  bool
}

func newProcess(instance string) *fakeProcess {
	return &fakeProcess{instance: instance, changed: make(chan struct{}), sessions: make(map[string]*fakeSession)}
}

func (p *fakeProcess) Plugin() string   { return "recorder-fake" }
func (p *fakeProcess) Instance() string { return p.instance }
func (p *fakeProcess) Release()         {}

func (p *fakeProcess) Takes(container string) bool { return container != "strange" }

func (p *fakeProcess) Options(settings ...[]byte) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"layers":[%s]}`, bytes.Join(settings, []byte(","))))
}

// change is for callers that hold the lock.
func (p *fakeProcess) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *fakeProcess) Start(_ context.Context, request recorder.Request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.start != nil {
		if err := p.start(request); err != nil {
			return err
		}
	}
	p.take(request)
	return nil
}

func (p *fakeProcess) take(request recorder.Request) {
	p.sessions[request.SessionID] = &fakeSession{request: request}
	p.order = append(p.order, request.SessionID)
	p.change()
}

func (p *fakeProcess) Watch(ctx context.Context, id string, after int64, handle func(recorder.Event) error) error {
	for {
		p.mu.Lock()
		session, changed, dead := p.sessions[id], p.changed, p.dead
		var next []recorder.Event
		if session != nil {
			for _, event := range session.events {
				if event.Seq > after {
					next = append(next, event)
				}
			}
		}
		p.mu.Unlock()
		switch {
		case dead:
			return ErrGone
		case session == nil:
			return sdk.Errorf(sdk.NotFound, "no session %s", id)
		}
		for _, event := range next {
			if err := handle(event); err != nil {
				return err
			}
			after = event.Seq
		}
		if len(next) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (p *fakeProcess) Acknowledge(_ context.Context, id string, seq int64) error {
	if p.acknowledge != nil {
		p.acknowledge(id, seq)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	session := p.sessions[id]
	if session == nil || session.noAcks {
		return errors.New("the acknowledgement was lost")
	}
	session.acked = seq
	return nil
}

func (p *fakeProcess) Stop(_ context.Context, id string) error {
	p.mu.Lock()
	p.stops++
	stop, known := p.stop, p.sessions[id] != nil
	p.mu.Unlock()
	if stop != nil {
		if err := stop(id); err != nil {
			return err
		}
	}
	if !known {
		return sdk.Errorf(sdk.NotFound, "no session %s", id)
	}
	p.emit(id, recorder.Ended{Reason: recorder.EndStopped})
	return nil
}

func (p *fakeProcess) Refresh(_ context.Context, id string, streams []recorder.Stream) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions[id] == nil {
		return sdk.Errorf(sdk.NotFound, "no session %s", id)
	}
	p.refreshed = append(p.refreshed, streams)
	p.change()
	return nil
}

func (p *fakeProcess) refreshes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.refreshed)
}

func (p *fakeProcess) Recover(_ context.Context, prefix string) ([]recorder.Segment, error) {
	if p.recover == nil {
		return nil, sdk.Errorf(sdk.Unsupported, "this recorder cannot recover")
	}
	return p.recover(prefix)
}

// emit adds events to a session.
func (p *fakeProcess) emit(id string, payloads ...recorder.Payload) {
	p.mu.Lock()
	defer p.mu.Unlock()
	session := p.sessions[id]
	for _, payload := range payloads {
		session.seq++
		session.events = append(session.events, recorder.Event{Seq: session.seq, At: time.Now(), Payload: payload})
	}
	p.change()
}

func (p *fakeProcess) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	p.change()
}

// fakeRecorders knows some processes; the last one that lives is current.
type fakeRecorders struct {
	processes []*fakeProcess
	wanted    []Wanted
	// alone makes a process for a key; nil: everybody shares one.
	alone func(plugin, key string) (*fakeProcess, error)
}

func (f *fakeRecorders) Of(ctx context.Context, plugin, key string) (Process, error) {
	if f.alone != nil {
		return f.alone(plugin, key)
	}
	return f.Current(ctx)
}

func (f *fakeRecorders) For(ctx context.Context, wanted Wanted) (Process, error) {
	f.wanted = append(f.wanted, wanted)
	if wanted.Key != "" {
		return f.Of(ctx, wanted.Name, wanted.Key)
	}
	return f.Current(ctx)
}

func (f *fakeRecorders) Current(context.Context) (Process, error) {
	for i := len(f.processes) - 1; i >= 0; i-- {
		if p := f.processes[i]; !p.isDead() {
			return p, nil
		}
	}
	return nil, errors.New("no recorder is running")
}

func (p *fakeProcess) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (f *fakeRecorders) Instance(_ context.Context, _, instance string) (Process, error) {
	for _, p := range f.processes {
		if p.instance == instance && !p.isDead() {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrGone, instance)
}

// fakePublisher hears what there is to publish; an error of its functions rolls the transaction back.
type fakePublisher struct {
	closed, ended func(id int64) error // nil: fine
	mu            sync.Mutex
	segments      []int64
	recordings    []int64
}

func (f *fakePublisher) SegmentClosed(_ context.Context, _ pgx.Tx, id int64) error {
	return f.hear(&f.segments, f.closed, id)
}

func (f *fakePublisher) RecordingEnded(_ context.Context, _ pgx.Tx, id int64) error {
	return f.hear(&f.recordings, f.ended, id)
}

func (f *fakePublisher) hear(list *[]int64, decide func(int64) error, id int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if decide != nil {
		if err := decide(id); err != nil {
			return err
		}
	}
	*list = append(*list, id)
	return nil
}

func (f *fakePublisher) ordered() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.segments)
}

// harness is one database with one room, and what outlives a host.
type harness struct {
	t         *testing.T
	db        *db.DB
	host      uuid.UUID
	root      string
	process   *fakeProcess
	recorders *fakeRecorders
	publisher *fakePublisher
	rooms     fakeExtractors
	asked     chan int64 // SessionEnded, of sessions that were fed
	ends      chan End   // SessionEnded
	fed       chan int64 // SessionFed
	streamer  db.Streamer

	refreshPause time.Duration

	mu  sync.Mutex
	log bytes.Buffer
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	process := newProcess("first")
	h := &harness{
		t: t, db: dbtest.New(t), host: uuid.New(), root: t.TempDir(), process: process,
		recorders: &fakeRecorders{processes: []*fakeProcess{process}}, publisher: &fakePublisher{}, asked: make(chan int64, 100),
		ends: make(chan End, 100), fed: make(chan int64, 100),
	}
	h.exec(`INSERT INTO configuration (value) VALUES ('{"filtering_threshold": 0, "delay": 3600}')`)
	h.exec("INSERT INTO streamers (url, template_name, remark, split_time, split_size) VALUES ('http://room/1?a=1&b=2', 't', 'host', 20, 3)")
	h.reread()
	return h
}

func (h *harness) exec(statement string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Pool.Exec(h.t.Context(), statement, args...); err != nil {
		h.t.Fatalf("%s: %v", statement, err)
	}
}

func (h *harness) reread() {
	h.t.Helper()
	all, err := h.db.WatchedStreamers(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	h.streamer = all[0]
}

// scalar reads one value.
func scalar[T any](h *harness, query string, args ...any) T {
	h.t.Helper()
	var value T
	if err := h.db.Pool.QueryRow(h.t.Context(), query, args...).Scan(&value); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
	return value
}

// Write collects the log.
func (h *harness) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(text)
}

func (h *harness) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// host is one life of the host's service.
type host struct {
	*Service
	kill func()
}

// start runs a service until kill is called or the test ends.
func (h *harness) start() host {
	h.t.Helper()
	return h.startOn(h.db)
}

func (h *harness) startOn(database *db.DB) host {
	h.t.Helper()
	s := New(Options{
		DB: database, HostID: h.host, Root: h.root, Recorders: h.recorders, Publisher: h.publisher, RetryAfter: time.Millisecond,
		Extractors: &h.rooms, RefreshPause: h.refreshPause, SlowSettle: 10 * time.Millisecond,
		SessionFed: func(id int64) { h.fed <- id },
		SessionEnded: func(id int64, end End) {
			h.ends <- end
			if end.Fed {
				h.asked <- id
			}
		},
		Logger: slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ctx, cancel := context.WithCancel(h.t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		h.t.Fatalf("run: %v", err)
	}
	var once sync.Once
	kill := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				h.t.Errorf("run: %v", err)
			}
		})
	}
	h.t.Cleanup(kill)
	return host{s, kill}
}

var live = extractor.Status{State: extractor.StateLive, Title: "title", Streamer: "name", Streams: []extractor.Stream{{URL: "http://cdn/1.flv", Container: "flv"}}}

// begin has the room recorded and returns the session at the recorder.
func (h *harness) begin(s host) string {
	h.t.Helper()
	if err := s.Start(h.t.Context(), h.streamer, live); err != nil {
		h.t.Fatal(err)
	}
	return h.lastSession()
}

func (h *harness) lastSession() string {
	h.t.Helper()
	h.process.mu.Lock()
	defer h.process.mu.Unlock()
	if len(h.process.order) == 0 {
		h.t.Fatal("the recorder has no session")
	}
	return h.process.order[len(h.process.order)-1]
}

func (h *harness) request(id string) recorder.Request {
	h.process.mu.Lock()
	defer h.process.mu.Unlock()
	return h.process.sessions[id].request
}

// closed is the event of a finished file of a session.
func (h *harness) closed(id string, index int) recorder.SegmentClosed {
	return recorder.SegmentClosed{Segment: file(h.request(id).PathPrefix, index)}
}

// fileSize is that of every finished file.
const fileSize = 1000

func file(prefix string, index int) recorder.Segment {
	return recorder.Segment{
		Index: index, Path: fmt.Sprintf("%s_%03d.flv", prefix, index), SizeBytes: fileSize, Duration: time.Second, StartedAt: time.Now(), EndedAt: time.Now(),
	}
}

func (h *harness) until(what string, condition func() bool) {
	h.t.Helper()
	hosttest.Until(h.t, what, condition, h.logged)
}

// untilRows waits for a table to have so many rows.
func (h *harness) untilRows(n int, table string) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d %s", n, table), func() bool { return h.rows(table) == n })
}

func (h *harness) rows(table string) int {
	h.t.Helper()
	return scalar[int](h, "SELECT count(*) FROM "+table)
}

// segments are the paths' ends in the order of their numbers.
func (h *harness) segments(recording int64) string {
	h.t.Helper()
	rows, err := h.db.RecordingSegments(h.t.Context(), recording)
	if err != nil {
		h.t.Fatal(err)
	}
	var list []string
	for _, row := range rows {
		list = append(list, fmt.Sprintf("%d:%s", row.Index, row.Path[strings.LastIndex(row.Path, "_")+1:]))
	}
	return strings.Join(list, " ")
}

func (h *harness) touch(path string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), fileSize), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// files are the names in the folder of recordings.
func (h *harness) files() []string {
	h.t.Helper()
	entries, err := os.ReadDir(h.root)
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
