package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
)

// claimable is one row of each kind, and how a worker takes it for a job of a round.
func claimable(t *testing.T, r *rig) map[string]func(ctx context.Context, round int32, claim uuid.UUID, living []uuid.UUID) error {
	t.Helper()
	recording := r.recording()
	segment := r.closed(recording)
	var run int64
	r.exec("INSERT INTO submissions (recording_id) VALUES ($1)", []any{recording})
	r.exec("INSERT INTO hook_runs (recording_id, stage, steps) VALUES ($1, 'postprocessor', '[]') RETURNING id", []any{recording}, &run)
	submission := r.submission(recording).ID
	return map[string]func(context.Context, int32, uuid.UUID, []uuid.UUID) error{
		"upload": func(ctx context.Context, round int32, claim uuid.UUID, living []uuid.UUID) error {
			return r.ClaimUpload(ctx, jobs.Transfer{SegmentID: segment, Round: round}, claim, living)
		},
		"hook": func(ctx context.Context, round int32, claim uuid.UUID, living []uuid.UUID) error {
			return r.ClaimRun(ctx, jobs.Hook{RunID: run, Round: round}, claim, living)
		},
		"submission": func(ctx context.Context, round int32, claim uuid.UUID, living []uuid.UUID) error {
			return r.ClaimSubmission(ctx, jobs.Submit{SubmissionID: submission, Round: round}, claim, living)
		},
	}
}

// One of many workers has a row, the others look again later; when its holder is dead, the next one gets it.
func TestTwoWorkersNeverHoldOneRow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for kind, take := range claimable(t, r) {
		t.Run(kind, func(t *testing.T) {
			const workers = 12
			answers := make([]error, workers)
			ends := make([]func(), workers)
			claims := make([]uuid.UUID, workers)
			for i := range workers {
				claims[i], ends[i] = r.jobs.Claims.Begin()
			}
			var all sync.WaitGroup
			for i := range workers {
				all.Go(func() { answers[i] = take(t.Context(), 0, claims[i], r.jobs.Claims.Living(claims[i])) })
			}
			all.Wait()
			held := 0
			for i, err := range answers {
				switch {
				case err == nil:
					held++
					ends[i]()
				case !errors.Is(err, ErrBusy):
					t.Errorf("worker %d: %v", i, err)
				}
			}
			if held != 1 {
				t.Fatalf("%d workers hold the row", held)
			}
			next, end := r.jobs.Claims.Begin()
			defer end()
			if err := take(t.Context(), 0, next, r.jobs.Claims.Living(next)); err != nil {
				t.Errorf("the row of a dead worker: %v", err)
			}
			if err := take(t.Context(), 0, next, r.jobs.Claims.Living(next)); err != nil {
				t.Errorf("the worker that holds the row: %v", err)
			}
			for _, round := range []int32{-1, 1} {
				if err := take(t.Context(), round, next, nil); !errors.Is(err, ErrLost) || errors.Is(err, ErrBusy) {
					t.Errorf("a job of round %d: %v", round, err)
				}
			}
		})
	}
}

func TestClaimsAreForWhatIsDue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	take := claimable(t, r)
	for kind, spoil := range map[string]string{
		"upload":     "UPDATE uploads SET state = 'failed'",
		"hook":       "UPDATE hook_runs SET state = 'held'",
		"submission": "UPDATE submissions SET state = 'failed'",
	} {
		r.exec(spoil, nil)
		if err := take[kind](t.Context(), 0, uuid.New(), nil); !errors.Is(err, ErrLost) || errors.Is(err, ErrBusy) {
			t.Errorf("%s that waits for a person: %v", kind, err)
		}
	}
	r.exec("UPDATE uploads SET state = 'pending'", nil)
	r.exec("UPDATE segments SET publish = 'waived'", nil)
	if err := take["upload"](t.Context(), 0, uuid.New(), nil); !errors.Is(err, ErrLost) {
		t.Errorf("upload of a segment that was given up: %v", err)
	}
}

// What a worker finds out after its row went to somebody else changes nothing.
func TestLateResultsAreLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	segment := r.closed(recording)
	r.exec("INSERT INTO submissions (recording_id, state) VALUES ($1, 'submitting')", []any{recording})
	r.exec("INSERT INTO hook_runs (recording_id, stage, steps, state) VALUES ($1, 'postprocessor', '[]', 'running')", []any{recording})
	late, now := uuid.New(), uuid.New()
	for _, table := range []string{"uploads", "submissions", "hook_runs"} {
		r.exec("UPDATE "+table+" SET claim = $1", []any{now})
	}
	r.exec("UPDATE uploads SET state = 'uploading'", nil)
	picture := func() (text string) {
		r.exec(`SELECT concat((SELECT array_agg(u)::text FROM uploads u), (SELECT array_agg(s)::text FROM submissions s), (SELECT array_agg(h)::text FROM hook_runs h))`, nil, &text)
		return text
	}
	before := picture()
	row := r.submission(recording)
	runs, err := r.DB.RecordingHookRuns(t.Context(), recording)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	final := Setback{Verdict: Verdict{Final: true}, Text: "x"}
	for fact, err := range map[string]error{
		"started":    r.UploadStarted(ctx, segment, late, LineChoice{Name: "l"}, "a"),
		"stored":     r.Uploaded(ctx, recording, segment, late, Stored{RemoteName: "n"}),
		"failed":     r.UploadFailed(ctx, segment, late, final),
		"sent":       r.SubmissionSent(ctx, row, late, Sent{}, func(context.Context, *db.Queries) error { return nil }),
		"accepted":   r.Accepted(ctx, row, late, 1, "BV1"),
		"appends":    r.Appends(ctx, row, late, nil, func(context.Context, *db.Queries) error { return nil }),
		"appended":   r.Appended(ctx, row, late, nil, false),
		"held":       r.SubmissionHeld(ctx, row, late, final),
		"refused":    func() error { _, err := r.SubmissionRefused(ctx, row, late, Refusal{}); return err }(),
		"looked up":  r.LookedUp(ctx, row, late, true, final),
		"never made": r.NeverMade(ctx, row, late, final),
		"step":       r.StepStarted(ctx, runs[0], late),
	} {
		if !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", fact, err)
		}
	}
	for fact, err := range map[string]error{
		"progressed": r.UploadProgressed(ctx, segment, late, []byte("x"), 7),
		"passed":     r.StepPassed(ctx, runs[0], late, true, Setback{}),
		"postponed":  r.StepPostponed(ctx, runs[0], late, true, time.Hour, final),
		"step held":  r.StepHeld(ctx, runs[0], late, final),
	} {
		if err != nil {
			t.Errorf("%s: %v", fact, err)
		}
	}
	if after := picture(); after != before {
		t.Errorf("a late result changed a row:\n%s\n%s", before, after)
	}
}

