package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/outgoing"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/sdk/fetch"
)

func TestMain(m *testing.M) {
	// These tests wait for the job library's polls most of the time.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(dbtest.Main(m))
}

// patience is how long a test waits for what must come; nothing depends on how fast it comes.
const patience = 60 * time.Second

// quick are waiting times for tests: too short to notice.
func quick() pipeline.Pace {
	return pipeline.Pace{
		Database: time.Millisecond, Retry: time.Millisecond, RetryMax: 4 * time.Millisecond, Turn: 2 * time.Millisecond,
		Sweep: time.Hour, Linger: patience,
	}
}

// harness is one database with a room and its recordings, and the services that work on it.
type harness struct {
	t        *testing.T
	db       *db.DB
	root     string
	host     uuid.UUID
	streamer int64
	options  Options
	uploads  bool // uploads count as done when they are ordered
	sender   *outgoing.Client

	mu  sync.Mutex
	log bytes.Buffer
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	allowed, err := fetch.ParseAllowed("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, db: dbtest.New(t), uploads: true, root: root, host: uuid.New(), sender: outgoing.New(outgoing.Options{Allowed: allowed})}
	t.Cleanup(h.sender.Close)
	h.options = Options{AllowRun: true, Pace: quick()}
	h.exec("INSERT INTO streamers (url, template_name, remark) VALUES ('http://room/1', 't', '主播') RETURNING id", nil, &h.streamer)
	return h
}

// exec runs a statement with arguments and scans its row into the results that follow.
func (h *harness) exec(statement string, args []any, results ...any) {
	h.t.Helper()
	var err error
	if len(results) == 0 {
		_, err = h.db.Pool.Exec(h.t.Context(), statement, args...)
	} else {
		err = h.db.Pool.QueryRow(h.t.Context(), statement, args...).Scan(results...)
	}
	if err != nil {
		h.t.Fatalf("%s: %v", statement, err)
	}
}

// hook gives the streamer steps; each is the JSON that the API takes.
func (h *harness) hook(stage Stage, steps ...string) {
	h.t.Helper()
	list := "[" + strings.Join(steps, ",") + "]"
	if _, err := Parse(stage, []byte(list)); err != nil {
		h.t.Fatal(err)
	}
	h.exec("UPDATE streamers SET "+string(stage)+" = $1", []any{list})
}

func step(fields map[string]any) string {
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// service is a host's service, as it is after each start of the host.
func (h *harness) service() *Service {
	h.t.Helper()
	return h.serviceOn(h.db)
}

func (h *harness) serviceOn(database *db.DB) *Service {
	h.t.Helper()
	options := h.options
	options.DB, options.HostID, options.Root, options.HTTP = database, h.host.String(), h.root, h.sender
	options.Logger = slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := jobs.New(jobs.Options{DB: database, HostID: options.HostID, Logger: options.Logger, Poll: 20 * time.Millisecond})
	if err != nil {
		h.t.Fatal(err)
	}
	options.Jobs = client
	ordered := &orders{Client: client, uploads: h.uploads}
	ordered.pipeline = pipeline.New(pipeline.Options{DB: database, Orders: ordered, Logger: options.Logger, Pace: options.Pace})
	options.Pipeline = ordered.pipeline
	return New(options)
}

// orders are those of hooks: nothing is uploaded here, and an upload that is ordered counts as done.
type orders struct {
	*jobs.Client
	pipeline *pipeline.Pipeline
	uploads  bool // otherwise they stay open
}

func (o *orders) Order(ctx context.Context, tx pgx.Tx, due ...jobs.Args) error {
	var hooks []jobs.Args
	for _, args := range due {
		switch args := args.(type) {
		case jobs.Hook:
			hooks = append(hooks, args)
		case jobs.Transfer:
			if !o.uploads {
				continue
			}
			var recording int64
			err := tx.QueryRow(ctx, `UPDATE uploads u SET state = 'uploaded', remote_name = 'n' || u.segment_id FROM segments g
				WHERE u.segment_id = $1 AND g.id = u.segment_id RETURNING g.recording_id`, args.SegmentID).Scan(&recording)
			if err != nil {
				return err
			}
			if err := o.pipeline.Advance(ctx, tx, recording); err != nil {
				return err
			}
		}
	}
	return o.Client.Order(ctx, tx, hooks...)
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

// start runs a service until stop is called or the test ends.
func (h *harness) start(s *Service) (stop func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	parts := []func(context.Context) error{s.Pipeline.Run, s.Run, s.Jobs.Run}
	done := make(chan error, len(parts))
	for _, run := range parts {
		go func() { done <- run(ctx) }()
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			for range parts {
				if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
					h.t.Errorf("run: %v", err)
				}
			}
		})
	}
	h.t.Cleanup(stop)
	return stop
}

func (h *harness) recording() int64 {
	h.t.Helper()
	h.exec("UPDATE recordings SET state = 'ended', resume_until = NULL, ended_at = now() WHERE state <> 'ended'", nil) // one at a time
	var id int64
	h.exec(`INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, category, state, started_at)
		VALUES ($1, $2, 'http://room/1', '主播', 't', '标题 100%', 'name', 'Game', 'recording', now()) RETURNING id`, []any{h.streamer, h.host}, &id)
	return id
}

// path is where a recorder would leave a segment.
func (h *harness) path(recording int64, index int) string {
	return filepath.Join(h.root, "room", fmt.Sprintf("r%d_%03d.flv", recording, index))
}

