package upload

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/jobs"
	"github.com/lubod/lubod/host/internal/logs"
)

// ConflictError says why something that a person asked for cannot be done as things are.
type ConflictError struct{ text string }

func (e *ConflictError) Error() string { return e.text }

func conflict(format string, args ...any) error { return &ConflictError{fmt.Sprintf(format, args...)} }

// Retried tells what a retry began anew.
type Retried struct {
	Uploads    int
	Submission bool
}

// Locks are taken in one order everywhere: uploads, then their recording, then its submission.

// RetrySegment lets the upload of a segment begin anew after it failed, or at once while it waits for its next try. A
// segment that was waived becomes part of the submission again. pgx.ErrNoRows: there is no such segment.
func (s *Service) RetrySegment(ctx context.Context, segmentID int64) error {
	var row db.LockUploadRow
	err := s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		var submission *db.Submission
		var err error
		row, submission, err = lockSegment(ctx, q, segmentID)
		if err != nil {
			return err
		}
		if row.Segment.Publish == "waived" {
			if err := editable(submission, "the segment cannot come back"); err != nil {
				return err
			}
			if err := q.SetSegmentPublish(ctx, db.SetSegmentPublishParams{ID: segmentID, Publish: "wanted"}); err != nil {
				return fmt.Errorf("bring segment back: %w", err)
			}
		} else if row.Upload.State == "uploaded" {
			return conflict("the segment is uploaded: there is nothing to retry")
		}
		switch row.Upload.State {
		case "failed":
			err = s.restartUpload(ctx, tx, row.Segment)
		case "uploaded":
			err = s.RecordingEnded(ctx, tx, row.Segment.RecordingID)
		default:
			err = s.hurryTransfer(ctx, tx, segmentID)
		}
		return err
	})
	if err == nil {
		s.about(row.Segment.RecordingID, row.StreamerID).Info("a person retries an upload", "segment", segmentID, "was", row.Upload.State, logs.By(ctx))
	}
	return err
}

// RetryRecording begins anew everything that failed of a recording: uploads, and its submission. Nothing failed is no
// error. pgx.ErrNoRows: there is no such recording.
func (s *Service) RetryRecording(ctx context.Context, recordingID int64) (retried Retried, err error) {
	var recording db.Recording
	err = s.DB.InTx(ctx, func(tx pgx.Tx, _ *db.Queries) error {
		recording, retried, err = s.retryRecording(ctx, tx, recordingID)
		return err
	})
	if err == nil {
		s.tellRetried(ctx, recording, retried)
	}
	return retried, err
}

func (s *Service) tellRetried(ctx context.Context, recording db.Recording, retried Retried) {
	if retried != (Retried{}) {
		s.about(recording.ID, recording.StreamerID).Info("a person retries a recording", "uploads", retried.Uploads, "submission", retried.Submission, logs.By(ctx))
	}
}

func (s *Service) retryRecording(ctx context.Context, tx pgx.Tx, recordingID int64) (db.Recording, Retried, error) {
	q := s.DB.WithTx(tx)
	failed, err := q.LockFailedUploads(ctx, recordingID)
	if err != nil {
		return db.Recording{}, Retried{}, fmt.Errorf("lock uploads: %w", err)
	}
	recording, submission, err := lockSubmission(ctx, q, recordingID)
	if err != nil {
		return db.Recording{}, Retried{}, err
	}
	var retried Retried
	for _, row := range failed {
		if err := s.restartUpload(ctx, tx, row.Segment); err != nil {
			return db.Recording{}, Retried{}, err
		}
		retried.Uploads++
	}
	if submission != nil && submission.State == "failed" {
		retried.Submission = true
		if err := s.restartSubmission(ctx, tx, recordingID); err != nil {
			return db.Recording{}, Retried{}, err
		}
	}
	return recording, retried, nil
}

// WaiveSegment gives a segment up: its recording is submitted without it. A transfer that is under way comes to its end,
// and counts no more. pgx.ErrNoRows: there is no such segment.
func (s *Service) WaiveSegment(ctx context.Context, segmentID int64) error {
	var row db.LockUploadRow
	err := s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		var submission *db.Submission
		var err error
		row, submission, err = lockSegment(ctx, q, segmentID)
		if err != nil {
			return err
		}
		if row.Segment.Publish == "waived" {
			return nil
		}
		if err := editable(submission, "the segment cannot be given up"); err != nil {
			return err
		}
		err = q.SetSegmentPublish(ctx, db.SetSegmentPublishParams{ID: segmentID, Publish: "waived", Reason: "a person gave it up"})
		if err != nil {
			return fmt.Errorf("waive segment: %w", err)
		}
		return s.afterWaiving(ctx, tx, row.Segment.RecordingID, submission)
	})
	if err == nil && row.Segment.Publish != "waived" { // otherwise it was given up before
		s.about(row.Segment.RecordingID, row.StreamerID).Info("a person gave a segment up", "segment", segmentID, "upload", row.Upload.State, logs.By(ctx))
	}
	return err
}

