package api

import (
	"context"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/reason"
)

const recordingsPerPage = 1000

// ListRecordings answers what was recorded, the newest first.
func (s *Server) ListRecordings(ctx context.Context, request ListRecordingsRequestObject) (ListRecordingsResponseObject, error) {
	params := db.ListRecordingsParams{Before: request.Params.Before, MaxRows: recordingsPerPage}
	if request.Params.Limit != nil {
		params.MaxRows = *request.Params.Limit
	}
	rows, err := s.db.ListRecordings(ctx, params)
	if err != nil {
		return nil, err
	}
	recordings := make([]Recording, 0, len(rows))
	for _, row := range rows {
		recordings = append(recordings, recording(languageOf(ctx), row))
	}
	return ListRecordings200JSONResponse(recordings), nil
}

func recording(in reason.Language, row db.ListRecordingsRow) Recording {
	r := Recording{
		ID: row.ID, TemplateName: orNull(row.TemplateName), StreamTitle: row.Title, StreamerName: row.StreamerName, Remark: &row.Remark, StartTime: row.StartedAt.UTC(),
		VideoPath: row.VideoPath, EndTime: utc(row.EndedAt), State: RecordingState(row.State), StreamerID: orNull(row.StreamerID), URL: row.URL,
		Submission: orNull[Submission](nil),
	}
	files := tell(in, reason.Parse(row.Reason))
	r.Reason, r.ReasonCode, r.ReasonArgs, r.Action = files.textOrNil(), files.code, files.args, files.action
	if row.SubmissionID != 0 {
		why := tell(in, because(row.SubmissionReason, row.SubmissionError))
		r.Submission.Set(Submission{
			State: SubmissionState(row.SubmissionState), Title: row.SubmissionTitle, Aid: row.AID, Bvid: row.BVID,
			Attempts: row.SubmissionAttempts,
			Error:    why.text, ReasonCode: why.code, ReasonArgs: why.args, Action: why.action,
			FilteredFiles: unlessNone(row.FilteredFiles), FilteredBytes: unlessNone(row.FilteredBytes),
		})
	}
	return r
}

// ListSegments answers the files of one recording.
func (s *Server) ListSegments(ctx context.Context, request ListSegmentsRequestObject) (ListSegmentsResponseObject, error) {
	if _, err := s.db.GetRecording(ctx, request.ID); err != nil {
		return nil, orNotFound(err, "recording", request.ID)
	}
	rows, err := s.db.ListSegments(ctx, request.ID)
	if err != nil {
		return nil, err
	}
	segments := make([]Segment, 0, len(rows))
	for _, row := range rows {
		segments = append(segments, segment(languageOf(ctx), row))
	}
	return ListSegments200JSONResponse(segments), nil
}

func segment(in reason.Language, row db.ListSegmentsRow) Segment {
	g := row.Segment
	left := tell(in, because(g.ReasonData, g.Reason))
	s := Segment{
		ID: g.ID, StreamerInfoID: g.RecordingID, FilePath: g.Path, FileSize: g.SizeBytes, Duration: float64(g.DurationMs) / 1000, Index: g.Index,
		StartTime: g.StartedAt.UTC(), EndTime: g.EndedAt.UTC(), Publish: SegmentPublish(g.Publish), Upload: orNull[Upload](nil), RemovedAt: utc(g.RemovedAt),
		Reason: left.text, ReasonCode: left.code, ReasonArgs: left.args, Action: left.action,
	}
	if row.UploadID != nil {
		failed := tell(in, because(row.UploadReason, row.UploadError))
		s.Upload.Set(Upload{
			State: UploadState(row.UploadState), Line: row.Line, AcknowledgedBytes: row.AcknowledgedBytes, Attempts: row.UploadAttempts,
			Error: failed.text, ReasonCode: failed.code, ReasonArgs: failed.args, Action: failed.action, LineReason: why(in, row.LineReason),
		})
	}
	return s
}

// unlessNone leaves a number out that says nothing.
func unlessNone(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