// What was stored of a segment that was given up meanwhile is kept with its row, and is in no archive.
func TestStoredAfterItWasGivenUpIsNotPublished(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	first, second := r.closed(recording), r.closed(recording)
	r.store(recording, first)
	claim := uuid.New()
	if err := errors.Join(r.ClaimUpload(t.Context(), jobs.Transfer{SegmentID: second}, claim, nil), r.UploadStarted(t.Context(), second, claim, LineChoice{Name: "l"}, "a")); err != nil {
		t.Fatal(err)
	}
	r.end(recording)
	r.inTx(func(tx pgx.Tx) error {
		if _, err := r.Lock(t.Context(), tx, recording); err != nil {
			return err
		}
		return r.Waived(t.Context(), tx, recording, second, Waived)
	})
	if n := r.count("submissions"); n != 1 {
		t.Fatalf("%d submissions after the last open segment was given up", n)
	}
	if err := r.Uploaded(t.Context(), recording, second, claim, Stored{RemoteName: "n"}); err != nil {
		t.Fatal(err)
	}
	if n := r.count("submissions WHERE round = 0"); n != 1 {
		t.Error("a segment that was given up is published")
	}
	var reason string
	r.exec("SELECT reason_data ->> 'code' FROM segments WHERE id = $1", []any{second}, &reason)
	if reason != "segment.waived" {
		t.Errorf("reason %q", reason)
	}
}

// A worker that just looked whether the archive is public must not sleep over the news that it is.
func TestNewsIsNotLostOnAWorkerThatIsAboutToWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	r.exec("INSERT INTO submissions (recording_id, state, archive) VALUES ($1, 'accepted', 'review')", []any{recording})
	var id int64
	r.exec("INSERT INTO hook_runs (recording_id, stage, steps) VALUES ($1, 'postprocessor', '[]') RETURNING id", []any{recording}, &id)
	claim, end := r.jobs.Claims.Begin()
	if err := r.ClaimRun(t.Context(), jobs.Hook{RunID: id}, claim, nil); err != nil {
		t.Fatal(err)
	}
	run, err := r.DB.GetHookRun(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Followed(t.Context(), r.submission(recording), ArchivePublic, 0, ""); err != nil {
		t.Fatal(err)
	}
	if got, want := r.ordered(), []string{fmt.Sprintf(`hook {"round": 1, "run_id": %d}`, id)}; len(got) != 1 || got[0] != want[0] {
		t.Errorf("ordered %q, want %q", got, want)
	}
	next := uuid.New()
	if err := r.ClaimRun(t.Context(), jobs.Hook{RunID: id, Round: 1}, next, r.jobs.Claims.Living(next)); !errors.Is(err, ErrBusy) {
		t.Errorf("while the worker is at it: %v", err)
	}
	if err := r.StepPostponed(t.Context(), run, claim, false, time.Hour, Setback{}); err != nil {
		t.Fatal(err)
	}
	end()
	if err := r.ClaimRun(t.Context(), jobs.Hook{RunID: id, Round: 1}, next, r.jobs.Claims.Living(next)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	turn, err := r.DB.HookRunTurn(t.Context(), id)
	if err != nil || turn.WaitSeconds > 0 {
		t.Errorf("waits for %v s: %v", turn.WaitSeconds, err)
	}
}

// An answer about an archive from before it was edited says nothing about what it is now.
func TestAnswerFromBeforeAnEditIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	claim := uuid.New()
	r.exec("INSERT INTO submissions (recording_id, state, archive, claim) VALUES ($1, 'appending', 'review', $2)", []any{recording, claim})
	asked := r.submission(recording)
	if err := r.Appended(t.Context(), asked, claim, []string{"n"}, false); err != nil {
		t.Fatal(err)
	}
	if err := r.Followed(t.Context(), asked, ArchivePublic, 0, ""); !errors.Is(err, ErrLost) {
		t.Errorf("an answer of before: %v", err)
	}
	if row := r.submission(recording); row.Archive != string(ArchiveReview) {
		t.Errorf("the archive is %s", row.Archive)
	}
}
