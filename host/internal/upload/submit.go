package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
)

// submitJob does what a submission needs next.
//
// The steps around the one call that creates an archive are: commit "submitting" with the parts, call, commit the
// answer. Whoever finds "submitting" at the start of a job knows that the answer was lost and looks the archive up by
// its parts before any other try, so that a crash at any point never makes two archives.
func (s *Service) submitJob(ctx context.Context, job jobs.Submit) jobs.Outcome {
	claim, end := s.Jobs.Claims.Begin()
	defer end()
	row, err := s.claimSubmission(ctx, job, claim)
	switch {
	case errors.Is(err, pipeline.ErrBusy):
		return jobs.Again(s.Pace.Turn)
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, pipeline.ErrLost):
		return jobs.Done()
	case err != nil:
		return jobs.Again(s.Pace.RetryMax)
	}
	w := submission{
		Service: s, row: row.Submission, claim: claim, logger: s.about(row.Submission.RecordingID, row.StreamerID).With("archive", row.Submission.Number),
		age: seconds(row.AgeSeconds), sent: seconds(row.SentSeconds),
	}
	next, err := w.step(ctx)
	switch {
	case errors.Is(err, pipeline.ErrLost):
		next = jobs.Done() // a person, or another worker, has it
	case err != nil && ctx.Err() == nil:
		w.logger.Warn("submission cannot go on, trying again", "error", err)
		next = jobs.Again(s.afterTrouble(err))
	}
	w.release(ctx)
	return next
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// claimSubmission takes the row and reads it.
func (s *Service) claimSubmission(ctx context.Context, job jobs.Submit, claim uuid.UUID) (row db.GetSubmissionRow, err error) {
	err = s.saver().Persist(ctx, "submission", func(ctx context.Context) error {
		if err := s.Pipeline.ClaimSubmission(ctx, job, claim, s.Jobs.Claims.Living(claim)); err != nil {
			return err
		}
		row, err = s.DB.GetSubmission(ctx, job.SubmissionID)
		return err
	}, pipeline.ErrLost)
	return row, err
}

// submission is one try, with the row that it holds as it was when the try began.
type submission struct {
	*Service
	row       db.Submission
	claim     uuid.UUID
	logger    *slog.Logger
	age, sent time.Duration // since its last change, and since it was sent
}

func (w submission) release(ctx context.Context) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.Pace.Linger)
	defer cancel()
	_ = w.DB.ReleaseSubmission(longer, db.ReleaseSubmissionParams{ID: w.row.ID, Claim: w.claim})
}

func (w submission) step(ctx context.Context) (jobs.Outcome, error) {
	switch pipeline.SubmissionState(w.row.State) {
	case pipeline.SubmissionSubmitting, pipeline.SubmissionUnknown:
		return w.lookUp(ctx)
	case pipeline.SubmissionAppending:
		return w.append(ctx)
	}
	return w.submit(ctx)
}

// submit creates the archive.
func (w submission) submit(ctx context.Context) (jobs.Outcome, error) {
	left, err := remaining(ctx, w.DB.Queries, w.row)
	switch {
	case err != nil:
		return jobs.Done(), err
	case len(left) == 0:
		return w.dropped(ctx)
	}
	account, archive, err := w.compose(ctx, w.row)
	switch {
	case errors.Is(err, errPartsChanged):
		return jobs.Again(0), nil
	case err != nil:
		return w.held(ctx, pipeline.Submit, err)
	}
	sent := pipeline.Sent{Account: account.File, Title: archive.Title, Parts: filenames(archive.Videos), At: time.Now()}
	err = w.Pipeline.SubmissionSent(ctx, w.row, w.claim, sent, func(ctx context.Context, q *db.Queries) error {
		return stillTheParts(ctx, q, w.row, sent.Parts)
	})
	if errors.Is(err, errPartsChanged) {
		return jobs.Again(0), nil
	}
	if err != nil {
		return jobs.Done(), fmt.Errorf("mark submission: %w", err)
	}
	w.row.Attempts++
	accepted, err := w.Archives.Submit(ctx, account, archive)
	if loginRefused(err) {
		err = w.rejected(ctx, account, err)
	}
	if err != nil {
		return w.refused(ctx, pipeline.Submit, err, len(archive.Videos))
	}
	return w.accepted(ctx, accepted)
}

