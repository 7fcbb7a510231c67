package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
)

// submitWorker runs the job of one recording.
//
// The steps around the one call that creates an archive are: commit "submitting" with the parts, call, commit the
// answer. Whoever finds "submitting" at the start of a job knows that the answer was lost and looks the archive up by
// its parts before any other try, so that a crash at any point never makes two archives.
type submitWorker struct {
	river.WorkerDefaults[submitArgs]
	service *Service
}

// Work does one step. Like a transfer it never answers with an error: the state is in the row.
func (w *submitWorker) Work(ctx context.Context, job *river.Job[submitArgs]) error {
	s := w.service
	defer s.known.Begin(job.ID)()
	step, err := s.submitStep(ctx, job.Args.RecordingID)
	switch {
	case err != nil && ctx.Err() == nil:
		return river.JobSnooze(s.Pace.Retry)
	case err != nil:
		return river.JobSnooze(0)
	case step.done:
		return nil
	}
	return again(ctx, step.wait)
}

type step struct {
	done bool
	wait time.Duration
}

// submission is the row that a job is about, as it was when the job began, with the log for lines about it.
type submission struct {
	db.Submission
	age    time.Duration // since its last change
	logger *slog.Logger
}

// fate is what became of the last submit when its archive has to be looked up.
func (s submission) fate() string {
	if s.Refusal != 0 {
		return fmt.Sprintf("Bilibili refused the last submit with code %d", s.Refusal)
	}
	return "the answer to the last submit was lost"
}

// submitStep does what a submission needs next. An error is in the log; the step is tried again.
func (s *Service) submitStep(ctx context.Context, recordingID int64) (step, error) {
	var row db.GetSubmissionRow
	err := s.saver().Persist(ctx, "submission", func(ctx context.Context) (err error) {
		row, err = s.DB.GetSubmission(ctx, recordingID)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return step{done: true}, nil
	}
	logger := s.about(recordingID, row.StreamerID)
	var next step
	if err == nil {
		next, err = s.nextStep(ctx, submission{row.Submission, time.Duration(row.AgeSeconds * float64(time.Second)), logger})
	}
	if err != nil && ctx.Err() == nil {
		logger.Warn("submission cannot go on, trying again", "error", err)
	}
	return next, err
}

func (s *Service) nextStep(ctx context.Context, submission submission) (step, error) {
	switch submission.State {
	case "accepted", "failed":
		return step{done: true}, nil
	case "submitting", "unknown":
		// Jobs are also woken early, after a restart for example; a look that comes too early proves nothing.
		if early := s.Pace.Lookup - submission.age; early > 0 {
			return step{wait: early}, nil
		}
		return s.lookUp(ctx, submission)
	}
	return s.submit(ctx, submission)
}

// submit creates the archive.
func (s *Service) submit(ctx context.Context, submission submission) (step, error) {
	account, archive, err := s.compose(ctx, submission.RecordingID)
	if err != nil {
		return s.held(ctx, submission, err)
	}
	err = s.DB.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
		if err := stillTheParts(ctx, q, submission.RecordingID, filenames(archive)); err != nil {
			return err
		}
		return q.SubmissionSent(ctx, db.SubmissionSentParams{
			RecordingID: submission.RecordingID, AccountFile: account.File, Title: archive.Title,
			Parts: filenames(archive), SubmittedAt: time.Now(),
		})
	})
	if errors.Is(err, errPartsChanged) {
		return step{}, nil
	}
	if err != nil {
		return step{}, fmt.Errorf("mark submission: %w", err)
	}
	accepted, err := s.Archives.Submit(ctx, account, archive)
	if loginRefused(err) {
		err = s.rejected(ctx, account, err)
	}
	if err != nil {
		return s.refused(ctx, submission, err)
	}
	return s.accepted(ctx, submission, accepted)
}

// errPartsChanged means that a person waived a segment, or took one back, while the archive was being composed.
var errPartsChanged = errors.New("the parts of the recording changed")

// stillTheParts locks a recording and compares what it publishes with what is about to be sent.
func stillTheParts(ctx context.Context, q *db.Queries, recordingID int64, composed []string) error {
	if _, err := q.LockRecording(ctx, recordingID); err != nil {
		return fmt.Errorf("lock recording: %w", err)
	}
	segments, err := q.RecordingSegments(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("read segments: %w", err)
	}
	var parts []string
	for _, segment := range segments {
		if segment.Publish == "wanted" {
			parts = append(parts, segment.RemoteName)
		}
	}
	if !slices.Equal(parts, composed) {
		return errPartsChanged
	}
	return nil
}