// afterWaiving orders the submission if nothing else was missing, or drops it if nothing is left to submit.
func (s *Service) afterWaiving(ctx context.Context, tx pgx.Tx, recordingID int64, submission *db.Submission) error {
	q := s.DB.WithTx(tx)
	segments, err := q.RecordingSegments(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("read segments: %w", err)
	}
	for _, segment := range segments {
		if segment.Publish == "wanted" {
			return s.RecordingEnded(ctx, tx, recordingID)
		}
	}
	if submission == nil {
		return nil
	}
	if err := q.DeleteSubmission(ctx, recordingID); err != nil {
		return fmt.Errorf("drop submission: %w", err)
	}
	return db.FinishJobs(ctx, tx, submitArgs{}.Kind(), submitArgs{recordingID})
}

// lockSegment locks everything around one segment. The submission is nil while there is none.
func lockSegment(ctx context.Context, q *db.Queries, segmentID int64) (db.LockUploadRow, *db.Submission, error) {
	row, err := q.LockUpload(ctx, segmentID)
	if errors.Is(err, pgx.ErrNoRows) {
		segment, err := q.GetSegment(ctx, segmentID)
		if err != nil {
			return row, nil, fmt.Errorf("read segment: %w", err)
		}
		if segment.Publish == "wanted" {
			return row, nil, conflict("the segment waits for its segment_processor; /api/v1/status shows it under hooks, POST /api/v1/hooks/{id}/retry lets a held one go on")
		}
		return row, nil, conflict("the segment is not to be published (%s: %s); POST /api/v1/uploads publishes its file", segment.Publish, segment.Reason)
	}
	if err != nil {
		return row, nil, fmt.Errorf("lock upload: %w", err)
	}
	_, submission, err := lockSubmission(ctx, q, row.Segment.RecordingID)
	return row, submission, err
}

// lockSubmission locks a recording, and its submission if there is one.
func lockSubmission(ctx context.Context, q *db.Queries, recordingID int64) (db.Recording, *db.Submission, error) {
	recording, err := q.LockRecording(ctx, recordingID)
	if err != nil {
		return recording, nil, fmt.Errorf("lock recording: %w", err)
	}
	submission, err := q.LockSubmission(ctx, recordingID)
	if errors.Is(err, pgx.ErrNoRows) {
		return recording, nil, nil
	}
	if err != nil {
		return recording, nil, fmt.Errorf("lock submission: %w", err)
	}
	return recording, &submission, nil
}

// editable tells whether the parts of a submission can still change.
func editable(submission *db.Submission, what string) error {
	if submission == nil {
		return nil
	}
	switch submission.State {
	case "accepted":
		return conflict("%s: the recording is published as %s", what, submission.BVID)
	case "submitting", "unknown":
		return conflict("%s: the recording is being submitted with the parts it has; wait until /api/v1/status shows how that ended", what)
	}
	return nil
}

// restartUpload orders a failed transfer again. A file that a person ordered is taken as it is now.
func (s *Service) restartUpload(ctx context.Context, tx pgx.Tx, segment db.Segment) error {
	if err := s.takeFile(ctx, tx, segment); err != nil {
		return err
	}
	if err := s.DB.WithTx(tx).RestartUpload(ctx, segment.ID); err != nil {
		return fmt.Errorf("restart upload: %w", err)
	}
	// The job that failed has nothing more to do: "failed" was its last step.
	if err := db.FinishJobs(ctx, tx, transferArgs{}.Kind(), transferArgs{segment.ID}); err != nil {
		return fmt.Errorf("end old job: %w", err)
	}
	return s.hurryTransfer(ctx, tx, segment.ID)
}

