package upload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
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
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/hosttest"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/sdk/line"
)

func TestMain(m *testing.M) {
	// These tests wait for the job library's polls most of the time.
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(dbtest.Main(m))
}

// patience is how long a test waits for what must come; nothing depends on how fast it comes.
const patience = 15 * time.Second

// quick are waiting times for tests: too short to notice, in an order that shows which one was used.
func quick() pipeline.Pace {
	return pipeline.Pace{
		Database: time.Millisecond, Operator: 2 * time.Millisecond, Retry: time.Millisecond, RetryMax: 4 * time.Millisecond,
		Throttled: 3 * time.Millisecond, Lookup: time.Millisecond, LookupMax: 2 * time.Millisecond, LookFor: 20 * time.Millisecond,
		Slow: time.Millisecond, Unit: time.Millisecond, Turn: time.Millisecond, Sweep: time.Hour, Linger: patience,
		Follow: []time.Duration{longTime}, FollowFor: 30 * 24 * longTime,
	}
}

const longTime = time.Hour

// fakeLines are line plugins made of functions.
type fakeLines struct {
	names  func() []string
	lease  func(name string) error
	probe  func(ctx context.Context) ([]line.ProbeResult, error)
	upload func(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error)
}

type fakeLease struct{ *fakeLines }

func (f *fakeLines) Names(context.Context) ([]string, error) { return f.names(), nil }

func (f *fakeLines) Lease(_ context.Context, name string) (Lease, error) {
	if f.lease != nil {
		if err := f.lease(name); err != nil {
			return nil, err
		}
	}
	return fakeLease{f}, nil
}

func (f fakeLease) Upload(ctx context.Context, file line.File, report func(line.Progress) error) (line.Result, error) {
	return f.upload(ctx, file, report)
}
func (f fakeLease) Probe(ctx context.Context) ([]line.ProbeResult, error) { return f.probe(ctx) }
func (f fakeLease) Plugin() string                                        { return "line-fake" }
func (f fakeLease) Release()                                              {}

// fakeArchives is Bilibili made of functions.
type fakeArchives struct {
	view   func(archive bilibili.Accepted) (bilibili.View, error)
	edit   func(ctx context.Context, archive bilibili.Accepted, add []bilibili.Part) error
	submit func(ctx context.Context, account *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error)
	find   func(ctx context.Context, account *bilibili.Account, parts []string) (bilibili.Accepted, error)
}

func (f *fakeArchives) Submit(ctx context.Context, account *bilibili.Account, archive bilibili.Archive) (bilibili.Accepted, error) {
	return f.submit(ctx, account, archive)
}

func (f *fakeArchives) Find(ctx context.Context, account *bilibili.Account, parts []string, _ time.Time) (bilibili.Accepted, error) {
	return f.find(ctx, account, parts)
}

func (f *fakeArchives) View(_ context.Context, _ *bilibili.Account, archive bilibili.Accepted) (bilibili.View, error) {
	if f.view == nil {
		return bilibili.View{Accepted: archive}, nil
	}
	return f.view(archive)
}

func (f *fakeArchives) Edit(ctx context.Context, _ *bilibili.Account, _ bilibili.Via, archive bilibili.Accepted, add []bilibili.Part) error {
	return f.edit(ctx, archive, add)
}

// fakeAccounts are cookie files that Bilibili accepts.
type fakeAccounts struct {
	dir      string
	rejected func(account *bilibili.Account)
}

func (f *fakeAccounts) Account(_ context.Context, file string) (*bilibili.Account, error) {
	if file == "" {
		return nil, accounts.ErrNoDefault // the real ones know better, see TestATemplateWithoutAnAccount
	}
	return accounts.Load(f.dir, file)
}

func (f *fakeAccounts) Rejected(_ context.Context, account *bilibili.Account) error {
	f.rejected(account)
	return nil
}

