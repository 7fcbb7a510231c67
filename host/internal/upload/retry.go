package upload

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/logs"
	"github.com/lubod/lubod/host/internal/pipeline"
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

// RetrySegment lets the upload of a segment begin anew after it failed, or at once while it waits for its next try. A
// segment that was waived becomes part of the submission again. pgx.ErrNoRows: there is no such segment.
func (s *Service) RetrySegment(ctx context.Context, segmentID int64) error {
	var row db.LockUploadRow
	err := s.DB.InTx(ctx, func(tx pgx.Tx, q *db.Queries) error {
		var submissions []db.Submission
		var err error
		row, submissions, err = s.lockSegment(ctx, tx, segmentID)
		if err != nil {
			return err
		}
		upload := pipeline.UploadState(row.Upload.State)
		if pipeline.Publish(row.Segment.Publish) == pipeline.Waived {
			if err := returnable(submissions); err != nil {
				return err
			}
			if err := s.Pipeline.Waived(ctx, tx, row.Segment.RecordingID, segmentID, pipeline.Wanted); err != nil {
				return err
			}
		} else if upload == pipeline.UploadUploaded {
			return conflict("the segment is uploaded: there is nothing to retry")
		}
		if upload == pipeline.UploadUploaded {
			return nil
		}
		return s.restartUpload(ctx, tx, row.Segment, upload)
	})
	if err == nil {
		logs.By(ctx, s.about(row.Segment.RecordingID, row.StreamerID)).Info("a person retries an upload", "segment", segmentID, "was", row.Upload.State)
	}
	return err
}

// RetryRecording begins anew everything that failed of a recording: uploads, and its submission. Nothing failed is no
// error. pgx.ErrNoRows: there is no such recording.
func (s *Service) RetryRecording(ctx context.Context, recordingID int64) (retried Retried, err error) {
	var recording db.Recording
	err = s.DB.InTx(ctx, func(tx pgx.Tx, _ *db.Queries) error {
		if recording, err = s.Pipeline.Lock(ctx, tx, recordingID); err != nil {
			return err
		}
		retried, err = s.retryRecording(ctx, tx, recordingID)
		return err
	})
	if err == nil {
		s.tellRetried(ctx, recording, retried)
	}
	return retried, err
}

func (s *Service) tellRetried(ctx context.Context, recording db.Recording, retried Retried) {
	if retried != (Retried{}) {
		logs.By(ctx, s.about(recording.ID, recording.StreamerID)).Info("a person retries a recording", "uploads", retried.Uploads, "submission", retried.Submission)
	}
}

// retryRecording works on a recording that is locked.
func (s *Service) retryRecording(ctx context.Context, tx pgx.Tx, recordingID int64) (retried Retried, err error) {
	q := s.DB.WithTx(tx)
	failed, err := q.LockFailedUploads(ctx, db.LockFailedUploadsParams{
		RecordingID: recordingID, Publish: string(pipeline.Wanted), State: string(pipeline.UploadFailed),
	})
	if err != nil {
		return retried, fmt.Errorf("lock uploads: %w", err)
	}
	submissions, err := q.LockSubmissions(ctx, recordingID)
	if err != nil {
		return retried, fmt.Errorf("lock submissions: %w", err)
	}
	for _, row := range failed {
		if err := s.restartUpload(ctx, tx, row.Segment, pipeline.UploadFailed); err != nil {
			return Retried{}, err
		}
		retried.Uploads++
	}
	for _, submission := range submissions {
		if pipeline.SubmissionState(submission.State) == pipeline.SubmissionFailed {
			retried.Submission = true
			if err := s.Pipeline.RestartSubmission(ctx, tx, submission); err != nil {
				return Retried{}, err
			}
		}
	}
	return retried, nil
}

// WaiveSegment gives a segment up: its recording is submitted without it. A transfer that is under way comes to its end,
// and counts no more. pgx.ErrNoRows: there is no such segment.
func (s *Service) WaiveSegment(ctx context.Context, segmentID int64) error {
	var row db.LockUploadRow
	waived := false
	err := s.DB.InTx(ctx, func(tx pgx.Tx, _ *db.Queries) error {
		var submissions []db.Submission
		var err error
		row, submissions, err = s.lockSegment(ctx, tx, segmentID)
		if err != nil {
			return err
		}
		if waived = pipeline.Publish(row.Segment.Publish) == pipeline.Waived; waived {
			return nil
		}
		if err := removable(submissions, row.Upload.RemoteName); err != nil {
			return err
		}
		return s.Pipeline.Waived(ctx, tx, row.Segment.RecordingID, segmentID, pipeline.Waived)
	})
	if err == nil && !waived { // otherwise it was given up before
		logs.By(ctx, s.about(row.Segment.RecordingID, row.StreamerID)).Info("a person gave a segment up", "segment", segmentID, "upload", row.Upload.State)
	}
	return err
}

