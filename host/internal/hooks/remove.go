package hooks

import (
	"context"
	"slices"
	"strings"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/pipeline"
	"github.com/lubod/lubod/host/internal/reason"
)

// removable tells whether files may go: every archive of the recording is public. Accepted is not public: Bilibili refuses archives
// hours later, and then the files are all there is. A recording without an archive has nothing to wait for.
func (a attempt) removable(ctx context.Context) error {
	var archives []db.ArchivesOfRecordingRow
	err := a.saver().Persist(ctx, "archives", func(ctx context.Context) (err error) {
		archives, err = a.DB.ArchivesOfRecording(ctx, a.run.RecordingID)
		return err
	})
	if err != nil {
		return err
	}
	for _, archive := range archives {
		switch pipeline.Archive(archive.Archive) {
		case pipeline.ArchivePublic:
		case pipeline.ArchiveUnknown:
			return &hopelessError{"nothing came of the archive " + archive.BVID + " for a month, so its files are kept"}
		case pipeline.ArchiveRejected:
			return &waiting{reason.New(reason.SubmissionArchive, "bvid", archive.BVID, "words", archive.ArchiveText)}
		default:
			return &waiting{reason.New(reason.SubmissionNotPublic, "words", firstOf(archive.ArchiveText, archive.Archive))}
		}
	}
	return nil
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}

// remove puts the files of a recording that is public into the trash, and those that were never to be published. Which they
// are is asked of the database now; whatever else the recording has stays.
func (a attempt) remove(ctx context.Context) error {
	if Stage(a.run.Stage) != Postprocessor {
		return &hopelessError{"files are removed only after they were published; put rm into the postprocessor"}
	}
	var removable []db.Segment
	err := a.saver().Persist(ctx, "files to remove", func(ctx context.Context) (err error) {
		removable, err = a.DB.RemovableSegments(ctx, a.run.RecordingID)
		return err
	})
	if err != nil {
		return err
	}
	keep, err := a.trashTime(ctx)
	if err != nil {
		return err
	}
	ids := make([]int64, 0, len(removable))
	for _, segment := range removable {
		ids = append(ids, segment.ID)
	}
	for _, segment := range a.facts.segments {
		if !slices.Contains(ids, segment.ID) {
			a.logger.Info("a file is kept: it is not public, and nobody said that it never will be", "segment", segment.ID, "publish", segment.Publish, "path", segment.Path)
		}
	}
	// First the rows: one that says "removed" while its file is still there is mended by the next try.
	err = a.saver().Persist(ctx, "removed files", func(ctx context.Context) error { return a.DB.MarkSegmentsRemoved(ctx, ids) })
	if err != nil {
		return err
	}
	for _, segment := range removable {
		for _, path := range append([]string{segment.Path}, companionsOf(segment.Path)...) {
			if err := a.discard(path, segment.ID, keep); err != nil {
				return err
			}
		}
		a.logger.Info("file removed", "segment", segment.ID, "path", segment.Path, "kept_in_trash", keep)
	}
	return nil
}

func companionsOf(path string) []string {
	var names []string
	for _, ending := range companions {
		names = append(names, stem(path)+ending)
	}
	return names
}
