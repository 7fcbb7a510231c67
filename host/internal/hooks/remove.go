package hooks

import (
	"context"
	"slices"

	"github.com/lubod/lubod/db"
)

// remove deletes the files of a recording that Bilibili accepted, and those that were never to be published. Which they
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
	ids := make([]int64, 0, len(removable))
	for _, segment := range removable {
		ids = append(ids, segment.ID)
	}
	for _, segment := range a.facts.segments {
		if !slices.Contains(ids, segment.ID) {
			a.logger.Info("a file is kept: it was not published, and nobody chose that it never be", "segment", segment.ID, "publish", segment.Publish, "path", segment.Path)
		}
	}
	// First the rows: one that says "removed" while its file is still there is mended by the next try.
	err = a.saver().Persist(ctx, "removed files", func(ctx context.Context) error { return a.DB.MarkSegmentsRemoved(ctx, ids) })
	if err != nil {
		return err
	}
	for _, segment := range removable {
		for _, path := range append([]string{segment.Path}, companionsOf(segment.Path)...) {
			if err := forget(path); err != nil {
				return err
			}
		}
		a.logger.Info("file removed", "segment", segment.ID, "path", segment.Path)
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
