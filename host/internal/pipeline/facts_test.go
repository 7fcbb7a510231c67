package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
)

// newJobs are the orders of a kind that came since those before.
func (r *rig) newJobs(kind string, before []string) (found []string) {
	r.t.Helper()
	for _, job := range r.ordered() {
		if strings.HasPrefix(job, kind+" ") && !slices.Contains(before, job) {
			found = append(found, job)
		}
	}
	return found
}

// submitting is a recording whose archive is being made, and the claim of the worker at it.
func (r *rig) submitting() (recording int64, claim uuid.UUID) {
	r.t.Helper()
	recording = r.recording()
	segment := r.closed(recording)
	r.store(recording, segment)
	r.end(recording)
	claim = uuid.New()
	r.exec("UPDATE submissions SET state = 'submitting', claim = $2, parts = $3, submitted_at = now() WHERE recording_id = $1",
		[]any{recording, claim, []string{fmt.Sprint("n", segment)}})
	return recording, claim
}

// An archive that was accepted is followed, and what comes after it is ordered in the same transaction; so is one that grew.
func TestAcceptedArchivesAreFollowedAndTheNextStepIsOrdered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.exec(`UPDATE streamers SET postprocessor = '["x"]'`, nil)
	recording, claim := r.submitting()
	before := r.ordered()
	if err := r.Accepted(t.Context(), r.submission(recording), claim, 7, "BV7"); err != nil {
		t.Fatal(err)
	}
	if follow, hook := r.newJobs("follow", before), r.newJobs("hook", before); len(follow) != 1 || len(hook) != 1 {
		t.Errorf("after it was accepted, %q and %q are ordered, want one of each", follow, hook)
	}
	r.exec("UPDATE submissions SET state = 'appending', claim = $1, archive = 'public'", []any{claim})
	before = r.ordered()
	parts := append(r.submission(recording).Parts, "more")
	if err := r.Appended(t.Context(), r.submission(recording), claim, parts, false); err != nil {
		t.Fatal(err)
	}
	if follow := r.newJobs("follow", before); len(follow) != 1 || r.submission(recording).Archive != string(ArchiveReview) {
		t.Errorf("an archive that grew is %s, ordered: %q; want it followed anew", r.submission(recording).Archive, follow)
	}
}

// A postprocessor that waits for its archive looks again when that is public, and only then.
func TestAPublicArchiveHurriesThePostprocessor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.exec(`UPDATE streamers SET postprocessor = '["x"]'`, nil)
	recording, claim := r.submitting()
	if err := r.Accepted(t.Context(), r.submission(recording), claim, 7, "BV7"); err != nil {
		t.Fatal(err)
	}
	before := r.ordered()
	if err := r.Followed(t.Context(), r.submission(recording), ArchiveReview, -30, "review"); err != nil {
		t.Fatal(err)
	}
	if hooks := r.newJobs("hook", before); len(hooks) != 0 {
		t.Errorf("an archive in review orders %q", hooks)
	}
	if err := r.Followed(t.Context(), r.submission(recording), ArchivePublic, 0, "public"); err != nil {
		t.Fatal(err)
	}
	if hooks := r.newJobs("hook", before); len(hooks) != 1 {
		t.Errorf("a public archive orders %q, want the postprocessor once", hooks)
	}
}

// What the caller finds out under the lock keeps a submission from being sent.
func TestNothingIsSentThatIsNotStillToBeSent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording, claim := r.submitting()
	r.exec("UPDATE submissions SET state = 'waiting', submitted_at = NULL", nil)
	changed := errors.New("a segment was waived meanwhile")
	err := r.SubmissionSent(t.Context(), r.submission(recording), claim, Sent{Parts: []string{"n"}}, func(context.Context, *db.Queries) error { return changed })
	if !errors.Is(err, changed) || r.submission(recording).State != string(SubmissionWaiting) {
		t.Errorf("it is %s: %v", r.submission(recording).State, err)
	}
	gone := r.submission(recording)
	gone.RecordingID = -1
	if err := r.SubmissionSent(t.Context(), gone, claim, Sent{Parts: []string{"n"}}, func(context.Context, *db.Queries) error { return nil }); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("the submission of a recording that was removed: %v", err)
	}
	if err := r.Followed(t.Context(), gone, ArchivePublic, 0, ""); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("the archive of a recording that was removed: %v", err)
	}
}

