package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/reason"
	"github.com/lubod/lubod/host/internal/upload"
)

// maxFileBytes is what Bilibili processes of one file; larger ones are taken and fail there hours later.
const maxFileBytes = 32 << 30

// badFile refuses a file that is there, and says why.
func badFile(field, name, code string, more ...string) *problem {
	p := invalid(field, aboutFile(code, name, more...))
	p.status, p.code = http.StatusUnprocessableEntity, codeFile
	return p
}

// aboutFile is a reason that names a file.
func aboutFile(code, name string, more ...string) reason.Reason {
	return reason.New(code, append(more, "file", quoted(name))...)
}

// mediaFiles finds the files that a request names in its field files, each by any name that an answer of this server gives it,
// and makes sure that nobody is writing them.
func (s *Server) mediaFiles(ctx context.Context, names []string) ([]upload.File, error) {
	files, err := s.findFiles(ctx, names)
	if err != nil {
		return nil, err
	}
	unsure, err := s.refuseWritten(ctx, names, files)
	if err != nil || !unsure {
		return files, err
	}
	// A script may have finished its file this moment, and so may a writer pause between two pieces: a look at it tells.
	select {
	case <-time.After(s.watchFiles):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	again, err := s.findFiles(ctx, names)
	if err != nil {
		return nil, err
	}
	for i := range files {
		if again[i] != files[i] {
			return nil, growing(fmt.Sprintf("files.%d", i), names[i])
		}
	}
	return files, nil
}

func (s *Server) findFiles(ctx context.Context, names []string) ([]upload.File, error) {
	folder := filepath.Join(s.dataDir, recordingsDir)
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open recordings folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	recorded, err := s.recorded(ctx, names)
	if err != nil {
		return nil, err
	}
	files, paths := make([]upload.File, 0, len(names)), make([]string, 0, len(names))
	for i, name := range names {
		field := fmt.Sprintf("files.%d", i)
		find := func() (upload.File, error) { return findMedia(root, folder, field, name) }
		if recorded[name] {
			find = func() (upload.File, error) { return findRecorded(field, name) }
		}
		file, err := find()
		if err != nil {
			return nil, err
		}
		if twin := slices.Index(paths, file.Path); twin >= 0 {
			return nil, invalid(field, reason.New(reason.APISameFile, "twin", strconv.Itoa(twin)))
		}
		files, paths = append(files, file), append(paths, file.Path)
	}
	return files, nil
}

// recorded tells which of some names are the whole paths of files that were recorded here: what a hook moved may be
// anywhere.
func (s *Server) recorded(ctx context.Context, names []string) (map[string]bool, error) {
	var paths []string
	for _, name := range names {
		if filepath.IsAbs(name) && utf8.ValidString(name) && !strings.ContainsRune(name, 0) {
			paths = append(paths, name)
		}
	}
	if len(paths) == 0 {
		return nil, nil
	}
	rows, err := s.db.RecordedFiles(ctx, paths)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(rows))
	for _, row := range rows {
		known[row.Segment.Path] = true
	}
	return known, nil
}

// findRecorded looks at a file that was recorded here.
func findRecorded(field, path string) (upload.File, error) {
	info, err := os.Lstat(path)
	switch {
	case missing(err):
		return upload.File{}, &problem{
			status: http.StatusNotFound, code: codeNotFound, field: field, why: aboutFile(reason.APIFileGone, path),
		}
	case errors.Is(err, fs.ErrPermission):
		return upload.File{}, unreadable(field, path)
	case err != nil:
		return upload.File{}, badFile(field, path, reason.APIFileAway)
	}
	return upload.File{Path: path, SizeBytes: info.Size(), ModifiedAt: info.ModTime()}, checkMedia(field, path, path, info)
}

func unreadable(field, name string) *problem {
	return badFile(field, name, reason.APIFileForbidden)
}

// findMedia looks for a file below the recordings folder. Its path is the one that it has there.
func findMedia(root *os.Root, folder, field, name string) (upload.File, error) {
	candidates, err := localNames(folder, field, name)
	if err != nil {
		return upload.File{}, err
	}
	for _, local := range candidates {
		if slices.Contains(strings.Split(local, "/"), folders.Trash) {
			return upload.File{}, badFile(field, "%q was removed and lies in the trash; move it out of there first", name)
		}
		info, err := lstat(root, local)
		switch {
		case errors.Is(err, errLink):
			return upload.File{}, badFile(field, name, reason.APIFileLink)
		case errors.Is(err, fs.ErrPermission):
			return upload.File{}, unreadable(field, name)
		case missing(err):
			if part, err := lstat(root, local+growingSuffix); err == nil && part.Mode().IsRegular() {
				return upload.File{}, growing(field, name)
			}
			continue
		case err != nil:
			return upload.File{}, badFile(field, name, reason.APIFileLeads)
		}
		file := upload.File{Path: filepath.Join(folder, filepath.FromSlash(local)), SizeBytes: info.Size(), ModifiedAt: info.ModTime()}
		return file, checkMedia(field, name, local, info)
	}
	return upload.File{}, &problem{
		status: http.StatusNotFound, code: codeNotFound, field: field, why: aboutFile(reason.APIFileUnknown, name),
	}
}

// localNames turns a name into those that it may mean below the recordings folder, the likeliest first.
func localNames(folder, field, name string) ([]string, error) {
	outside := invalid(field, aboutFile(reason.APIFileOutside, name))
	if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return nil, invalid(field, reason.New(reason.APIFileName))
	}
	if filepath.IsAbs(name) {
		relative, err := filepath.Rel(folder, name)
		if err != nil || !filepath.IsLocal(relative) || relative == "." {
			return nil, outside
		}
		return []string{filepath.ToSlash(relative)}, nil
	}
	local := path.Clean(filepath.ToSlash(name))
	if !filepath.IsLocal(local) || local == "." {
		return nil, outside
	}
	candidates := []string{local}
	if below, ok := strings.CutPrefix(local, recordingsDir+"/"); ok {
		candidates = append(candidates, below)
	}
	return candidates, nil
}

var errLink = errors.New("a link")

// lstat looks at a name below root without following links, in no folder of it either: a file has one name.
func lstat(root *os.Root, local string) (fs.FileInfo, error) {
	for i, r := range local {
		if r != '/' {
			continue
		}
		info, err := root.Lstat(local[:i])
		if err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, errLink
		}
	}
	info, err := root.Lstat(local)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, errLink
	}
	return info, err
}

// missing tells whether an error means that there is no such file: a name below a file, or one that no file can have,
// is none either.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// checkMedia refuses what cannot be published.
func checkMedia(field, name, local string, info fs.FileInfo) error {
	finished, growingNow := strings.CutSuffix(local, growingSuffix)
	switch {
	case info.IsDir():
		return badFile(field, name, reason.APIFileFolder)
	case !info.Mode().IsRegular():
		return badFile(field, name, reason.APIFileIrregular)
	case !slices.Contains(videoExtensions, strings.ToLower(path.Ext(finished))):
		return badFile(field, name, reason.APIFileNoVideo, "endings", strings.Join(videoExtensions, " "))
	case growingNow:
		return growing(field, name)
	case info.Size() == 0:
		return badFile(field, name, reason.APIFileEmpty)
	case info.Size() > maxFileBytes:
		return badFile(field, name, reason.APIFileLarge)
	}
	return nil
}
