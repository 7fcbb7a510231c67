package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// transferWorker runs the job of one segment.
type transferWorker struct {
	river.WorkerDefaults[transferArgs]
	service *Service
}

// Work does one try. It never answers with an error: what to do next is in the row, where a person sees it.
func (w *transferWorker) Work(ctx context.Context, job *river.Job[transferArgs]) error {
	s, segmentID := w.service, job.Args.SegmentID
	defer s.known.Begin(job.ID)()
	work, err := s.uploadWork(ctx, segmentID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // the segment is gone, and its file is not ours to publish any more
	}
	if err != nil {
		return river.JobSnooze(0) // the host stops
	}
	if work.Upload.State == "uploaded" || work.Upload.State == "failed" || work.Segment.Publish != "wanted" {
		return nil
	}
	result, err := s.transfer(ctx, work)
	if err == nil {
		return s.finish(ctx, work, result)
	}
	if ctx.Err() != nil {
		return river.JobSnooze(0) // the host stops: the checkpoint is saved, the next start goes on from it
	}
	return s.postpone(ctx, work, err)
}

// uploadWork reads what a job is about.
func (s *Service) uploadWork(ctx context.Context, segmentID int64) (work db.UploadWorkRow, err error) {
	err = s.saver().Persist(ctx, "transfer", func(ctx context.Context) error {
		work, err = s.DB.UploadWork(ctx, segmentID)
		return err
	})
	return work, err
}

func (s *Service) aboutSegment(work db.UploadWorkRow) *slog.Logger {
	return s.about(work.Recording.ID, work.Recording.StreamerID).With("segment", work.Segment.ID)
}

func again(ctx context.Context, wait time.Duration) error {
	if ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	return river.JobSnooze(wait)
}

// transfer sends one segment over one line, from the last checkpoint where the line can use it.
func (s *Service) transfer(ctx context.Context, work db.UploadWorkRow) (line.Result, error) {
	account, err := s.account(ctx, work.Recording)
	if err != nil {
		return line.Result{}, err
	}
	limit := func(ctx context.Context) (int, error) {
		global, err := s.configuration(ctx, nil)
		return global.UploadLimit, err
	}
	if err := s.slots.acquire(ctx, limit); err != nil {
		return line.Result{}, err
	}
	defer s.slots.release()

	// Only now: while the transfer waited for its slot, the configuration may have changed.
	configuration, err := s.configuration(ctx, work.Recording.StreamerID)
	if err != nil {
		return line.Result{}, err
	}
	name, err := s.chooseLine(ctx, configuration, work.Upload)
	if err != nil {
		return line.Result{}, err
	}
	lease, err := s.Lines.Lease(ctx, name)
	if err != nil {
		// The plugin manager starts plugins again by itself; that one is down says nothing about this file.
		return line.Result{}, &operatorError{fmt.Sprintf("line %s: %v", name, err)}
	}
	defer lease.Release()
	if err := checkFile(work.Segment); err != nil {
		return line.Result{}, err
	}
	checkpoint := work.Upload.Checkpoint
	if name != work.Upload.Line || account.File != work.Upload.AccountFile {
		checkpoint = nil
	}
	started := db.StartUploadParams{SegmentID: work.Segment.ID, Line: name, AccountFile: account.File}
	if err := s.DB.StartUpload(ctx, started); err != nil {
		return line.Result{}, fmt.Errorf("mark upload: %w", err)
	}
	logger := s.aboutSegment(work).With("line", name)
	logger.Info("transfer starts", "path", work.Segment.Path, "size_bytes", work.Segment.SizeBytes, "resumed", len(checkpoint) > 0)
	result, err := lease.Upload(ctx, line.File{
		Line: name, Path: work.Segment.Path, Name: filepath.Base(work.Segment.Path),
		Cookies: account.Cookies, Threads: configuration.Threads, Checkpoint: checkpoint,
	}, func(progress line.Progress) error {
		err := s.DB.SaveCheckpoint(ctx, db.SaveCheckpointParams{
			SegmentID: work.Segment.ID, Checkpoint: progress.Checkpoint, AcknowledgedBytes: progress.AcknowledgedBytes,
		})
		if err != nil && ctx.Err() == nil {
			// The transfer is worth more than its checkpoint: the next one says all that this one would have said.
			logger.Warn("checkpoint cannot be saved", "error", err)
			return nil
		}
		return err
	})
	// Whatever came of it: what was sent of a file that changed meanwhile is worth nothing.
	if err := checkFile(work.Segment); err != nil && ctx.Err() == nil {
		return line.Result{}, err
	}
	if err == nil && result.RemoteName == "" {
		err = sdk.Errorf(sdk.Bug, "line %s stored the file and does not tell under which name", name)
	}
	if err != nil && ctx.Err() == nil && sdk.KindOf(err) == sdk.LoginRequired {
		return line.Result{}, s.rejected(ctx, account, err)
	}
	if err != nil {
		return line.Result{}, &lineError{err}
	}
	return result, nil
}

