package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/settings"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/line"
)

// transferJob does one try to carry a segment to Bilibili. It waits for its slot first and reads afterwards: while it waits, the
// segment may be given up, the account changed and its login refreshed.
func (s *Service) transferJob(ctx context.Context, job jobs.Transfer) jobs.Outcome {
	if err := s.slots.acquire(ctx, s.uploadLimit); err != nil {
		return jobs.Again(s.Pace.Database)
	}
	defer s.slots.release()
	claim, end := s.Jobs.Claims.Begin()
	defer end()
	work, err := s.claimUpload(ctx, job, claim)
	switch {
	case errors.Is(err, pipeline.ErrBusy):
		return jobs.Again(s.Pace.Turn)
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, pipeline.ErrLost):
		return jobs.Done() // the segment is gone, or it is not its turn (any more)
	case err != nil:
		return jobs.Again(s.Pace.RetryMax)
	}
	t := transfer{Service: s, claim: claim, work: work}
	result, err := t.send(ctx)
	switch {
	case err == nil:
		return t.finish(ctx, result)
	case ctx.Err() != nil, errors.Is(err, pipeline.ErrLost):
		t.release(ctx) // the host stops: the checkpoint is saved, the next start goes on from it
		return jobs.Done()
	}
	return t.postpone(ctx, err)
}

// uploadLimit is how many transfers may run at once. A configuration that cannot be used stops none: each says so where a person
// sees it.
func (s *Service) uploadLimit(ctx context.Context) (int, error) {
	row, err := s.DB.RoomConfiguration(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("read configuration: %w", err)
	}
	global, err := settings.Layered(row.Global)
	if err != nil {
		global = settings.DefaultConfiguration()
	}
	return global.UploadLimit, nil
}

// transfer is one try, with the row that it holds as it was when the try began.
type transfer struct {
	*Service
	claim uuid.UUID
	work  db.UploadWorkRow
}

// claimUpload takes the row and reads it.
func (s *Service) claimUpload(ctx context.Context, job jobs.Transfer, claim uuid.UUID) (work db.UploadWorkRow, err error) {
	err = s.saver().Persist(ctx, "transfer", func(ctx context.Context) error {
		if err := s.Pipeline.ClaimUpload(ctx, job, claim, s.Jobs.Claims.Living(claim)); err != nil {
			return err
		}
		work, err = s.DB.UploadWork(ctx, job.SegmentID)
		return err
	}, pipeline.ErrLost)
	return work, err
}

func (t transfer) release(ctx context.Context) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.Pace.Linger)
	defer cancel()
	// A claim that stays is that of a dead worker, which anybody may take.
	_ = t.DB.ReleaseUpload(longer, db.ReleaseUploadParams{SegmentID: t.work.Segment.ID, Claim: t.claim})
}

func (t transfer) log() *slog.Logger {
	return t.about(t.work.Recording.ID, t.work.Recording.StreamerID).With("segment", t.work.Segment.ID)
}

// send sends the segment over one line, from the last checkpoint where the line can use it.
func (t transfer) send(ctx context.Context) (line.Result, error) {
	work := t.work
	account, err := t.account(ctx, work.Recording)
	if err != nil {
		return line.Result{}, err
	}
	configuration, err := t.configuration(ctx, work.Recording.StreamerID)
	if err != nil {
		return line.Result{}, err
	}
	choice, err := t.chooseLine(ctx, configuration, work.Upload)
	if err != nil {
		return line.Result{}, err
	}
	name := choice.Name
	lease, err := t.Lines.Lease(ctx, name)
	if err != nil {
		// The plugin manager starts plugins again by itself; that one is down says nothing about this file.
		return line.Result{}, missing(withCause(reason.New(reason.UploadLineDown, "line", name), err))
	}
	defer lease.Release()
	if err := checkFile(work.Segment); err != nil {
		return line.Result{}, err
	}
	checkpoint := work.Upload.Checkpoint
	if name != work.Upload.Line || account.File != work.Upload.AccountFile {
		checkpoint = nil
	}
	if err := t.Pipeline.UploadStarted(ctx, work.Segment.ID, t.claim, choice, account.File); err != nil {
		return line.Result{}, fmt.Errorf("mark upload: %w", err)
	}
	logger := t.log().With("line", name)
	if !choice.Why.IsZero() {
		logger.Info("this is not the configured line", "configured", configuration.Lines, "reason", choice.Why.Text(reason.English))
	}
	logger.Info("transfer starts", "path", work.Segment.Path, "size_bytes", work.Segment.SizeBytes, "resumed", len(checkpoint) > 0)
	result, err := lease.Upload(ctx, line.File{
		Line: name, Path: work.Segment.Path, Name: filepath.Base(work.Segment.Path),
		Cookies: account.Cookies, Threads: configuration.Threads, Checkpoint: checkpoint,
	}, t.progress(ctx, logger))
	return result, t.judge(ctx, name, account, result, err)
}