// harness is one database with a room whose recordings are published, and the services that work on it.
type harness struct {
	t        *testing.T
	db       *db.DB
	dir      string
	host     uuid.UUID
	streamer int64
	lines    *fakeLines
	accounts Accounts
	archives Archives
	covers   Covers
	pictures Pictures
	pace     pipeline.Pace

	mu        sync.Mutex
	transfers []line.File // begun
	log       bytes.Buffer
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, db: dbtest.New(t), dir: t.TempDir(), host: uuid.New(), pace: quick()}
	h.lines = &fakeLines{
		names: func() []string { return []string{"bda2", "qn", "ws"} },
		probe: func(context.Context) ([]line.ProbeResult, error) {
			return []line.ProbeResult{{Line: "ws"}, {Line: "bda2"}, {Line: "qn"}}, nil
		},
		upload: h.store,
	}
	h.accounts = &fakeAccounts{dir: h.dir, rejected: func(account *bilibili.Account) { t.Errorf("the login in %s was rejected", account.File) }}
	h.archives = &fakeArchives{
		submit: func(context.Context, *bilibili.Account, bilibili.Archive) (bilibili.Accepted, error) {
			return bilibili.Accepted{AID: 1, BVID: "BV1"}, nil
		},
		find: func(context.Context, *bilibili.Account, []string) (bilibili.Accepted, error) {
			t.Error("an archive was looked up")
			return bilibili.Accepted{}, bilibili.ErrNoArchive
		},
	}
	h.configure(map[string]any{"lines": "bda2"})
	h.template("t")
	h.cookies("a.json", "sess")
	h.exec("INSERT INTO streamers (url, template_name, remark) VALUES ('http://room/1', 't', 'host') RETURNING id", nil, &h.streamer)
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

func (h *harness) configure(keys map[string]any) {
	h.t.Helper()
	value, err := json.Marshal(keys)
	if err != nil {
		h.t.Fatal(err)
	}
	h.exec("INSERT INTO configuration (value) VALUES ($1) ON CONFLICT (id) DO UPDATE SET value = $1", []any{value})
}

func (h *harness) template(name string) {
	h.exec("INSERT INTO templates (template_name, title, tag, user_cookie) VALUES ($1, '{streamer}', 'live', 'a.json')", []any{name})
}