// closed commits a segment as record does: the file first, then the row with what it makes due.
func (h *harness) closed(s *Service, recording int64, index int, publish string) int64 {
	h.t.Helper()
	path := h.path(recording, index)
	if _, err := os.Stat(path); err != nil {
		h.write(path, fmt.Sprintf("media of segment %d of recording %d", index, recording))
	}
	info, err := os.Stat(path)
	if err != nil {
		h.t.Fatal(err)
	}
	var id int64
	err = h.db.InTx(h.t.Context(), func(tx pgx.Tx, q *db.Queries) (err error) {
		if _, err := q.LockRecording(h.t.Context(), recording); err != nil {
			return err
		}
		id, err = q.InsertSegment(h.t.Context(), db.InsertSegmentParams{
			RecordingID: recording, Index: int32(index), Path: path, SizeBytes: info.Size(), DurationMs: 4000,
			StartedAt: time.Now(), EndedAt: time.Now(), Publish: publish,
		})
		if err != nil {
			return err
		}
		return s.Pipeline.SegmentClosed(h.t.Context(), tx, id)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *harness) write(path, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) read(path string) string {
	h.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// files are all files below the recordings, relative.
func (h *harness) files() []string {
	h.t.Helper()
	var found []string
	err := filepath.WalkDir(h.root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(h.root, path)
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

// end commits the end of a recording, as record does.
func (h *harness) end(s *Service, recording int64) {
	h.t.Helper()
	err := h.db.InTx(h.t.Context(), func(tx pgx.Tx, q *db.Queries) error {
		if err := q.EndRecording(h.t.Context(), db.EndRecordingParams{ID: recording, EndedAt: time.Now()}); err != nil {
			return err
		}
		return s.Pipeline.RecordingEnded(h.t.Context(), tx, recording)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// accept commits that Bilibili has the archive and that it is public, as upload does.
func (h *harness) accept(s *Service, recording int64) {
	h.t.Helper()
	h.acceptAs(s, recording, pipeline.ArchivePublic)
}

func (h *harness) acceptAs(s *Service, recording int64, archive pipeline.Archive) {
	h.t.Helper()
	h.exec(`UPDATE uploads u SET state = 'uploaded', remote_name = 'n' || u.segment_id FROM segments g
		WHERE g.id = u.segment_id AND g.recording_id = $1`, []any{recording})
	h.exec(`UPDATE submissions SET state = 'accepted', title = 'archive', aid = 5, bvid = 'BV5', accepted_at = now(), archive = $2,
		parts = (SELECT array_agg('n' || g.id) FROM segments g WHERE g.recording_id = $1 AND g.publish = 'wanted') WHERE recording_id = $1`, []any{recording, string(archive)})
	err := h.db.InTx(h.t.Context(), func(tx pgx.Tx, _ *db.Queries) error {
		return s.Pipeline.Advance(h.t.Context(), tx, recording)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) runs(recording int64) []db.HookRun {
	h.t.Helper()
	runs, err := h.db.RecordingHookRuns(h.t.Context(), recording)
	if err != nil {
		h.t.Fatal(err)
	}
	return runs
}

// toldStates are those of a recording's hooks that there are events of.
func (h *harness) toldStates(recording int64) (states []string) {
	h.t.Helper()
	h.exec(`SELECT coalesce(array_agg(data ->> 'state' ORDER BY id), '{}') FROM events WHERE kind = 'hook.state' AND data ->> 'streamer_info_id' = $1::text`,
		[]any{fmt.Sprint(recording)}, &states)
	return states
}

// the returns the only run of a stage.
func (h *harness) the(stage Stage, recording int64) db.HookRun {
	h.t.Helper()
	var found []db.HookRun
	for _, run := range h.runs(recording) {
		if Stage(run.Stage) == stage {
			found = append(found, run)
		}
	}
	if len(found) != 1 {
		h.t.Fatalf("recording %d has %d runs of %s, want 1", recording, len(found), stage)
	}
	return found[0]
}

// work works a run off in this goroutine, as its job would.
func (h *harness) work(ctx context.Context, s *Service, id int64) {
	var round int32
	h.exec("SELECT round FROM hook_runs WHERE id = $1", []any{id}, &round)
	s.runJob(ctx, jobs.Hook{RunID: id, Round: round})
}

// workOff works a stage of a recording off and returns its run.
func (h *harness) workOff(s *Service, stage Stage, recording int64) db.HookRun {
	h.t.Helper()
	h.work(h.t.Context(), s, h.the(stage, recording).ID)
	return h.the(stage, recording)
}

// until waits for a condition.
func (h *harness) until(what string, condition func() bool) {
	h.t.Helper()
	hosttest.Until(h.t, what, condition, h.logged)
}

func (h *harness) untilState(stage Stage, recording int64, state string) db.HookRun {
	h.t.Helper()
	h.until(fmt.Sprintf("%s of %d %s", stage, recording, state), func() bool {
		for _, run := range h.runs(recording) {
			if Stage(run.Stage) == stage && run.State == state {
				return true
			}
		}
		return false
	})
	return h.the(stage, recording)
}

func (h *harness) segment(id int64) db.Segment {
	h.t.Helper()
	segment, err := h.db.GetSegment(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return segment
}

func (h *harness) count(query string, args ...any) int {
	h.t.Helper()
	var n int
	h.exec("SELECT count(*) FROM "+query, args, &n)
	return n
}

// receiver is what a webhook calls: it keeps what came, and answers what the test says.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
}

type received struct {
	header http.Header
	body   string
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(request.Body)
		r.mu.Lock()
		r.requests = append(r.requests, received{request.Header, body.String()})
		n := len(r.requests)
		r.mu.Unlock()
		if answer != nil {
			answer(n, w, request)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.requests...)
}

func insert(recording int64, path string) db.InsertSegmentParams {
	return db.InsertSegmentParams{RecordingID: recording, Index: 99, Path: path, SizeBytes: 1, StartedAt: time.Now(), EndedAt: time.Now(), Publish: "wanted"}
}
