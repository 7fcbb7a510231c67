package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
)

// ClaimSubmission gives a submission to a worker. ErrLost: it is not its turn, ErrBusy: not yet.
func (p *Pipeline) ClaimSubmission(ctx context.Context, job jobs.Submit, claim uuid.UUID, living []uuid.UUID) error {
	holder, err := p.DB.ClaimSubmission(ctx, db.ClaimSubmissionParams{
		ID: job.SubmissionID, Round: job.Round, Claim: claim, Living: living,
		Open: texts(SubmissionWaiting, SubmissionSubmitting, SubmissionUnknown, SubmissionAppending),
	})
	return claimed(claim, holder, err)
}

// Sent is an archive as it is about to be sent.
type Sent struct {
	Account, Title string
	Parts          []string
	At             time.Time
}

// SubmissionSent is told that an archive is about to be made: from now on its answer is outstanding. Still is called inside the
// transaction, with the recording locked, and says whether the parts are still those to send.
func (p *Pipeline) SubmissionSent(ctx context.Context, row db.Submission, claim uuid.UUID, sent Sent, still func(ctx context.Context, q *db.Queries) error) error {
	return p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := p.Lock(ctx, tx, row.RecordingID); err != nil {
			return err
		}
		if err := still(ctx, q); err != nil {
			return err
		}
		return held(q.SubmissionSent(ctx, db.SubmissionSentParams{
			ID: row.ID, Claim: claim, State: string(SubmissionSubmitting), AccountFile: sent.Account, Title: sent.Title, Parts: sent.Parts,
			SubmittedAt: sent.At, Before: before(submissionStates, SubmissionSubmitting),
		}))
	})
}

// Accepted is told that Bilibili has an archive. Parts that did not fit are ordered to be added.
func (p *Pipeline) Accepted(ctx context.Context, row db.Submission, claim uuid.UUID, aid int64, bvid string) error {
	return p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := p.Lock(ctx, tx, row.RecordingID); err != nil {
			return err
		}
		err := held(q.SubmissionAccepted(ctx, db.SubmissionAcceptedParams{
			ID: row.ID, Claim: claim, State: string(SubmissionAccepted), AID: aid, BVID: bvid, AcceptedAt: time.Now(),
			Archive: string(ArchiveReview), Before: before(submissionStates, SubmissionAccepted),
		}))
		if err != nil {
			return err
		}
		if err := p.follow(ctx, tx, row.ID); err != nil {
			return err
		}
		return p.Advance(ctx, tx, row.RecordingID)
	})
}

// Appends is told which parts an edit is about to add. Still says, as with SubmissionSent, whether they are still those.
func (p *Pipeline) Appends(ctx context.Context, row db.Submission, claim uuid.UUID, parts []string, still func(ctx context.Context, q *db.Queries) error) error {
	return p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := p.Lock(ctx, tx, row.RecordingID); err != nil {
			return err
		}
		if err := still(ctx, q); err != nil {
			return err
		}
		return held(q.SubmissionAppends(ctx, db.SubmissionAppendsParams{ID: row.ID, Claim: claim, State: string(SubmissionAppending), Appending: parts}))
	})
}

// Appended is told which parts an archive has. Full: it takes no more, so that the rest becomes another one.
func (p *Pipeline) Appended(ctx context.Context, row db.Submission, claim uuid.UUID, parts []string, full bool) error {
	return p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := p.Lock(ctx, tx, row.RecordingID); err != nil {
			return err
		}
		err := held(q.SubmissionAppended(ctx, db.SubmissionAppendedParams{
			ID: row.ID, Claim: claim, State: string(SubmissionAccepted), Parts: parts, IsFull: full, Before: before(submissionStates, SubmissionAccepted),
		}))
		if err != nil {
			return err
		}
		if err := p.follow(ctx, tx, row.ID); err != nil {
			return err
		}
		return p.Advance(ctx, tx, row.RecordingID)
	})
}

// follow orders that the archive's state is asked for, beginning anew.
func (p *Pipeline) follow(ctx context.Context, tx pgx.Tx, submissionID int64) error {
	round, err := p.DB.WithTx(tx).FollowAnew(ctx, db.FollowAnewParams{ID: submissionID, Archive: string(ArchiveReview)})
	if err != nil {
		return fmt.Errorf("follow archive: %w", err)
	}
	return p.Orders.Order(ctx, tx, jobs.Follow{SubmissionID: submissionID, Round: round})
}

// SubmissionHeld is told why nothing can be sent yet, or, when final, not before a person has done something.
func (p *Pipeline) SubmissionHeld(ctx context.Context, row db.Submission, claim uuid.UUID, setback Setback) error {
	state := SubmissionState(row.State)
	if setback.Verdict.Final {
		state = SubmissionFailed
	}
	return held(p.DB.SetSubmissionState(ctx, db.SetSubmissionStateParams{
		ID: row.ID, Claim: claim, State: string(state), Error: setback.Text, Reason: setback.Reason, Final: setback.Verdict.Final, Missing: setback.Verdict.Missing, Before: before(submissionStates, state),
	}))
}

// Refusal is an answer that is no archive.
type Refusal struct {
	Setback
	Code      int32 // of Bilibili; 0: another failure
	PartLimit int32
}

