package api

import (
	"context"
	"fmt"
	"time"

	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/upload"
)

// growingSuffix is what a recorder leaves on a file until it is finished.
const growingSuffix = ".part"

// settledAfter is how long a file must not have changed until nobody is taken to be writing it. What downloads a stream in
// pieces appends one every few seconds.
const settledAfter = 15 * time.Second

// watchFiles is how long files that changed just now are looked at before they are published, where nobody can tell who has
// them open.
const watchFiles = 3 * time.Second

// growing refuses a file that somebody is still writing.
func growing(field, name string) *problem {
	return conflict(field, aboutFile(reason.APIFileGrowing, name))
}

// growth is what is known of files that somebody may be writing, by their paths.
type growth struct {
	// recorded are those that a recorder writes under their final names.
	recorded map[string]bool
	// young are those that changed just now.
	young map[string]bool
}

func (g growth) of(path string) bool { return g.recorded[path] || g.young[path] }

// growthOf finds out which files may still be written: by a recorder, or by anybody else, who can only be told by the file's
// having changed just now. What was recorded to its end is finished, however young it is.
func (s *Server) growthOf(ctx context.Context, files []upload.File) (growth, error) {
	found := growth{make(map[string]bool), make(map[string]bool)}
	if len(files) == 0 {
		return found, nil
	}
	now := time.Now()
	var paths, young []string
	for _, file := range files {
		paths = append(paths, file.Path)
		// The clock of a network disk may be ahead a little; one that is far off tells nothing.
		if now.Sub(file.ModifiedAt).Abs() < settledAfter {
			young = append(young, file.Path)
			found.young[file.Path] = true
		}
	}
	written, err := s.db.FilesBeingRecorded(ctx, paths)
	if err != nil {
		return growth{}, err
	}
	for _, path := range written {
		found.recorded[path] = true
	}
	if len(young) == 0 {
		return found, nil
	}
	rows, err := s.db.RecordedFiles(ctx, young)
	if err != nil {
		return growth{}, err
	}
	for _, row := range rows {
		delete(found.young, row.Segment.Path)
	}
	return found, nil
}

// refuseWritten refuses the first of some files, which have the given names in a request, that is being written: by a recorder,
// or by anybody else who has a young one open. unsure tells whether there are young ones of which only time can tell.
func (s *Server) refuseWritten(ctx context.Context, names []string, files []upload.File) (unsure bool, err error) {
	found, err := s.growthOf(ctx, files)
	if err != nil {
		return false, err
	}
	for i, file := range files {
		written := found.recorded[file.Path]
		if found.young[file.Path] && !written {
			writers := s.writersOf(file.Path)
			written = writers == folders.SomeWriter
			unsure = unsure || writers == folders.WritersUnknown
		}
		if written {
			return false, growing(fmt.Sprintf("files.%d", i), names[i])
		}
	}
	return unsure, nil
}