func (s *Service) takeFile(ctx context.Context, tx pgx.Tx, segment db.Segment) error {
	if segment.ModifiedAt == nil {
		return nil
	}
	file, err := statFile(segment.Path)
	switch {
	case err != nil:
		return conflict("%v", err)
	case file == nil:
		return conflict("the file is gone: put it back at %s, or give the segment up (POST /api/v1/segments/%d/waive)", segment.Path, segment.ID)
	case file.SizeBytes == 0:
		return conflict("%s is empty: put the file back, or give the segment up (POST /api/v1/segments/%d/waive)", segment.Path, segment.ID)
	case sameState(segment, *file):
		return nil
	}
	q := s.DB.WithTx(tx)
	if err := q.SetSegmentFile(ctx, db.SetSegmentFileParams{ID: segment.ID, SizeBytes: file.SizeBytes, ModifiedAt: file.ModifiedAt}); err != nil {
		return fmt.Errorf("take file as it is: %w", err)
	}
	if err := q.ForgetCheckpoint(ctx, segment.ID); err != nil {
		return fmt.Errorf("forget checkpoint: %w", err)
	}
	return renewRequestKey(ctx, q, segment.RecordingID)
}

// renewRequestKey lets the same request about the files as they are now be recognised.
func renewRequestKey(ctx context.Context, q *db.Queries, recordingID int64) error {
	recording, err := q.GetRecording(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("read recording: %w", err)
	}
	rows, err := q.ManualFiles(ctx, recordingID)
	if err != nil {
		return fmt.Errorf("read files: %w", err)
	}
	files := make([]File, 0, len(rows))
	for _, row := range rows {
		files = append(files, File{Path: row.Path, SizeBytes: row.SizeBytes, ModifiedAt: *row.ModifiedAt})
	}
	key := filesKey(files)
	key = (*recording.RequestKey)[:len(key)] + key
	if err := q.SetRequestKey(ctx, db.SetRequestKeyParams{ID: recordingID, RequestKey: key}); err != nil {
		return fmt.Errorf("renew request key: %w", err)
	}
	return nil
}

// hurryTransfer makes sure that a transfer has a job, and that this one waits no longer.
func (s *Service) hurryTransfer(ctx context.Context, tx pgx.Tx, segmentID int64) error {
	if _, err := s.client.InsertTx(ctx, tx, transferArgs{segmentID}, jobs.Once(transferQueue)); err != nil {
		return fmt.Errorf("order transfer: %w", err)
	}
	if err := db.HurryJob(ctx, tx, transferArgs{}.Kind(), transferArgs{segmentID}); err != nil {
		return fmt.Errorf("hurry transfer: %w", err)
	}
	return nil
}

// restartSubmission orders a failed submission again. What was sent before is looked up first: the archive may exist,
// made by Bilibili after all or by the person who retries.
func (s *Service) restartSubmission(ctx context.Context, tx pgx.Tx, recordingID int64) error {
	if err := s.DB.WithTx(tx).RestartSubmission(ctx, recordingID); err != nil {
		return fmt.Errorf("restart submission: %w", err)
	}
	if err := db.FinishJobs(ctx, tx, submitArgs{}.Kind(), submitArgs{recordingID}); err != nil {
		return fmt.Errorf("end old job: %w", err)
	}
	if _, err := s.client.InsertTx(ctx, tx, submitArgs{recordingID}, jobs.Once(submitQueue)); err != nil {
		return fmt.Errorf("order submission: %w", err)
	}
	return nil
}

// retryRefused orders submissions again that were refused with a template which was changed since.
func (s *Service) retryRefused(ctx context.Context) error {
	refused, err := s.DB.RefusedSubmissionsToRetry(ctx)
	if err != nil {
		return fmt.Errorf("list refused submissions: %w", err)
	}
	for _, recordingID := range refused {
		var recording db.Recording
		var submission *db.Submission
		err := s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) (err error) {
			recording, submission, err = lockSubmission(ctx, q, recordingID)
			if err != nil || submission == nil || submission.State != "failed" {
				return err
			}
			return s.restartSubmission(ctx, tx, recordingID)
		})
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if submission != nil && submission.State == "failed" {
			s.about(recordingID, recording.StreamerID).Info("the template of a refused submission was changed; submitting again", "refusal", submission.Refusal)
		}
	}
	return nil
}

// orderLostTransfers orders transfers whose job ended although they have not: a segment came back from being waived just
// as its job found nothing to do.
func (s *Service) orderLostTransfers(ctx context.Context) error {
	lost, err := s.DB.UploadsWithoutJob(ctx, transferArgs{}.Kind())
	if err != nil {
		return fmt.Errorf("list uploads without a job: %w", err)
	}
	for _, segmentID := range lost {
		if _, err := s.client.Insert(ctx, transferArgs{segmentID}, jobs.Once(transferQueue)); err != nil {
			return fmt.Errorf("order transfer: %w", err)
		}
	}
	return nil
}