// lookUp decides whether the archive of a lost answer exists. The list may be late, so only several looks that find
// nothing, some time apart, allow another submit.
func (s *Service) lookUp(ctx context.Context, submission submission) (step, error) {
	account, err := s.Accounts.Account(ctx, submission.AccountFile)
	if err != nil {
		return s.stillUnknown(ctx, submission, err)
	}
	accepted, err := s.Archives.Find(ctx, account, submission.Parts, *submission.SubmittedAt)
	switch {
	case err == nil:
		return s.accepted(ctx, submission, accepted)
	case loginRefused(err):
		return s.stillUnknown(ctx, submission, s.rejected(ctx, account, err))
	case !errors.Is(err, bilibili.ErrNoArchive):
		return s.stillUnknown(ctx, submission, err)
	case submission.Lookups+1 < lookups:
		return s.stillUnknown(ctx, submission, fmt.Errorf("look %d of %d: %w", submission.Lookups+1, lookups, err))
	}
	if submission.Attempts >= maxLost {
		const text = "%d submits were answered as duplicates or not at all, and no archive with these parts is in the list; " +
			"look into the creator centre and make the archive there"
		err := s.setState(ctx, submission.RecordingID, "failed", fmt.Sprintf(text, submission.Attempts))
		if err == nil {
			submission.logger.Error("submission given up", "attempts", submission.Attempts)
		}
		return step{done: true}, err
	}
	err = s.setState(ctx, submission.RecordingID, "waiting", submission.fate()+", and no archive exists: submitting again")
	if err == nil {
		submission.logger.Info("there is no archive of the last submit; submitting again", "last_submit", submission.fate())
	}
	return step{wait: s.Pace.backoff(int(submission.Attempts))}, err
}

func (s *Service) stillUnknown(ctx context.Context, submission submission, cause error) (step, error) {
	reason := db.Text(submission.fate() + "; looking the archive up: " + cause.Error())
	looked := errors.Is(cause, bilibili.ErrNoArchive)
	err := s.DB.SubmissionLookedUp(ctx, db.SubmissionLookedUpParams{RecordingID: submission.RecordingID, Looked: looked, Error: reason})
	if err == nil && submission.Error != reason {
		submission.logger.Warn("it is not known whether there is an archive", "last_submit", submission.fate(), "lookup", cause)
	}
	return step{wait: s.Pace.lookupWait(cause)}, err
}

func (s *Service) accepted(ctx context.Context, submission submission, accepted bilibili.Accepted) (step, error) {
	err := s.saver().PersistLonger(ctx, "accepted archive", func(ctx context.Context) error {
		return s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
			if _, err := q.LockRecording(ctx, submission.RecordingID); err != nil {
				return err
			}
			err := q.SubmissionAccepted(ctx, db.SubmissionAcceptedParams{
				RecordingID: submission.RecordingID, AID: accepted.AID, BVID: accepted.BVID, AcceptedAt: time.Now(),
			})
			if err != nil {
				return err
			}
			return s.Hooks.AfterPublication(ctx, tx, submission.RecordingID)
		})
	})
	if err == nil {
		submission.logger.Info("archive accepted", "bvid", accepted.BVID)
	}
	return step{done: true}, err
}

// held writes down why nothing can be submitted yet. Trouble of this host, such as a database that is away, is no reason.
func (s *Service) held(ctx context.Context, submission submission, cause error) (step, error) {
	var missing *operatorError
	var hopeless *hopelessError
	switch {
	case errors.As(cause, &hopeless):
		err := s.setState(ctx, submission.RecordingID, "failed", cause.Error())
		if err == nil {
			submission.logger.Error("submission given up", "error", cause)
		}
		return step{done: true}, err
	case errors.As(cause, &missing):
		err := s.setState(ctx, submission.RecordingID, "waiting", cause.Error())
		if err == nil && submission.Error != cause.Error() {
			submission.logger.Warn("submission waits", "error", cause)
		}
		return step{wait: s.Pace.Operator}, err
	}
	return step{}, cause
}

// hopelessError is a recording that cannot be submitted as it is.
type hopelessError struct{ text string }

func (e *hopelessError) Error() string { return e.text }

