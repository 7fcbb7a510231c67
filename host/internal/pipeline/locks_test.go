package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
)

// Everybody takes locks in one order, so that many facts about few recordings at once never lock each other out for good.
func TestFactsOfOneRecordingNeverDeadlock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.exec(`UPDATE streamers SET postprocessor = '["x"]'`, nil)
	var recordings []int64
	for range 2 {
		recording := r.recording()
		for range 4 {
			r.closed(recording)
		}
		recordings = append(recordings, recording)
	}
	r.exec(`UPDATE streamers SET segment_processor = '["x"]'`, nil)
	c := &crowd{rig: r, recordings: recordings}
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			for range 100 {
				c.act(t.Context())
			}
		})
	}
	all.Wait()
	for _, err := range c.failed {
		t.Error(err)
	}
	if c.did.Load() < 100 {
		t.Errorf("only %d facts were told", c.did.Load())
	}
}

// crowd are many workers and people at a few recordings.
type crowd struct {
	*rig
	recordings []int64
	did        atomic.Int64
	mu         sync.Mutex
	failed     []error
}

func (c *crowd) act(ctx context.Context) {
	recording := c.recordings[rand.IntN(len(c.recordings))]
	acts := []func(context.Context, int64) error{c.transfers, c.transfers, c.waives, c.retries, c.ends, c.closes, c.steps, c.submits, c.follows, c.wakes, c.sweeps}
	err := acts[rand.IntN(len(acts))](ctx, recording)
	switch {
	case err == nil:
		c.did.Add(1)
	case errors.Is(err, ErrLost), errors.Is(err, ErrNotHeld), errors.Is(err, pgx.ErrNoRows):
	default: // a deadlock above all

		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed = append(c.failed, err)
	}
}

// one returns a row of a recording, of those that a condition holds for.
func (c *crowd) one(ctx context.Context, query string, recording int64) (id int64, round int32, err error) {
	err = c.DB.Pool.QueryRow(ctx, query+" ORDER BY random() LIMIT 1", recording).Scan(&id, &round)
	return id, round, err
}

func (c *crowd) transfers(ctx context.Context, recording int64) error {
	segment, round, err := c.one(ctx, "SELECT u.segment_id, u.round FROM uploads u JOIN segments g ON g.id = u.segment_id WHERE g.recording_id = $1", recording)
	if err != nil {
		return err
	}
	claim, end := c.jobs.Claims.Begin()
	defer end()
	if err := c.ClaimUpload(ctx, jobs.Transfer{SegmentID: segment, Round: round}, claim, c.jobs.Claims.Living(claim)); err != nil {
		return err
	}
	if err := c.UploadStarted(ctx, segment, claim, LineChoice{Name: "l"}, "a"); err != nil {
		return err
	}
	if rand.IntN(3) == 0 {
		return c.UploadFailed(ctx, segment, claim, Setback{Verdict: Verdict{Final: rand.IntN(2) == 0, Missing: true}, Text: "x"})
	}
	return c.Uploaded(ctx, recording, segment, claim, Stored{RemoteName: uuid.NewString()})
}

// locked is what a person's act does first.
func (c *crowd) locked(ctx context.Context, recording int64, act func(tx pgx.Tx, q *db.Queries, submissions []db.Submission) error) error {
	return c.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := c.Lock(ctx, tx, recording); err != nil {
			return err
		}
		if _, err := q.LockFailedUploads(ctx, db.LockFailedUploadsParams{RecordingID: recording, Publish: string(Wanted), State: string(UploadFailed)}); err != nil {
			return err
		}
		submissions, err := q.LockSubmissions(ctx, recording)
		if err != nil {
			return err
		}
		return act(tx, q, submissions)
	})
}

func (c *crowd) waives(ctx context.Context, recording int64) error {
	segment, _, err := c.one(ctx, "SELECT id, 0 FROM segments WHERE recording_id = $1 AND publish IN ('wanted', 'waived')", recording)
	if err != nil {
		return err
	}
	return c.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := c.Lock(ctx, tx, recording); err != nil {
			return err
		}
		row, err := q.LockUpload(ctx, segment)
		if err != nil {
			return err
		}
		if _, err := q.LockSubmissions(ctx, recording); err != nil {
			return err
		}
		to := Waived
		if Publish(row.Segment.Publish) == Waived {
			to = Wanted
		}
		return c.Waived(ctx, tx, recording, segment, to)
	})
}

