package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
)

// followJob asks what became of an archive. Accepted is not public: transcoding and reviewers refuse archives hours later, so it
// is followed until it is public, and no file of it is removed before.
func (s *Service) followJob(ctx context.Context, job jobs.Follow) jobs.Outcome {
	var row db.GetSubmissionRow
	err := s.saver().Persist(ctx, "archive", func(ctx context.Context) (err error) {
		row, err = s.DB.GetSubmission(ctx, job.SubmissionID)
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return jobs.Done()
	case err != nil:
		return jobs.Again(s.Pace.RetryMax)
	}
	followed := row.Submission
	if followed.FollowRound != job.Round || settled(pipeline.Archive(followed.Archive)) {
		return jobs.Done()
	}
	if early := s.followWait(followed) - sinceAsked(followed, row); early > 0 {
		return jobs.Again(early)
	}
	logger := s.about(followed.RecordingID, row.StreamerID).With("archive", followed.Number, "bvid", followed.BVID)
	over := seconds(row.AcceptedSeconds) > s.Pace.FollowFor
	found, err := s.ask(ctx, followed)
	switch {
	case ctx.Err() != nil:
		return jobs.Done()
	case err != nil && !over:
		return s.askLater(ctx, logger, followed, err)
	case err != nil: // what was known last is all that is known
		found = fate{pipeline.ArchiveUnknown, int(followed.ArchiveCode), followed.ArchiveText}
	case over && found.archive != pipeline.ArchivePublic:
		found.archive = pipeline.ArchiveUnknown
	}
	err = s.saver().Persist(ctx, "archive", func(ctx context.Context) error {
		return s.Pipeline.Followed(ctx, followed, found.archive, found.code, found.words)
	}, pipeline.ErrLost)
	switch {
	case errors.Is(err, pipeline.ErrLost), errors.Is(err, pgx.ErrNoRows):
		return jobs.Done()
	case err != nil:
		return jobs.Again(s.Pace.RetryMax)
	}
	if found.archive != pipeline.Archive(followed.Archive) {
		tellArchive(logger, found)
	}
	if settled(found.archive) {
		return jobs.Done()
	}
	followed.Follows++
	return jobs.Again(s.followWait(followed))
}

// fate is what Bilibili says of an archive: what that means, its number of the state and its words.
type fate struct {
	archive pipeline.Archive
	code    int
	words   string
}

// askLater goes on along the pauses though nothing was learnt: an account that is dead for days is not asked for every few seconds.
func (s *Service) askLater(ctx context.Context, logger *slog.Logger, followed db.Submission, cause error) jobs.Outcome {
	verdict := s.Pace.Judge(pipeline.Follow, failureOf(cause, pipeline.Lost), int(followed.Follows), 0)
	err := s.saver().Persist(ctx, "archive", func(ctx context.Context) error {
		return s.DB.FollowFailed(ctx, db.FollowFailedParams{ID: followed.ID, Round: followed.FollowRound})
	})
	if err == nil {
		followed.Follows++
	}
	wait := max(verdict.Wait, s.followWait(followed))
	if ctx.Err() == nil {
		logger.Warn("the archive's state cannot be asked for, trying again", "error", cause, "next_try_in", wait)
	}
	return jobs.Again(wait)
}

// settled tells whether nothing more is to be expected of an archive.
func settled(archive pipeline.Archive) bool {
	return archive == pipeline.ArchivePublic || archive == pipeline.ArchiveUnknown || archive == pipeline.ArchiveNone
}

// followWait is the pause before the next look.
func (s *Service) followWait(followed db.Submission) time.Duration {
	return s.Pace.Follow[min(int(followed.Follows), len(s.Pace.Follow)-1)]
}

// sinceAsked is how long ago the archive was asked for, or accepted.
func sinceAsked(followed db.Submission, row db.GetSubmissionRow) time.Duration {
	if followed.ArchiveAt == nil {
		return seconds(row.AcceptedSeconds)
	}
	return seconds(row.AskedSeconds)
}

func tellArchive(logger *slog.Logger, found fate) {
	logger = logger.With("bilibili", found.words)
	switch found.archive {
	case pipeline.ArchivePublic:
		logger.Info("archive is public")
	case pipeline.ArchiveRejected:
		logger.Error("Bilibili does not publish the archive; its files are kept")
	case pipeline.ArchiveUnknown:
		logger.Error("nothing came of the archive for a month; its files are kept")
	default:
		logger.Info("archive is not public yet", "fate", found.archive)
	}
}

// ask asks Bilibili for the state of an archive.
func (s *Service) ask(ctx context.Context, followed db.Submission) (fate, error) {
	account, err := s.Accounts.Account(ctx, followed.AccountFile)
	if err != nil {
		return fate{}, err
	}
	view, err := s.Archives.View(ctx, account, bilibili.Accepted{AID: followed.AID, BVID: followed.BVID})
	if loginRefused(err) {
		err = s.rejected(ctx, account, err)
	}
	if err != nil {
		return fate{}, fmt.Errorf("ask for the archive: %w", err)
	}
	archive := pipeline.ArchiveReview
	switch {
	case view.State.Public():
		archive = pipeline.ArchivePublic
	case view.State.Scheduled():
		archive = pipeline.ArchiveScheduled
	case view.State.Refused():
		archive = pipeline.ArchiveRejected
	}
	return fate{archive, int(view.State), db.Text(view.Words())}, nil
}
