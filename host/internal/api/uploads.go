package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/upload"
)

// UploadVideos orders the publication of files that are there already.
func (s *Server) UploadVideos(ctx context.Context, request UploadVideosRequestObject) (UploadVideosResponseObject, error) {
	params, err := s.uploadParams(ctx, &request.Body.Params)
	if err != nil {
		return nil, err
	}
	files, err := s.mediaFiles(ctx, request.Body.Files)
	if err != nil {
		return nil, err
	}
	if err := s.checkSource(ctx, params, files[0]); err != nil {
		return nil, err
	}
	asSent, err := json.Marshal(request.Body.Params)
	if err != nil {
		return nil, fmt.Errorf("encode params: %w", err)
	}
	if err := s.uploads.Order(ctx, upload.Order{Params: params, Request: string(asSent), Files: files}); err != nil {
		return nil, refusal(err)
	}
	return UploadVideos200JSONResponse{}, nil
}

// uploadParams are the fields of a template as a request gives them, on top of the stored template that it names.
func (s *Server) uploadParams(ctx context.Context, body *TemplateDraft) (db.Template, error) {
	params := defaultTemplate()
	if body.TemplateName != nil {
		stored, err := s.db.TemplateByName(ctx, *body.TemplateName)
		switch {
		case err == nil:
			params = stored
		case !errors.Is(err, pgx.ErrNoRows):
			return params, err
		}
	}
	params, err := s.changedTemplate(params, body)
	if err == nil {
		err = checkTemplate(upload.CheckComplete(params))
	}
	var wrong *problem
	switch {
	case errors.As(err, &wrong):
		return params, wrong.within("params")
	case err != nil:
		return params, err
	case params.UserCookie != "":
		return params, nil
	}
	params.UserCookie, err = s.accounts.Default(ctx)
	if errors.Is(err, accounts.ErrNoDefault) {
		return params, invalid("params.user_cookie", reason.New(reason.APINoUploadAccount))
	}
	return params, err
}

// checkSource wants to know where a repost is from. For what was recorded here that is the room.
func (s *Server) checkSource(ctx context.Context, params db.Template, first upload.File) error {
	if params.Copyright != 2 || strings.TrimSpace(params.Source) != "" {
		return nil
	}
	recorded, err := s.db.RecordedFiles(ctx, []string{first.Path})
	if err != nil {
		return err
	}
	if len(recorded) == 0 {
		return invalid("params.source", reason.New(reason.APINoSource))
	}
	return nil
}

// RetrySegment begins the upload of one file anew.
func (s *Server) RetrySegment(ctx context.Context, request RetrySegmentRequestObject) (RetrySegmentResponseObject, error) {
	if err := s.uploads.RetrySegment(ctx, request.ID); err != nil {
		return nil, orNotFound(refusal(err), "segment", request.ID)
	}
	after, err := s.segmentNow(ctx, request.ID)
	return RetrySegment200JSONResponse{SegmentJSONResponse(after)}, err
}

// WaiveSegment lets a recording be published without one of its files.
func (s *Server) WaiveSegment(ctx context.Context, request WaiveSegmentRequestObject) (WaiveSegmentResponseObject, error) {
	if err := s.uploads.WaiveSegment(ctx, request.ID); err != nil {
		return nil, orNotFound(refusal(err), "segment", request.ID)
	}
	after, err := s.segmentNow(ctx, request.ID)
	return WaiveSegment200JSONResponse{SegmentJSONResponse(after)}, err
}

// RetryRecording begins anew whatever failed of a recording.
func (s *Server) RetryRecording(ctx context.Context, request RetryRecordingRequestObject) (RetryRecordingResponseObject, error) {
	retried, err := s.uploads.RetryRecording(ctx, request.ID)
	if err != nil {
		return nil, orNotFound(refusal(err), "recording", request.ID)
	}
	return RetryRecording200JSONResponse{Uploads: retried.Uploads, Submission: retried.Submission}, nil
}

// refusal gives a conflict its answer.
func refusal(err error) error {
	var refused *upload.ConflictError
	if errors.As(err, &refused) {
		return conflict("", said(err, reason.APIConflict).With("text", refused.Error()))
	}
	return err
}

func (s *Server) segmentNow(ctx context.Context, id int64) (Segment, error) {
	row, err := s.db.GetSegmentWithUpload(ctx, id)
	if err != nil {
		return Segment{}, orNotFound(err, "segment", id)
	}
	return segment(languageOf(ctx), db.ListSegmentsRow(row)), nil
}