func (c *crowd) retries(ctx context.Context, recording int64) error {
	return c.locked(ctx, recording, func(tx pgx.Tx, q *db.Queries, submissions []db.Submission) error {
		segments, err := q.RecordingSegments(ctx, recording)
		if err != nil {
			return err
		}
		for _, row := range segments {
			if err := c.RestartUpload(ctx, tx, row.ID); err != nil {
				return err
			}
		}
		for _, row := range submissions {
			if err := c.RestartSubmission(ctx, tx, row); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *crowd) ends(ctx context.Context, recording int64) error {
	return c.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := c.Lock(ctx, tx, recording); err != nil {
			return err
		}
		if err := q.EndRecording(ctx, db.EndRecordingParams{ID: recording, EndedAt: time.Now()}); err != nil {
			return err
		}
		return c.RecordingEnded(ctx, tx, recording)
	})
}

func (c *crowd) closes(ctx context.Context, recording int64) error {
	return c.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := c.Lock(ctx, tx, recording); err != nil {
			return err
		}
		id, err := q.InsertSegment(ctx, db.InsertSegmentParams{
			RecordingID: recording, Index: 1, Path: "/x/" + uuid.NewString(), SizeBytes: megabyte, StartedAt: time.Now(), EndedAt: time.Now(), Publish: string(Undecided),
		})
		if err != nil {
			return err
		}
		return c.SegmentClosed(ctx, tx, id)
	})
}

func (c *crowd) steps(ctx context.Context, recording int64) error {
	id, round, err := c.one(ctx, "SELECT id, round FROM hook_runs WHERE recording_id = $1 AND state <> 'done'", recording)
	if err != nil {
		return err
	}
	claim, end := c.jobs.Claims.Begin()
	defer end()
	if err := c.ClaimRun(ctx, jobs.Hook{RunID: id, Round: round}, claim, c.jobs.Claims.Living(claim)); err != nil {
		_, err = c.RetryRun(ctx, id, false)
		return err
	}
	run, err := c.DB.GetHookRun(ctx, id)
	if err != nil {
		return err
	}
	if err := c.StepStarted(ctx, run, claim); err != nil {
		return err
	}
	if rand.IntN(4) == 0 {
		return c.StepHeld(ctx, run, claim, Setback{Text: "x"})
	}
	return c.StepPassed(ctx, run, claim, true, Setback{})
}

func (c *crowd) submits(ctx context.Context, recording int64) error {
	id, round, err := c.one(ctx, "SELECT id, round FROM submissions WHERE recording_id = $1", recording)
	if err != nil {
		return err
	}
	claim, end := c.jobs.Claims.Begin()
	defer end()
	if err := c.ClaimSubmission(ctx, jobs.Submit{SubmissionID: id, Round: round}, claim, c.jobs.Claims.Living(claim)); err != nil {
		return err
	}
	row, err := c.DB.GetSubmission(ctx, id)
	if err != nil {
		return err
	}
	if SubmissionState(row.Submission.State) == SubmissionAppending {
		return c.Appended(ctx, row.Submission, claim, []string{uuid.NewString()}, false)
	}
	sent := Sent{Parts: []string{uuid.NewString()}, At: time.Now()}
	err = c.SubmissionSent(ctx, row.Submission, claim, sent, func(ctx context.Context, q *db.Queries) error {
		_, err := q.RecordingSegments(ctx, recording)
		return err
	})
	if err != nil {
		return err
	}
	switch rand.IntN(3) {
	case 0:
		_, err := c.SubmissionRefused(ctx, row.Submission, claim, Refusal{Setback: Setback{Verdict: Verdict{Final: true}}})
		return err
	case 1:
		_, err := c.SubmissionRefused(ctx, row.Submission, claim, Refusal{Setback: Setback{Verdict: Verdict{Missing: true}}})
		return err
	}
	return c.Accepted(ctx, row.Submission, claim, 1, "BV1")
}

