package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/upload"
)

const (
	recordingsDir = "recordings"
	// maxVideos bounds an answer, maxVideoEntries and maxVideoDepth the work for it.
	maxVideos       = 10_000
	maxVideoEntries = 200_000
	maxVideoDepth   = 16
)

var videoExtensions = []string{".flv", ".mp4", ".ts", ".mkv", ".webm", ".3gp", ".m4s", ".mov", ".avi"}

// ListVideos answers the video files below the recordings folder.
func (s *Server) ListVideos(ctx context.Context, _ ListVideosRequestObject) (ListVideosResponseObject, error) {
	root, err := os.OpenRoot(filepath.Join(s.dataDir, recordingsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return ListVideos200JSONResponse{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open recordings folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	found := videoSearch{root: root, budget: maxVideoEntries}
	if err := found.folder(ctx, ".", 0); err != nil {
		return nil, err
	}
	if found.cut {
		s.log.Warn("the recordings folder holds more than is listed as videos", "entries", maxVideoEntries, "depth", maxVideoDepth)
	}
	videos := found.videos
	slices.SortFunc(videos, func(a, b Video) int {
		if a.UpdateTime != b.UpdateTime {
			return int(max(-1, min(1, b.UpdateTime-a.UpdateTime)))
		}
		return strings.Compare(a.Name, b.Name)
	})
	videos = videos[:min(len(videos), maxVideos)]
	if err := s.markGrowing(ctx, videos); err != nil {
		return nil, err
	}
	for i := range videos {
		videos[i].Key = i + 1
	}
	return append(ListVideos200JSONResponse{}, videos...), nil
}

// markGrowing marks what is being written without a name that says so.
func (s *Server) markGrowing(ctx context.Context, videos []Video) error {
	files := make([]upload.File, 0, len(videos))
	for _, video := range videos {
		path := filepath.Join(s.dataDir, recordingsDir, filepath.FromSlash(video.Name))
		files = append(files, upload.File{Path: path, ModifiedAt: time.Unix(video.UpdateTime, 0)})
	}
	found, err := s.growthOf(ctx, files)
	if err != nil {
		return err
	}
	for i, file := range files {
		videos[i].Growing = videos[i].Growing || found.of(file.Path)
	}
	return nil
}

// videoSearch walks through folders that others write to meanwhile: what is gone when it is looked at is left out.
type videoSearch struct {
	root   *os.Root
	budget int
	// cut tells that the search gave up somewhere.
	cut    bool
	videos []Video
}

// folder adds the videos of one folder and those below it.
func (v *videoSearch) folder(ctx context.Context, name string, depth int) error {
	if depth > maxVideoDepth {
		v.cut = true
		return nil
	}
	dir, err := v.root.Open(name)
	if err != nil {
		return unlessGone(err)
	}
	defer func() { _ = dir.Close() }()
	for {
		// In parts: a folder with a million files must not be in memory at once.
		names, err := dir.Readdirnames(1000)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unlessGone(err)
		}
		for _, base := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if v.budget == 0 {
				v.cut = true
				return nil
			}
			v.budget--
			if err := v.entry(ctx, path.Join(name, base), depth); err != nil {
				return err
			}
		}
	}
}

// entry looks at one name. Links are not followed, not even to places inside: a file has one name.
func (v *videoSearch) entry(ctx context.Context, name string, depth int) error {
	info, err := v.root.Lstat(name)
	switch {
	case err != nil:
		return unlessGone(err)
	case info.IsDir() && path.Base(name) == folders.Trash:
		return nil // what was removed is no video any more
	case info.IsDir():
		return v.folder(ctx, name, depth+1)
	case !info.Mode().IsRegular() || !utf8.ValidString(name):
		return nil
	}
	finished, growing := strings.CutSuffix(name, growingSuffix)
	if slices.Contains(videoExtensions, strings.ToLower(path.Ext(finished))) {
		v.videos = append(v.videos, Video{Name: name, UpdateTime: info.ModTime().Unix(), Size: info.Size(), Growing: growing})
	}
	return nil
}

// unlessGone passes over what was renamed, removed, or may not be read: the rest can still be listed.
func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return fmt.Errorf("list recordings folder: %w", err)
}