func (h *harness) cookies(name, session string) {
	h.t.Helper()
	content := fmt.Sprintf(`{"cookie_info":{"cookies":[{"name":"SESSDATA","value":%q}]},"token_info":{"access_token":"token","mid":1}}`, session)
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// service is a host's service, as it is after each start of the host.
func (h *harness) service() *Service {
	h.t.Helper()
	return h.serviceOn(h.db)
}

func (h *harness) serviceOn(database *db.DB) *Service {
	h.t.Helper()
	logger := slog.New(slog.NewTextHandler(h, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := jobs.New(jobs.Options{DB: database, HostID: h.host.String(), Logger: logger, Poll: 20 * time.Millisecond, Sweep: h.pace.Sweep})
	if err != nil {
		h.t.Fatal(err)
	}
	return New(Options{
		DB: database, HostID: h.host.String(), Jobs: client, Accounts: h.accounts, Covers: h.covers, Pictures: h.pictures, DataDir: h.dir, Lines: h.lines,
		Archives: h.archives, Pace: h.pace, Logger: logger,
		Pipeline: pipeline.New(pipeline.Options{DB: database, Orders: client, Logger: logger, Pace: h.pace}),
	})
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
	done := make(chan error, 1)
	parts := []func(context.Context) error{s.Pipeline.Run, s.Run, s.Jobs.Run}
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

func (h *harness) recording(state string) int64 {
	h.t.Helper()
	var ended *time.Time
	if now := time.Now(); state == "ended" {
		ended = &now
	}
	var id int64
	h.exec(`INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, state, started_at, ended_at)
		VALUES ($1, $2, 'http://room/1', 'host', 't', 'title', 'name', $3, now(), $4) RETURNING id`, []any{h.streamer, h.host, state, ended}, &id)
	return id
}

// segment inserts the row of a closed file, as record does.
func (h *harness) segment(ctx context.Context, tx pgx.Tx, recording int64, index int) (int64, error) {
	path := filepath.Join(h.dir, fmt.Sprintf("r%d_%03d.flv", recording, index))
	return h.db.WithTx(tx).InsertSegment(ctx, db.InsertSegmentParams{
		RecordingID: recording, Index: int32(index), Path: path, SizeBytes: 100, DurationMs: 1, StartedAt: time.Now(), EndedAt: time.Now(), Publish: "wanted",
	})
}

// closed commits a segment with the order to upload it.
func (h *harness) closed(s *Service, recording int64, index int) int64 {
	h.t.Helper()
	var id int64
	err := h.db.InTx(h.t.Context(), func(tx pgx.Tx, _ *db.Queries) (err error) {
		if id, err = h.segment(h.t.Context(), tx, recording, index); err != nil {
			return err
		}
		return s.Pipeline.SegmentClosed(h.t.Context(), tx, id)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
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

// transfer does one try at a segment in this goroutine, as its job would.
func (h *harness) transfer(ctx context.Context, s *Service, segment int64) (wait time.Duration, again bool) {
	var round int32
	h.exec("SELECT round FROM uploads WHERE segment_id = $1", []any{segment}, &round)
	return s.transferJob(ctx, jobs.Transfer{SegmentID: segment, Round: round}).Next()
}

// submit does one step of a recording's first submission in this goroutine, as its job would.
func (h *harness) submit(ctx context.Context, s *Service, recording int64) (wait time.Duration, again bool) {
	submission, exists := h.submission(recording)
	if !exists {
		return 0, false
	}
	return s.submitJob(ctx, jobs.Submit{SubmissionID: submission.ID, Round: submission.Round}).Next()
}

// store is a line that works.
func (h *harness) store(_ context.Context, file line.File, _ func(line.Progress) error) (line.Result, error) {
	h.began(file)
	return line.Result{RemoteName: "n" + strings.TrimSuffix(filepath.Base(file.Path), ".flv"), RemoteID: 7}, nil
}

func (h *harness) began(file line.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.transfers = append(h.transfers, file)
}

func (h *harness) begun() []line.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]line.File(nil), h.transfers...)
}

// until waits for a row to hold what a condition wants.
func (h *harness) until(what string, condition func() bool) {
	h.t.Helper()
	hosttest.Until(h.t, what, condition, h.logged)
}

func (h *harness) upload(segment int64) db.Upload {
	h.t.Helper()
	work, err := h.db.UploadWork(h.t.Context(), segment)
	if err != nil {
		h.t.Fatal(err)
	}
	return work.Upload
}

func (h *harness) untilUpload(segment int64, state string) db.Upload {
	h.t.Helper()
	h.until(fmt.Sprintf("upload %d %s", segment, state), func() bool { return h.upload(segment).State == state })
	return h.upload(segment)
}

func (h *harness) submission(recording int64) (db.Submission, bool) {
	h.t.Helper()
	rows, err := h.db.RecordingSubmissions(h.t.Context(), recording)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(rows) == 0 {
		return db.Submission{}, false
	}
	return rows[0], true
}

func (h *harness) untilSubmission(recording int64, state string) db.Submission {
	h.t.Helper()
	h.until(fmt.Sprintf("submission %d %s", recording, state), func() bool {
		submission, exists := h.submission(recording)
		return exists && submission.State == state
	})
	submission, _ := h.submission(recording)
	return submission
}

// count counts rows of jobs of a kind in any of the states.
func (h *harness) jobs(kind string, states ...string) int {
	h.t.Helper()
	var n int
	h.exec("SELECT count(*) FROM river_job WHERE kind = $1 AND (cardinality($2::text[]) = 0 OR state::text = ANY ($2))", []any{kind, append([]string{}, states...)}, &n)
	return n
}

// dueIn tells in how long the only job of a kind runs again.
func (h *harness) dueIn(kind string) time.Duration {
	h.t.Helper()
	var seconds float64
	h.exec("SELECT extract(epoch FROM scheduled_at - now())::float8 FROM river_job WHERE kind = $1", []any{kind}, &seconds)
	return time.Duration(seconds * float64(time.Second))
}
