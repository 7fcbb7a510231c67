package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
)

// sweepBatch is how many rows are looked after at once. A start with a backlog of many thousands goes through it in batches, and
// jobs run from the first second.
const sweepBatch = 1000

// Run looks after work that waits or was lost, until ctx ends: at once, now and then, and when PublishingChanged says so.
func (p *Pipeline) Run(ctx context.Context) error {
	sweep := time.NewTicker(p.Pace.Sweep)
	defer sweep.Stop()
	err := p.Sweep(ctx)
	for {
		if err != nil && ctx.Err() == nil {
			p.Logger.Warn("waiting work cannot be looked after, trying again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.hurry:
			err = p.wake(ctx)
		case <-sweep.C:
			err = p.Sweep(ctx)
		}
	}
}

// PublishingChanged lets work that waits for a template or an account look again at once, and what Bilibili refused with a template
// that was changed be submitted again. It does not block.
func (p *Pipeline) PublishingChanged() {
	select {
	case p.hurry <- struct{}{}:
	default:
	}
}

// Sweep orders what no job works on although it is due. Run calls it now and then.
func (p *Pipeline) Sweep(ctx context.Context) error {
	return errors.Join(
		p.orderJobless(ctx, func(ctx context.Context, page db.Page) ([]db.Jobless, error) {
			return p.DB.UploadsWithoutJob(ctx, texts(UploadPending, UploadUploading), string(Wanted), page)
		}, func(row db.Jobless) jobs.Args { return jobs.Transfer{SegmentID: row.ID, Round: row.Round} }),
		p.orderJobless(ctx, func(ctx context.Context, page db.Page) ([]db.Jobless, error) {
			return p.DB.RunsWithoutJob(ctx, texts(RunPending, RunRunning), page)
		}, func(row db.Jobless) jobs.Args { return jobs.Hook{RunID: row.ID, Round: row.Round} }),
		p.orderJobless(ctx, func(ctx context.Context, page db.Page) ([]db.Jobless, error) {
			return p.DB.SubmissionsWithoutJob(ctx, texts(SubmissionWaiting, SubmissionSubmitting, SubmissionUnknown, SubmissionAppending), page)
		}, func(row db.Jobless) jobs.Args { return jobs.Submit{SubmissionID: row.ID, Round: row.Round} }),
		p.orderJobless(ctx, func(ctx context.Context, page db.Page) ([]db.Jobless, error) {
			return p.DB.ArchivesWithoutJob(ctx, texts(ArchiveReview, ArchiveScheduled, ArchiveRejected), page)
		}, func(row db.Jobless) jobs.Args { return jobs.Follow{SubmissionID: row.ID, Round: row.Round} }),
		p.advanceLeftBehind(ctx),
		p.retryRefused(ctx),
	)
}

func (p *Pipeline) orderJobless(ctx context.Context, list func(ctx context.Context, page db.Page) ([]db.Jobless, error), job func(db.Jobless) jobs.Args) error {
	page := db.Page{Most: sweepBatch}
	for {
		rows, err := list(ctx, page)
		if err != nil {
			return fmt.Errorf("look for work without a job: %w", err)
		}
		due := make([]jobs.Args, 0, len(rows))
		for _, row := range rows {
			due = append(due, job(row))
			page.After = row.ID
		}
		if err := p.DB.InTx(ctx, func(tx pgx.Tx, _ *db.Queries) error { return p.Orders.Order(ctx, tx, due...) }); err != nil {
			return err
		}
		if len(rows) < sweepBatch {
			return nil
		}
	}
}

// advanceLeftBehind looks at recordings for which something is due that nobody ordered.
func (p *Pipeline) advanceLeftBehind(ctx context.Context) error {
	var after int64
	for {
		behind, err := p.DB.RecordingsLeftBehind(ctx, db.RecordingsLeftBehindParams{After: after, MaxRows: sweepBatch})
		if err != nil {
			return fmt.Errorf("look for recordings left behind: %w", err)
		}
		for _, recordingID := range behind {
			if err := p.DB.InTx(ctx, func(tx pgx.Tx, _ *db.Queries) error { return p.Advance(ctx, tx, recordingID) }); err != nil {
				return err
			}
			after = recordingID
		}
		if len(behind) < sweepBatch {
			return nil
		}
	}
}

// wake gives everything that waits for a person another try at once.
func (p *Pipeline) wake(ctx context.Context) error {
	return errors.Join(p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		uploads, err := q.WaitingUploads(ctx, db.WaitingUploadsParams{Publish: string(Wanted), State: string(UploadPending)})
		if err != nil {
			return fmt.Errorf("wake uploads: %w", err)
		}
		var due []jobs.Args
		for _, row := range uploads {
			due = append(due, jobs.Transfer{SegmentID: row.SegmentID, Round: row.Round})
		}
		submissions, err := q.WaitingSubmissions(ctx, texts(SubmissionWaiting, SubmissionUnknown, SubmissionAppending))
		if err != nil {
			return fmt.Errorf("wake submissions: %w", err)
		}
		for _, row := range submissions {
			due = append(due, jobs.Submit{SubmissionID: row.ID, Round: row.Round})
		}
		return p.Orders.Order(ctx, tx, due...)
	}), p.retryRefused(ctx))
}

// retryRefused orders submissions again that were refused with a template which was changed since.
func (p *Pipeline) retryRefused(ctx context.Context) error {
	refused, err := p.DB.RefusedSubmissionsToRetry(ctx, string(SubmissionFailed))
	if err != nil {
		return fmt.Errorf("list refused submissions: %w", err)
	}
	for _, row := range refused {
		var retried bool
		err := p.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
			retried = false
			if _, err := p.Lock(ctx, tx, row.RecordingID); errors.Is(err, pgx.ErrNoRows) {
				return nil
			} else if err != nil {
				return err
			}
			submissions, err := q.LockSubmissions(ctx, row.RecordingID)
			if err != nil {
				return err
			}
			for _, submission := range submissions {
				if submission.ID == row.ID && SubmissionState(submission.State) == SubmissionFailed {
					retried = true
					return p.RestartSubmission(ctx, tx, submission)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if retried {
			p.Logger.Info("the template of a refused submission was changed; submitting again", "recording", row.RecordingID)
		}
	}
	return nil
}
