package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/db/dbtest"
	"github.com/lubod/lubod/host/internal/jobs"
)

// Every kind of row for which something is due gets its job back, once, and in the round that it is in.
func TestSweepOrdersEveryKindOfRowWithoutAJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	var want []string
	add := func(format string, id int64) { want = append(want, fmt.Sprintf(format, id)) }
	upload := func(publish Publish, state UploadState, due bool) {
		segment := r.row(recording, publish, 1)
		r.exec("UPDATE segments SET ready_at = now() WHERE id = $1", []any{segment})
		r.exec("INSERT INTO uploads (segment_id, state, round) VALUES ($1, $2, 3)", []any{segment, string(state)})
		if due {
			add(`transfer {"round": 3, "segment_id": %d}`, segment)
		}
	}
	for state := range uploadStates {
		upload(Wanted, state, state == UploadPending || state == UploadUploading)
	}
	upload(Waived, UploadPending, false)
	for state := range runStates {
		var id int64
		r.exec("INSERT INTO hook_runs (recording_id, segment_id, stage, steps, state, round) VALUES ($1, $2, 'segment_processor', '[]', $3, 2) RETURNING id",
			[]any{recording, r.row(recording, Never, 1), string(state)}, &id)
		if state == RunPending || state == RunRunning {
			add(`hook {"round": 2, "run_id": %d}`, id)
		}
	}
	number := 0
	submission := func(state SubmissionState, archive Archive) (id int64) {
		number++
		r.exec("INSERT INTO submissions (recording_id, number, state, archive, round, follow_round, submitted_at) VALUES ($1, $2, $3, $4, 4, 5, now()) RETURNING id",
			[]any{recording, number, string(state), string(archive)}, &id)
		return id
	}
	for state := range submissionStates {
		if id := submission(state, ArchiveNone); state != SubmissionAccepted && state != SubmissionFailed {
			add(`submit {"round": 4, "submission_id": %d}`, id)
		}
	}
	for archive := range archives {
		if id := submission(SubmissionAccepted, archive); archive == ArchiveReview || archive == ArchiveScheduled || archive == ArchiveRejected {
			add(`follow {"round": 5, "submission_id": %d}`, id)
		}
	}
	slices.Sort(want)
	for range 2 { // what has a job is not ordered again
		if err := r.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, r.ordered()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	// Jobs that are over, and those of other rounds, are none.
	r.exec("UPDATE river_job SET state = 'completed', finalized_at = now()", nil)
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r.ordered()); diff != "" {
		t.Errorf("after their end (-want +got):\n%s", diff)
	}
	r.exec("UPDATE uploads SET round = 7", nil)
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.count(`river_job WHERE kind = 'transfer' AND state = 'available' AND args ->> 'round' = '7'`); n != 2 {
		t.Errorf("%d transfers of the new round", n)
	}
}

// What is due for an ended recording and was never ordered is found, whatever it is.
func TestSweepAdvancesRecordingsLeftBehind(t *testing.T) {
	t.Parallel()
	const ready = "UPDATE segments SET ready_at = now();"
	const stored = ready + "INSERT INTO uploads (segment_id, state, remote_name) SELECT id, 'uploaded', 'n' || id FROM segments;"
	tests := map[string]struct{ left, found string }{
		"undecided":                    {"UPDATE segments SET publish = 'undecided'", "uploads"},
		"never made ready":             {"SELECT 1", "uploads"},
		"never made ready, not wanted": {"UPDATE segments SET publish = 'never'", "segments WHERE ready_at IS NOT NULL"},
		"its hook was never ordered":   {`UPDATE streamers SET segment_processor = '["x"]'`, "hook_runs WHERE segment_id IS NOT NULL"},
		"no upload":                    {ready, "uploads"},
		"no submission":                {stored, "submissions"},
		"no downloaded_processor":      {stored + `UPDATE streamers SET downloaded_processor = '["x"]'`, "hook_runs WHERE stage = 'downloaded_processor'"},
		"not in its archive":           {stored + "INSERT INTO submissions (recording_id, state, parts) SELECT id, 'accepted', '{other}' FROM recordings", "submissions WHERE state = 'appending'"},
		"not in its full archive":      {stored + "INSERT INTO submissions (recording_id, state, parts, is_full) SELECT id, 'accepted', '{other}', true FROM recordings", "submissions WHERE number = 2"},
		"not in its archive, hook over": {
			stored + `INSERT INTO hook_runs (recording_id, stage, steps, state) SELECT id, 'postprocessor', '[]', 'pending' FROM recordings; INSERT INTO submissions (recording_id, state, parts) SELECT id, 'accepted', '{other}' FROM recordings`,
			"submissions WHERE state = 'appending'",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			recording := r.recording()
			r.row(recording, Wanted, 100*megabyte)
			r.exec("UPDATE recordings SET state = 'ended', ended_at = now()", nil)
			for _, statement := range strings.Split(test.left, ";") {
				if strings.TrimSpace(statement) != "" {
					r.exec(statement, nil)
				}
			}
			for range 2 {
				if err := r.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				if n := r.count(test.found); n != 1 {
					t.Fatalf("%d %s", n, test.found)
				}
			}
			if ordered := len(r.ordered()); ordered == 0 && !strings.HasPrefix(test.found, "segments") {
				t.Error("nothing is ordered")
			}
		})
	}
}