// errPartsChanged means that a person waived a segment, or took one back, while the archive was being composed.
var errPartsChanged = errors.New("the parts of the recording changed")

// dropped commits that nothing is left for an archive: a person gave up all that it was to have.
func (w submission) dropped(ctx context.Context) (jobs.Outcome, error) {
	err := w.saver().Persist(ctx, "submission", func(ctx context.Context) error {
		return w.Pipeline.NothingLeft(ctx, w.row, w.claim)
	}, pipeline.ErrLost)
	if err == nil {
		w.logger.Info("nothing is left for an archive; it is not made")
	}
	return jobs.Done(), err
}

// accepted commits that Bilibili has the archive.
func (w submission) accepted(ctx context.Context, accepted bilibili.Accepted) (jobs.Outcome, error) {
	err := w.saver().PersistLonger(ctx, "accepted archive", func(ctx context.Context) error {
		return w.Pipeline.Accepted(ctx, w.row, w.claim, accepted.AID, accepted.BVID)
	}, pipeline.ErrLost)
	if err == nil {
		w.logger.Info("archive accepted", "bvid", accepted.BVID)
	}
	return jobs.Done(), err
}

// held commits why nothing can be sent yet. Trouble of this host, such as a database that is away, is no reason; nor is what
// Bilibili said of something else, such as a login that was to be checked, an answer to the archive.
func (w submission) held(ctx context.Context, subject pipeline.Subject, cause error) (jobs.Outcome, error) {
	failure := failureOf(cause, pipeline.Host)
	switch {
	case failure.Blame == pipeline.Refused, errors.Is(cause, bilibili.ErrAnswerLost):
		failure = pipeline.Failure{Blame: pipeline.NotSent}
	case failure.Blame == pipeline.Host:
		return jobs.Done(), cause
	}
	verdict := w.Pace.Judge(subject, failure, int(w.row.Attempts), 0)
	kept := setback(verdict, cause)
	err := w.saver().Persist(ctx, "submission", func(ctx context.Context) error {
		return w.Pipeline.SubmissionHeld(ctx, w.row, w.claim, kept)
	}, pipeline.ErrLost)
	if err == nil && w.row.Error != kept.Text {
		w.logger.Warn("submission waits", "error", cause)
	}
	if verdict.Final {
		return jobs.Done(), err
	}
	return jobs.Again(verdict.Wait), err
}

// refused commits why there is no archive, or perhaps none, and when the next try is.
func (w submission) refused(ctx context.Context, subject pipeline.Subject, cause error, parts int) (jobs.Outcome, error) {
	failure := failureOf(cause, pipeline.Lost)
	verdict := w.Pace.Judge(subject, failure, max(int(w.row.Attempts)-1, 0), 0)
	limit := int(w.row.PartLimit)
	if verdict.Split {
		// The account, or the category, takes fewer parts at once than others.
		limit = max(parts/2, 1)
		verdict.Final = parts <= 1
	}
	refusal := pipeline.Refusal{Setback: setback(verdict, cause), Code: int32(failure.Code), PartLimit: int32(limit)}
	var state pipeline.SubmissionState
	err := w.saver().PersistLonger(ctx, "submission", func(ctx context.Context) (err error) {
		state, err = w.Pipeline.SubmissionRefused(ctx, w.row, w.claim, refusal)
		return err
	}, pipeline.ErrLost)
	switch {
	case err != nil:
		return jobs.Done(), err
	case verdict.Final:
		w.logger.Error("submission refused; a person has to look", "error", cause)
		return jobs.Done(), nil
	}
	w.logger.Warn("submission not accepted", "state", state, "error", cause, "next_try_in", verdict.Wait)
	return jobs.Again(verdict.Wait), nil
}