// progress keeps where a transfer stands.
func (t transfer) progress(ctx context.Context, logger *slog.Logger) func(line.Progress) error {
	saved := true
	return func(progress line.Progress) error {
		err := t.Pipeline.UploadProgressed(ctx, t.work.Segment.ID, t.claim, progress.Checkpoint, progress.AcknowledgedBytes)
		if err != nil && ctx.Err() == nil {
			// The transfer is worth more than its checkpoint: the next one says all that this one would have said.
			if saved {
				logger.Warn("checkpoints cannot be saved; the transfer goes on", "error", err)
			}
			saved = false
			return nil
		}
		saved = true
		return err
	}
}

// judge says what an answer of a line is worth.
func (t transfer) judge(ctx context.Context, name string, account *bilibili.Account, result line.Result, err error) error {
	// Whatever came of it: what was sent of a file that changed meanwhile is worth nothing.
	if err := checkFile(t.work.Segment); err != nil && ctx.Err() == nil {
		return err
	}
	if err == nil && result.RemoteName == "" {
		err = sdk.Errorf(sdk.Bug, "line %s stored the file and does not tell under which name", name)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && sdk.KindOf(err) == sdk.LoginRequired:
		return t.rejected(ctx, account, err)
	}
	return said(err)
}

// finish commits a stored file.
func (t transfer) finish(ctx context.Context, result line.Result) jobs.Outcome {
	stored := pipeline.Stored{RemoteName: result.RemoteName, RemoteID: result.RemoteID, SizeBytes: t.work.Segment.SizeBytes}
	err := t.saver().PersistLonger(ctx, "uploaded segment", func(ctx context.Context) error {
		return t.Pipeline.Uploaded(ctx, t.work.Recording.ID, t.work.Segment.ID, t.claim, stored)
	}, pipeline.ErrLost)
	switch {
	case errors.Is(err, pipeline.ErrLost), errors.Is(err, pgx.ErrNoRows):
		t.log().Info("a stored segment is not its row's affair any more", "remote_name", result.RemoteName)
		return jobs.Done()
	case err != nil:
		return jobs.Again(t.afterTrouble(err))
	}
	t.log().Info("segment uploaded", "remote_name", result.RemoteName)
	return jobs.Done()
}

// postpone commits what went wrong and when the next try is.
func (t transfer) postpone(ctx context.Context, cause error) jobs.Outcome {
	verdict := t.Pace.Judge(pipeline.Transfer, failureOf(cause, pipeline.Host), int(t.work.Upload.Attempts), 0)
	kept := setback(verdict, cause)
	err := t.saver().Persist(ctx, "failed transfer", func(ctx context.Context) error {
		return t.Pipeline.UploadFailed(ctx, t.work.Segment.ID, t.claim, kept)
	}, pipeline.ErrLost)
	if errors.Is(err, pipeline.ErrLost) {
		return jobs.Done()
	}
	if err != nil {
		return jobs.Again(t.afterTrouble(err))
	}
	switch {
	case verdict.Final:
		t.log().Error("transfer failed; a person has to look", "error", cause)
		return jobs.Done()
	case t.work.Upload.Error != kept.Text:
		t.log().Warn("transfer failed", "error", cause, "next_try_in", verdict.Wait)
	}
	return jobs.Again(verdict.Wait)
}

// rejected makes a refused login be checked before its next use. Whether a person has to act is what that check finds: it may
// be refreshed, or replaced already.
func (s *Service) rejected(ctx context.Context, account *bilibili.Account, cause error) error {
	if err := s.Accounts.Rejected(ctx, account); err != nil {
		return err
	}
	return missing(withCause(reason.New(reason.UploadLogin, "file", account.File), cause))
}

// withCause gives a reason the text of what led to it.
func withCause(why reason.Reason, cause error) reason.Reason { return why.With("cause", cause.Error()) }

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
		return nil, missing(reason.New(reason.UploadNoAccount, "template", template.TemplateName))
	case errors.Is(err, bilibili.ErrNoAccount):
		return nil, missing(withCause(reason.New(reason.UploadAccount), err))
	}
	return account, err
}

func (s *Service) template(ctx context.Context, q *db.Queries, recording db.Recording) (db.Template, error) {
	if recording.Params != nil {
		return db.DecodeParams(recording.Params)
	}
	if recording.TemplateName == nil {
		return db.Template{}, missing(reason.New(reason.UploadNoTemplate))
	}
	template, err := q.TemplateByName(ctx, *recording.TemplateName)
	if errors.Is(err, pgx.ErrNoRows) {
		return db.Template{}, missing(reason.New(reason.UploadTemplateGone, "template", *recording.TemplateName))
	}
	if err != nil {
		return db.Template{}, fmt.Errorf("read template: %w", err)
	}
	return template, nil
}