func (c *crowd) follows(ctx context.Context, recording int64) error {
	id, _, err := c.one(ctx, "SELECT id, 0 FROM submissions WHERE recording_id = $1", recording)
	if err != nil {
		return err
	}
	row, err := c.DB.GetSubmission(ctx, id)
	if err != nil {
		return err
	}
	return c.Followed(ctx, row.Submission, ArchivePublic, 0, "")
}

func (c *crowd) wakes(ctx context.Context, _ int64) error  { return c.wake(ctx) }
func (c *crowd) sweeps(ctx context.Context, _ int64) error { return c.Sweep(ctx) }

// script keeps the names of the statements of a connection.
type script struct {
	mu    sync.Mutex
	names []string
}

func (s *script) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _, _ := strings.Cut(strings.TrimPrefix(data.SQL, "-- name: "), " ")
	s.names = append(s.names, name)
	return ctx
}

func (*script) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Every fact that touches more than one row locks the recording before anything else.
func TestFactsBeginWithTheLockOnTheRecording(t *testing.T) {
	t.Parallel()
	watched := &script{}
	r := newRigOn(t, traced(t, watched))
	r.exec(`UPDATE streamers SET postprocessor = '["x"]'`, nil)
	recording := r.recording()
	segment := r.closed(recording)
	claim := uuid.New()
	r.exec("INSERT INTO submissions (recording_id, state, claim) VALUES ($1, 'waiting', $2)", []any{recording, claim})
	var id int64
	r.exec("INSERT INTO hook_runs (recording_id, stage, steps, claim) VALUES ($1, 'postprocessor', '[]', $2) RETURNING id", []any{recording, claim}, &id)
	run, err := r.DB.GetHookRun(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	state := func(table, state string) { r.exec("UPDATE "+table+" SET state = $1, claim = $2", []any{state, claim}) }
	ctx := t.Context()
	facts := []struct {
		name string
		told func() error
	}{
		{"stored", func() error {
			state("uploads", "uploading")
			return r.Uploaded(ctx, recording, segment, claim, Stored{RemoteName: "n"})
		}},
		{"passed", func() error { return r.StepPassed(ctx, run, claim, true, Setback{}) }},
		{"retried", func() error {
			state("hook_runs", "held")
			_, err := r.RetryRun(ctx, id, false)
			return err
		}},
		{"sent", func() error {
			return r.SubmissionSent(ctx, r.submission(recording), claim, Sent{Parts: []string{"n"}}, func(context.Context, *db.Queries) error { return nil })
		}},
		{"accepted", func() error { return r.Accepted(ctx, r.submission(recording), claim, 1, "BV1") }},
		{"appended", func() error {
			state("submissions", "appending")
			return r.Appended(ctx, r.submission(recording), claim, []string{"n"}, false)
		}},
		{"followed", func() error { return r.Followed(ctx, r.submission(recording), ArchivePublic, 0, "") }},
		{"refused with a template that changed", func() error {
			r.exec("INSERT INTO templates (template_name) VALUES ('t')", nil)
			r.exec("UPDATE submissions SET state = 'failed', refusal = 1, submitted_at = now() - interval '1 hour'", nil)
			return r.retryRefused(ctx)
		}},
	}
	for _, fact := range facts {
		watched.mu.Lock()
		watched.names = nil
		watched.mu.Unlock()
		if err := fact.told(); err != nil {
			t.Errorf("%s: %v", fact.name, err)
		}
		watched.mu.Lock()
		found := false
		for i, name := range watched.names {
			if !strings.EqualFold(name, "begin") {
				continue
			}
			if found = true; i+1 >= len(watched.names) || watched.names[i+1] != "LockRecording" {
				t.Errorf("%s does not lock the recording first: %q", fact.name, watched.names)
			}
		}
		if !found {
			t.Errorf("%s has no transaction: %q", fact.name, watched.names)
		}
		watched.mu.Unlock()
	}
}