// SubmissionRefused is told why there is no archive, or perhaps none.
func (p *Pipeline) SubmissionRefused(ctx context.Context, row db.Submission, claim uuid.UUID, refusal Refusal) (SubmissionState, error) {
	verdict := refusal.Verdict
	state := SubmissionWaiting
	switch {
	case SubmissionState(row.State) == SubmissionAppending && !verdict.Final:
		state = SubmissionAppending
	case verdict.Unknown:
		state = SubmissionUnknown
	case verdict.Final:
		state = SubmissionFailed
	}
	code := int32(0)
	if verdict.Final {
		code = refusal.Code
	}
	return state, held(p.DB.SubmissionRefused(ctx, db.SubmissionRefusedParams{
		ID: row.ID, Claim: claim, State: string(state), Error: refusal.Text, Reason: refusal.Reason, Refusal: code, PartLimit: refusal.PartLimit,
		Proven: verdict.Exists, Counted: verdict.Counted, Missing: verdict.Missing, Before: before(submissionStates, state),
	}))
}

// LookedUp is told that an archive was looked for and not found (looked), or could not be looked for.
func (p *Pipeline) LookedUp(ctx context.Context, row db.Submission, claim uuid.UUID, looked bool, setback Setback) error {
	return held(p.DB.SubmissionLookedUp(ctx, db.SubmissionLookedUpParams{
		ID: row.ID, Claim: claim, State: string(SubmissionUnknown), Error: setback.Text, Reason: setback.Reason, Looked: looked, Missing: setback.Verdict.Missing, Before: before(submissionStates, SubmissionUnknown),
	}))
}

// NeverMade is told that there is no archive of the last submit: it is sent again, or given up when final.
func (p *Pipeline) NeverMade(ctx context.Context, row db.Submission, claim uuid.UUID, setback Setback) error {
	state := SubmissionWaiting
	if setback.Verdict.Final {
		state = SubmissionFailed
	}
	return held(p.DB.SetSubmissionState(ctx, db.SetSubmissionStateParams{
		ID: row.ID, Claim: claim, State: string(state), Error: setback.Text, Reason: setback.Reason, Final: setback.Verdict.Final, Missing: setback.Verdict.Missing, Before: before(submissionStates, state),
	}))
}

// NothingLeft is told that every part of an archive that was never made was given up. What waited for it goes on.
func (p *Pipeline) NothingLeft(ctx context.Context, row db.Submission, claim uuid.UUID) error {
	return p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := p.Lock(ctx, tx, row.RecordingID); err != nil {
			return err
		}
		if err := held(q.DropSubmission(ctx, db.DropSubmissionParams{ID: row.ID, Claim: claim, State: string(SubmissionWaiting)})); err != nil {
			return err
		}
		return p.Advance(ctx, tx, row.RecordingID)
	})
}

// RestartSubmission orders a submission anew that failed, or that waits for its next try. What was sent before is looked up first:
// the archive may exist, made by Bilibili after all or by the person who retries. The recording is locked.
func (p *Pipeline) RestartSubmission(ctx context.Context, tx pgx.Tx, row db.Submission) error {
	state, from := SubmissionWaiting, []SubmissionState{SubmissionFailed, SubmissionWaiting}
	switch {
	case row.AID != 0:
		state, from = SubmissionAppending, []SubmissionState{SubmissionFailed, SubmissionAppending}
	case row.SubmittedAt != nil && SubmissionState(row.State) == SubmissionFailed:
		state = SubmissionUnknown
	}
	round, err := p.DB.WithTx(tx).RestartSubmission(ctx, db.RestartSubmissionParams{ID: row.ID, State: string(state), Before: texts(from...)})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restart submission: %w", err)
	}
	return p.Orders.Order(ctx, tx, jobs.Submit{SubmissionID: row.ID, Round: round})
}

// Followed is told what Bilibili says of an archive. What waits for the archive to be public goes on.
func (p *Pipeline) Followed(ctx context.Context, row db.Submission, archive Archive, code int, words string) error {
	return p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		if _, err := p.Lock(ctx, tx, row.RecordingID); err != nil {
			return err
		}
		err := held(q.FollowedArchive(ctx, db.FollowedArchiveParams{
			ID: row.ID, Round: row.FollowRound, Archive: string(archive), ArchiveCode: int32(code), ArchiveText: words, Before: before(archives, archive),
		}))
		if err != nil || archive != ArchivePublic {
			return err
		}
		return p.hurryPost(ctx, tx, row.RecordingID)
	})
}

// hurryPost lets the postprocessor look again whether what it waits for has come.
func (p *Pipeline) hurryPost(ctx context.Context, tx pgx.Tx, recordingID int64) error {
	q := p.DB.WithTx(tx)
	runs, err := q.RecordingHookRuns(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("read hooks: %w", err)
	}
	for _, run := range runs {
		if Stage(run.Stage) != Postprocessor {
			continue
		}
		round, err := q.HurryHookRun(ctx, db.HurryHookRunParams{ID: run.ID, Open: texts(RunPending)})
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("hurry hook: %w", err)
		}
		if err := p.Orders.Order(ctx, tx, jobs.Hook{RunID: run.ID, Round: round}); err != nil {
			return err
		}
	}
	return nil
}
