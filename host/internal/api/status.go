package api

import (
	"context"

	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/settings"
)

// GetStatus answers everything that is under way, and why something is not.
func (s *Server) GetStatus(ctx context.Context, _ GetStatusRequestObject) (GetStatusResponseObject, error) {
	stored, err := s.db.GetConfiguration(ctx)
	if err != nil {
		return nil, err
	}
	configuration, err := settings.Layered(stored)
	if err != nil {
		return nil, err
	}
	catalog := s.plugins.Options()
	shown, err := shownConfiguration(stored, catalog)
	if err != nil {
		return nil, err
	}
	counts, err := s.db.WorkCounts(ctx)
	if err != nil {
		return nil, err
	}
	status := Status{
		Version: s.version, Config: shown,
		DownloadSemaphore: max(0, configuration.DownloadLimit-int(counts.Recordings)),
		UpdateSemaphore:   max(0, configuration.UploadLimit-int(counts.Uploads)),
	}
	if status.Rooms, err = s.statusRooms(ctx, catalog, stored); err != nil {
		return nil, err
	}
	if status.Recordings, err = s.statusRecordings(ctx); err != nil {
		return nil, err
	}
	if status.Uploads, err = s.statusUploads(ctx); err != nil {
		return nil, err
	}
	if status.Submissions, err = s.statusSubmissions(ctx); err != nil {
		return nil, err
	}
	if status.Hooks, err = s.statusHooks(ctx); err != nil {
		return nil, err
	}
	return GetStatus200JSONResponse(status), nil
}

func (s *Server) statusRooms(ctx context.Context, catalog *settings.Catalog, stored []byte) ([]Room, error) {
	streamers, err := s.db.StreamerStates(ctx, nil)
	if err != nil {
		return nil, err
	}
	templates, err := s.db.ListTemplates(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]Template, len(templates))
	for _, t := range templates {
		byName[t.TemplateName] = template(t)
	}
	shown, doubts := newRoomView(catalog, stored), s.doubts(ctx)
	rooms := make([]Room, 0, len(streamers))
	for _, row := range streamers {
		state := streamerState(row, shown, doubts)
		room := Room{
			DownloaderStatus: state.Status, UploaderStatus: state.UploadStatus, LiveStreamer: state.Inner, UploadStreamer: orNull[Template](nil),
			Reason: state.Reason, ReasonCode: state.ReasonCode, ReasonArgs: state.ReasonArgs, Action: state.Action, StateKnownAt: state.StateKnownAt,
		}
		if t, ok := byName[text(row.Streamer.TemplateName)]; ok {
			room.UploadStreamer.Set(t)
		}
		rooms = append(rooms, room)
	}
	return rooms, nil
}

func (s *Server) statusRecordings(ctx context.Context) ([]OpenRecording, error) {
	rows, err := s.db.OpenRecordings(ctx)
	if err != nil {
		return nil, err
	}
	recordings := make([]OpenRecording, 0, len(rows))
	for _, r := range rows {
		recordings = append(recordings, OpenRecording{
			ID: r.ID, StreamerID: orNull(r.StreamerID), URL: r.URL, Remark: r.Remark, StreamTitle: r.Title, State: RecordingState(r.State),
			StartTime: r.StartedAt.UTC(), ResumeUntil: utc(r.ResumeUntil), Segments: r.Segments, SizeBytes: r.SizeBytes,
		})
	}
	return recordings, nil
}

func (s *Server) statusUploads(ctx context.Context) ([]OpenUpload, error) {
	rows, err := s.db.OpenUploads(ctx)
	if err != nil {
		return nil, err
	}
	uploads := make([]OpenUpload, 0, len(rows))
	for _, u := range rows {
		failed := tell(languageOf(ctx), because(u.Reason, u.Error))
		uploads = append(uploads, OpenUpload{
			SegmentID: u.SegmentID, StreamerInfoID: u.RecordingID, Kind: RecordingKind(u.Kind), FilePath: u.Path, FileSize: u.SizeBytes,
			State: UploadState(u.State), Line: u.Line, AcknowledgedBytes: u.AcknowledgedBytes, Attempts: u.Attempts,
			Error: failed.text, ReasonCode: failed.code, ReasonArgs: failed.args, Action: failed.action, LineReason: why(languageOf(ctx), u.LineReason),
		})
	}
	return uploads, nil
}

func (s *Server) statusSubmissions(ctx context.Context) ([]OpenSubmission, error) {
	rows, err := s.db.RecentSubmissions(ctx)
	if err != nil {
		return nil, err
	}
	submissions := make([]OpenSubmission, 0, len(rows))
	for _, r := range rows {
		cause := because(r.Reason, r.Error)
		if cause.IsZero() && r.Archive == string(pipeline.ArchiveRejected) {
			cause = rejectedReason(r.BVID, r.ArchiveText)
		}
		why := tell(languageOf(ctx), cause)
		submissions = append(submissions, OpenSubmission{
			StreamerInfoID: r.RecordingID, Kind: RecordingKind(r.Kind), StreamerID: orNull(r.StreamerID), State: SubmissionState(r.State), Title: r.Title, Parts: r.Parts,
			Aid: r.AID, Bvid: r.BVID, Attempts: r.Attempts, SubmittedAt: utc(r.SubmittedAt), AcceptedAt: utc(r.AcceptedAt),
			Error: why.text, ReasonCode: why.code, ReasonArgs: why.args, Action: why.action,
			FilteredFiles: unlessNone(r.FilteredFiles), FilteredBytes: unlessNone(r.FilteredBytes),
			Number: &r.Number, Archive: (*ArchiveFate)(&r.Archive), ArchiveText: &r.ArchiveText,
		})
	}
	return submissions, nil
}