// Each closed segment gets the step that its room wants first: its own hook, or its transfer. The hook of the whole recording
// comes when it ended, and before the submission.
func TestEachStepIsOrderedWhenItIsDue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.exec(`UPDATE streamers SET segment_processor = '["x"]', downloaded_processor = '["y"]'`, nil)
	recording := r.recording()
	for range 2 {
		before := r.ordered()
		r.closed(recording)
		if hooks, transfers := r.newJobs("hook", before), r.newJobs("transfer", before); len(hooks) != 1 || len(transfers) != 0 {
			t.Errorf("a segment with steps orders %q and %q, want its hook", hooks, transfers)
		}
	}
	r.exec("UPDATE streamers SET segment_processor = '[]'", nil)
	recording = r.recording()
	before := r.ordered()
	segment := r.closed(recording)
	if hooks, transfers := r.newJobs("hook", before), r.newJobs("transfer", before); len(hooks) != 0 || len(transfers) != 1 {
		t.Errorf("a segment without steps orders %q and %q, want its transfer", hooks, transfers)
	}
	r.store(recording, segment)
	before = r.ordered()
	r.end(recording)
	if hooks, submits := r.newJobs("hook", before), r.newJobs("submit", before); len(hooks) != 1 || len(submits) != 0 {
		t.Errorf("the end orders %q and %q, want the recording's hook", hooks, submits)
	}
}

// A failed try counts when the verdict says so, or is the last one; the code of a final refusal is kept, since a changed
// template can mend it, and no other.
func TestSetbacksAreCountedAsTheVerdictSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	recording := r.recording()
	segment := r.closed(recording)
	for _, test := range []struct {
		verdict Verdict
		counted int32
	}{{Verdict{Counted: true}, 1}, {Verdict{}, 0}, {Verdict{Missing: true}, 0}, {Verdict{Final: true}, 1}} {
		claim := uuid.New()
		r.exec("UPDATE uploads SET state = 'uploading', attempts = 0, claim = $1, missing = false", []any{claim})
		if err := r.UploadFailed(t.Context(), segment, claim, Setback{Verdict: test.verdict, Text: "x"}); err != nil {
			t.Fatal(err)
		}
		var attempts int32
		var missing bool
		r.exec("SELECT attempts, missing FROM uploads", nil, &attempts, &missing)
		if attempts != test.counted || missing != test.verdict.Missing {
			t.Errorf("%+v: %d attempts, missing %v", test.verdict, attempts, missing)
		}
	}
	recording, claim := r.submitting()
	for _, test := range []struct {
		verdict Verdict
		code    int32
	}{{Verdict{Counted: true}, 0}, {Verdict{Final: true}, 21001}} {
		r.exec("UPDATE submissions SET state = 'submitting', claim = $1", []any{claim})
		if _, err := r.SubmissionRefused(t.Context(), r.submission(recording), claim, Refusal{Setback: Setback{Verdict: test.verdict}, Code: 21001}); err != nil {
			t.Fatal(err)
		}
		if got := r.submission(recording).Refusal; got != test.code {
			t.Errorf("%+v: the refusal %d is kept, want %d", test.verdict, got, test.code)
		}
	}
}

// More recordings than fit into one batch are all advanced, each once.
func TestSweepGoesBeyondOneBatchOfRecordings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.exec(`INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, state, started_at, ended_at)
		SELECT $1, $2, 'http://room/1', 'r', 't', 'title', 'name', 'ended', now(), now() FROM generate_series(1, $3) n`, []any{r.streamer, r.host, sweepBatch + 3})
	r.exec(`INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish)
		SELECT id, 1, '/x/' || id, 100000000, 1000, now(), now(), 'wanted' FROM recordings`, nil)
	if err := r.advanceLeftBehind(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.count("uploads"); n != sweepBatch+3 {
		t.Errorf("%d of %d recordings got what they need", n, sweepBatch+3)
	}
}