// What waits for a template or a login looks again at once when one was changed, and what was refused with a template that was
// changed is sent again.
func TestPublishingChangedWakesWhatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	waiting, other := r.closed(recording), r.closed(recording)
	r.exec("UPDATE uploads SET missing = true WHERE segment_id = $1", []any{waiting})
	r.exec("INSERT INTO submissions (recording_id, state, missing) VALUES ($1, 'waiting', true)", []any{recording})
	r.exec("INSERT INTO templates (template_name) VALUES ('t')", nil)
	r.exec("INSERT INTO submissions (recording_id, number, state, refusal, submitted_at) VALUES ($1, 2, 'failed', 21001, now() - interval '1 hour')", []any{recording})
	if err := r.wake(t.Context()); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int{"uploads": 1, "submissions": 2} {
		if n := r.count(table + " WHERE round = 1"); n != want {
			t.Errorf("%s: %d have a new round", table, n)
		}
	}
	if round := r.round("uploads", "segment_id", other); round != 0 {
		t.Errorf("what does not wait has round %d", round)
	}
	if n := r.count("river_job WHERE args ->> 'round' = '1'"); n != 3 {
		t.Errorf("%d jobs", n)
	}
}

// A row that somebody holds sees what was mended by itself: waking the others never waits for it.
func TestWakingDoesNotWaitForRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	r.closed(recording)
	r.exec("UPDATE uploads SET missing = true", nil)
	r.exec("INSERT INTO submissions (recording_id, state, missing) VALUES ($1, 'waiting', true)", []any{recording})
	for _, table := range []string{"uploads", "submissions"} {
		r.inTx(func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "SELECT 1 FROM "+table+" FOR UPDATE"); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := r.wake(ctx); err != nil {
				t.Errorf("while %s are locked: %v", table, err)
			}
			return nil
		})
	}
}

func TestSweepSendsAgainWhatWasRefusedWithATemplateThatChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	r.exec("INSERT INTO templates (template_name) VALUES ('t')", nil)
	r.exec("INSERT INTO submissions (recording_id, state, refusal, submitted_at) VALUES ($1, 'failed', 21001, now() - interval '1 hour')", []any{recording})
	if err := r.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := SubmissionState(r.submission(recording).State); got != SubmissionUnknown {
		t.Errorf("it is %s, want one that is looked up first", got)
	}
}

// gated lets the second batch of orders wait until something happened.
type gated struct {
	*jobs.Client
	until   <-chan struct{}
	batches []int
}

func (g *gated) Order(ctx context.Context, tx pgx.Tx, due ...jobs.Args) error {
	if len(due) == 0 {
		return nil
	}
	if g.batches = append(g.batches, len(due)); len(g.batches) > 1 {
		select {
		case <-g.until:
		case <-time.After(time.Minute):
			return errors.New("nothing was transferred while the rest waited to be ordered")
		}
	}
	return g.Client.Order(ctx, tx, due...)
}

// counting counts statements.
type counting struct{ n atomic.Int64 }

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (*counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// traced is a database of its own, watched by a tracer.
func traced(t *testing.T, tracer pgx.QueryTracer) *db.DB {
	t.Helper()
	config := dbtest.New(t).Pool.Config()
	config.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &db.DB{Queries: db.New(pool), Pool: pool}
}

// A start with a backlog transfers from the first moment, while the rest is still being ordered in batches.
func TestBacklogIsOrderedInBatchesWhileJobsRun(t *testing.T) {
	t.Parallel()
	const backlog = 20_000
	statements := &counting{}
	r := newRigOn(t, traced(t, statements))
	for _, table := range []string{"recordings", "segments", "uploads"} {
		r.exec("ALTER TABLE "+table+" DISABLE TRIGGER USER", nil) // who watches is not the question
	}
	r.exec(`INSERT INTO recordings (streamer_id, host_id, url, remark, title, streamer_name, state, started_at, ended_at)
		SELECT $1, $2, 'u', 'r', 't', 'n', 'ended', now(), now() FROM generate_series(1, $3::integer)`, []any{r.streamer, r.host, backlog / 10})
	r.exec(`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, ready_at)
		SELECT r.id, n, '/x/' || r.id || n, 1, 1, now(), now(), 'wanted', now() FROM recordings r, generate_series(1, 10) n`, nil)
	r.exec("INSERT INTO uploads (segment_id) SELECT id FROM segments", nil)

	began := make(chan struct{})
	var once sync.Once
	jobs.Register(r.jobs, func(ctx context.Context, _ jobs.Transfer) jobs.Outcome {
		once.Do(func() { close(began) })
		<-ctx.Done() // a transfer takes long
		return jobs.Done()
	})
	orders := &gated{Client: r.jobs, until: began}
	p := New(Options{DB: r.DB, Orders: orders, Logger: r.Logger, Pace: DefaultPace()})
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- r.jobs.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}()
	before := statements.n.Load()
	if err := p.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := statements.n.Load() - before; n > backlog/50 {
		t.Errorf("%d statements for %d rows", n, backlog)
	}
	if len(orders.batches) < 10 || slices.Max(orders.batches) > sweepBatch {
		t.Errorf("batches of %v", orders.batches)
	}
	if n := r.count("river_job WHERE kind = 'transfer'"); n != backlog {
		t.Errorf("%d transfers are ordered", n)
	}
}
