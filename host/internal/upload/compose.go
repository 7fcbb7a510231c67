package upload

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/accounts"
	"github.com/lubod/lubod/host/internal/bilibili"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
)

// compose makes an archive of a recording as its template says now, with as many parts as one request takes.
func (s *Service) compose(ctx context.Context, row db.Submission) (*bilibili.Account, bilibili.Archive, error) {
	recording, template, account, err := s.publisher(ctx, row.RecordingID)
	if err != nil {
		return nil, bilibili.Archive{}, err
	}
	parts, err := s.parts(ctx, s.DB.Queries, row, account, template.TemplateName)
	if err != nil {
		return nil, bilibili.Archive{}, err
	}
	if len(parts) == 0 {
		return nil, bilibili.Archive{}, errPartsChanged // what there was a moment ago was given up
	}
	configuration, err := s.configuration(ctx, recording.StreamerID)
	if err != nil {
		return nil, bilibili.Archive{}, err
	}
	archive := describe(recording, template, parts[:min(len(parts), int(row.PartLimit))], configuration.Zone())
	if row.Number > 1 {
		archive.Title = numbered(archive.Title, int(row.Number))
	}
	archive.Via = bilibili.Via(configuration.SubmitVia())
	archive.Cover, err = s.cover(ctx, account, recording, template)
	return account, archive, err
}

// publisher is how a recording is published, and by which account.
func (s *Service) publisher(ctx context.Context, recordingID int64) (db.Recording, db.Template, *bilibili.Account, error) {
	recording, err := s.DB.GetRecording(ctx, recordingID)
	if err != nil {
		return recording, db.Template{}, nil, fmt.Errorf("read recording: %w", err)
	}
	template, err := s.template(ctx, s.DB.Queries, recording)
	if err != nil {
		return recording, template, nil, err
	}
	if err := checkFields(recording, template); err != nil {
		return recording, template, nil, err
	}
	account, err := s.login(ctx, template)
	return recording, template, account, err
}

func (s *Service) via(ctx context.Context, recording db.Recording) (bilibili.Via, error) {
	configuration, err := s.configuration(ctx, recording.StreamerID)
	if err != nil {
		return "", err
	}
	return bilibili.Via(configuration.SubmitVia()), nil
}

// numbered is the title of a further archive of the same recording, within the limit.
func numbered(title string, number int) string {
	suffix := fmt.Sprintf(" (%d)", number)
	return clip(title, maxTitle-len(suffix)) + suffix
}

// parts are those of the recording that no other archive of it has, in order. It refuses to leave a hole.
func (s *Service) parts(ctx context.Context, q *db.Queries, row db.Submission, account *bilibili.Account, template string) ([]bilibili.Part, error) {
	segments, elsewhere, err := due(ctx, q, row)
	if err != nil {
		return nil, err
	}
	var parts []bilibili.Part
	for _, segment := range segments {
		index := strconv.Itoa(int(segment.Index))
		switch {
		case pipeline.UploadState(segment.UploadState) != pipeline.UploadUploaded:
			return nil, missing(reason.New(reason.SubmissionNotReady, "index", index))
		case slices.Contains(elsewhere, segment.RemoteName):
			continue
		case !sameAccount(segment.AccountFile, account.File):
			return nil, missing(reason.New(reason.SubmissionOther, "index", index, "had", segment.AccountFile, "template", template, "has", account.File))
		}
		parts = append(parts, bilibili.Part{Title: partTitle(segment.Path, int(segment.Index)), Filename: segment.RemoteName, CID: segment.RemoteID})
	}
	return parts, nil
}

// due lists the segments that a recording publishes, and the parts that are in other archives of it than this one.
func due(ctx context.Context, q *db.Queries, row db.Submission) (segments []db.RecordingSegmentsRow, elsewhere []string, err error) {
	all, err := q.RecordingSegments(ctx, row.RecordingID)
	if err != nil {
		return nil, nil, fmt.Errorf("read segments: %w", err)
	}
	for _, segment := range all {
		if pipeline.Publish(segment.Publish) == pipeline.Wanted {
			segments = append(segments, segment)
		}
	}
	submissions, err := q.RecordingSubmissions(ctx, row.RecordingID)
	if err != nil {
		return nil, nil, fmt.Errorf("read submissions: %w", err)
	}
	for _, other := range submissions {
		if other.ID != row.ID {
			elsewhere = append(elsewhere, other.Parts...)
		}
	}
	return segments, elsewhere, nil
}

// remaining are the parts of the recording that no other archive of it has; one that is not uploaded has no name.
func remaining(ctx context.Context, q *db.Queries, row db.Submission) (parts []string, err error) {
	segments, elsewhere, err := due(ctx, q, row)
	if err != nil {
		return nil, err
	}
	for _, segment := range segments {
		if !slices.Contains(elsewhere, segment.RemoteName) {
			parts = append(parts, segment.RemoteName)
		}
	}
	return parts, nil
}

// stillTheParts compares what a recording publishes with what is about to be sent. It is locked.
func stillTheParts(ctx context.Context, q *db.Queries, row db.Submission, composed []string) error {
	parts, err := remaining(ctx, q, row)
	if err != nil {
		return err
	}
	if !slices.Equal(parts[:min(len(parts), int(row.PartLimit))], composed) {
		return errPartsChanged
	}
	return nil
}

// sameAccount compares names of cookie files, which have two spellings.
func sameAccount(a, b string) bool {
	localA, errA := accounts.LocalName(a)
	localB, errB := accounts.LocalName(b)
	return errA == nil && errB == nil && localA == localB
}

func filenames(parts []bilibili.Part) []string {
	names := make([]string, 0, len(parts))
	for _, part := range parts {
		names = append(names, part.Filename)
	}
	return names
}