// rejected makes a refused login be checked before its next use. Whether a person has to act is what that check finds: it may
// be refreshed, or replaced already.
func (s *Service) rejected(ctx context.Context, account *bilibili.Account, cause error) error {
	if err := s.Accounts.Rejected(ctx, account); err != nil {
		return err
	}
	return &operatorError{fmt.Sprintf("the login in %q was refused, and is checked before the next try: %v", account.File, cause)}
}

// account loads the login that the recording's template names, if the template can be published with at all: what is uploaded
// for an archive that is refused is uploaded in vain.
func (s *Service) account(ctx context.Context, recording db.Recording) (*bilibili.Account, error) {
	template, err := s.template(ctx, s.DB.Queries, recording)
	if err != nil {
		return nil, err
	}
	if err := checkFields(recording, template); err != nil {
		return nil, err
	}
	return s.login(ctx, template)
}

func (s *Service) login(ctx context.Context, template db.Template) (*bilibili.Account, error) {
	account, err := s.Accounts.Account(ctx, template.UserCookie)
	switch {
	case errors.Is(err, accounts.ErrNoDefault):
		return nil, &operatorError{fmt.Sprintf(
			"template %q names no account; set user_cookie, put a cookies.json into the data directory, or have exactly one account in /api/v1/users", template.TemplateName)}
	case errors.Is(err, bilibili.ErrNoAccount):
		return nil, &operatorError{err.Error()}
	}
	return account, err
}

func (s *Service) template(ctx context.Context, q *db.Queries, recording db.Recording) (db.Template, error) {
	if recording.Params != nil {
		return db.DecodeParams(recording.Params)
	}
	if recording.TemplateName == nil {
		return db.Template{}, &operatorError{"the recording has no template"}
	}
	template, err := q.TemplateByName(ctx, *recording.TemplateName)
	if errors.Is(err, pgx.ErrNoRows) {
		return db.Template{}, &operatorError{fmt.Sprintf("template %q does not exist; create it to publish this recording", *recording.TemplateName)}
	}
	if err != nil {
		return db.Template{}, fmt.Errorf("read template: %w", err)
	}
	return template, nil
}

// finish commits a stored file, and orders the submission when it was the last one missing.
func (s *Service) finish(ctx context.Context, work db.UploadWorkRow, result line.Result) error {
	err := s.saver().PersistLonger(ctx, "uploaded segment", func(ctx context.Context) error {
		return s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
			err := q.FinishUpload(ctx, db.FinishUploadParams{
				SegmentID: work.Segment.ID, RemoteName: result.RemoteName, RemoteID: result.RemoteID, SizeBytes: work.Segment.SizeBytes,
			})
			if err != nil {
				return err
			}
			return s.RecordingEnded(ctx, tx, work.Recording.ID)
		})
	})
	if err != nil {
		return again(ctx, s.Pace.Database)
	}
	s.aboutSegment(work).Info("segment uploaded", "remote_name", result.RemoteName)
	return nil
}

// postpone writes down what went wrong and when the next try is.
func (s *Service) postpone(ctx context.Context, work db.UploadWorkRow, cause error) error {
	verdict := s.Pace.judgeTransfer(cause, int(work.Upload.Attempts))
	reason := db.Text(cause.Error())
	err := s.saver().Persist(ctx, "failed transfer", func(ctx context.Context) error {
		if verdict.final {
			return s.DB.FailUpload(ctx, db.FailUploadParams{SegmentID: work.Segment.ID, Error: reason})
		}
		counted := int32(0)
		if verdict.counted {
			counted = 1
		}
		return s.DB.PostponeUpload(ctx, db.PostponeUploadParams{SegmentID: work.Segment.ID, Error: reason, Counted: counted})
	})
	if err != nil {
		return again(ctx, s.Pace.Database)
	}
	if work.Upload.Error != cause.Error() {
		s.aboutSegment(work).Warn("transfer failed", "error", cause, "final", verdict.final, "next_try_in", verdict.wait)
	}
	if verdict.final {
		return nil
	}
	return river.JobSnooze(verdict.wait)
}