// refused writes down why there is no archive (or perhaps none) and when the next try is.
func (s *Service) refused(ctx context.Context, submission submission, cause error) (step, error) {
	verdict := s.Pace.judgeSubmit(cause, int(submission.Attempts))
	state := "waiting"
	switch {
	case verdict.unknown:
		state = "unknown"
	case verdict.final:
		state = "failed"
	}
	var answer *bilibili.RefusedError
	refusal := 0
	if verdict.final && errors.As(cause, &answer) {
		refusal = answer.Code
	}
	err := s.saver().PersistLonger(ctx, "submission", func(ctx context.Context) error {
		return s.DB.SubmissionRefused(ctx, db.SubmissionRefusedParams{
			RecordingID: submission.RecordingID, State: state, Error: db.Text(cause.Error() + advice(cause)), Refusal: int32(refusal), Counted: verdict.counted,
		})
	})
	if err == nil {
		submission.logger.Warn("submission not accepted", "state", state, "error", cause, "next_try_in", verdict.wait)
	}
	return step{done: state == "failed", wait: verdict.wait}, err
}

func (s *Service) setState(ctx context.Context, recordingID int64, state, reason string) error {
	return s.saver().Persist(ctx, "submission", func(ctx context.Context) error {
		return s.DB.SubmissionState(ctx, db.SubmissionStateParams{RecordingID: recordingID, State: state, Error: db.Text(reason)})
	})
}

func filenames(archive bilibili.Archive) []string {
	names := make([]string, 0, len(archive.Videos))
	for _, video := range archive.Videos {
		names = append(names, video.Filename)
	}
	return names
}

// compose makes the archive of a recording as its template says now. It refuses to leave a hole.
func (s *Service) compose(ctx context.Context, recordingID int64) (*bilibili.Account, bilibili.Archive, error) {
	recording, err := s.DB.GetRecording(ctx, recordingID)
	if err != nil {
		return nil, bilibili.Archive{}, fmt.Errorf("read recording: %w", err)
	}
	template, err := s.template(ctx, s.DB.Queries, recording)
	if err != nil {
		return nil, bilibili.Archive{}, err
	}
	if err := checkFields(recording, template); err != nil {
		return nil, bilibili.Archive{}, err
	}
	account, err := s.login(ctx, template)
	if err != nil {
		return nil, bilibili.Archive{}, err
	}
	segments, err := s.DB.RecordingSegments(ctx, recordingID)
	if err != nil {
		return nil, bilibili.Archive{}, fmt.Errorf("read segments: %w", err)
	}
	var parts []bilibili.Part
	for _, segment := range segments {
		if segment.Publish != "wanted" {
			continue
		}
		if segment.UploadState != "uploaded" {
			return nil, bilibili.Archive{}, &operatorError{fmt.Sprintf("segment %d is not uploaded", segment.Index)}
		}
		if !sameAccount(segment.AccountFile, account.File) {
			return nil, bilibili.Archive{}, &operatorError{fmt.Sprintf(
				"segment %d was uploaded with account %q and belongs to it; set user_cookie of template %q back from %q to submit",
				segment.Index, segment.AccountFile, template.TemplateName, account.File)}
		}
		stem := strings.TrimSuffix(filepath.Base(segment.Path), filepath.Ext(segment.Path))
		parts = append(parts, bilibili.Part{Title: clip(stem, maxTitle), Filename: segment.RemoteName, CID: segment.RemoteID})
	}
	if len(parts) == 0 {
		return nil, bilibili.Archive{}, &operatorError{"every segment was given up: nothing is left to submit"}
	}
	if len(parts) > bilibili.MaxParts {
		return nil, bilibili.Archive{}, &hopelessError{fmt.Sprintf(
			"the recording has %d parts and an archive takes %d; join or waive some", len(parts), bilibili.MaxParts)}
	}
	configuration, err := s.configuration(ctx, recording.StreamerID)
	if err != nil {
		return nil, bilibili.Archive{}, err
	}
	archive := describe(recording, template, parts, configuration.Zone())
	archive.Via = bilibili.Via(configuration.SubmitVia())
	archive.Cover, err = s.cover(ctx, account, recording, template)
	return account, archive, err
}

// sameAccount compares names of cookie files, which have two spellings.
func sameAccount(a, b string) bool {
	localA, errA := accounts.LocalName(a)
	localB, errB := accounts.LocalName(b)
	return errA == nil && errB == nil && localA == localB
}