// lockSegment locks everything around one segment.
func (s *Service) lockSegment(ctx context.Context, tx pgx.Tx, segmentID int64) (db.LockUploadRow, []db.Submission, error) {
	q := s.DB.WithTx(tx)
	recordingID, err := q.RecordingOfSegment(ctx, segmentID)
	if err != nil {
		return db.LockUploadRow{}, nil, fmt.Errorf("read segment: %w", err)
	}
	if _, err := s.Pipeline.Lock(ctx, tx, recordingID); err != nil {
		return db.LockUploadRow{}, nil, err
	}
	row, err := q.LockUpload(ctx, segmentID)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, nil, notUploading(ctx, q, segmentID)
	}
	if err != nil {
		return row, nil, fmt.Errorf("lock upload: %w", err)
	}
	submissions, err := q.LockSubmissions(ctx, recordingID)
	if err != nil {
		return row, nil, fmt.Errorf("lock submissions: %w", err)
	}
	return row, submissions, nil
}

// notUploading says why a segment has no upload.
func notUploading(ctx context.Context, q *db.Queries, segmentID int64) error {
	segment, err := q.GetSegment(ctx, segmentID)
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	switch pipeline.Publish(segment.Publish) {
	case pipeline.Wanted:
		return conflict("the segment waits for its segment_processor; /api/v1/status shows it under hooks, POST /api/v1/hooks/{id}/retry lets a held one go on")
	case pipeline.Undecided:
		return conflict("the segment is smaller than filtering_threshold; what becomes of it is decided when its recording ends")
	}
	return conflict("the segment is not to be published (%s: %s); POST /api/v1/uploads publishes its file", segment.Publish, segment.Reason)
}

// removable tells whether a segment can still be left out: it is in no archive, nor in one that is about to be.
func removable(submissions []db.Submission, part string) error {
	const what = "the segment cannot be given up"
	for _, submission := range submissions {
		in := part != "" && (slices.Contains(submission.Parts, part) || slices.Contains(submission.Appending, part))
		switch {
		case !in:
		case submission.AID != 0:
			return conflict("%s: it is published in %s", what, submission.BVID)
		case outstanding(submission):
			return conflict("%s: %s", what, beingSubmitted)
		}
	}
	return nil
}

// returnable tells whether a segment that was given up can come back: there is no archive without it, nor may there be one.
func returnable(submissions []db.Submission) error {
	const what = "the segment cannot come back"
	for _, submission := range submissions {
		switch {
		case submission.AID != 0:
			return conflict("%s: the recording is published as %s; POST /api/v1/uploads publishes its file", what, submission.BVID)
		case outstanding(submission):
			return conflict("%s: %s", what, beingSubmitted)
		}
	}
	return nil
}

const beingSubmitted = "the recording is being submitted with the parts it has; wait until /api/v1/status shows how that ended"

// outstanding tells whether an archive may have been made just now.
func outstanding(submission db.Submission) bool {
	state := pipeline.SubmissionState(submission.State)
	return state == pipeline.SubmissionSubmitting || state == pipeline.SubmissionUnknown
}

// restartUpload orders a transfer anew that failed, or that waits. A file that a person ordered is taken as it is now.
func (s *Service) restartUpload(ctx context.Context, tx pgx.Tx, segment db.Segment, was pipeline.UploadState) error {
	if was == pipeline.UploadFailed {
		if err := s.takeFile(ctx, tx, segment); err != nil {
			return err
		}
	}
	return s.Pipeline.RestartUpload(ctx, tx, segment.ID)
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
	return s.renewRequestKey(ctx, q, segment.RecordingID)
}

// renewRequestKey lets the same request about the files as they are now be recognised.
func (s *Service) renewRequestKey(ctx context.Context, q *db.Queries, recordingID int64) error {
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
	key := s.filesKey(files)
	key = (*recording.RequestKey)[:len(key)] + key
	if err := q.SetRequestKey(ctx, db.SetRequestKeyParams{ID: recordingID, RequestKey: key}); err != nil {
		return fmt.Errorf("renew request key: %w", err)
	}
	return nil
}
