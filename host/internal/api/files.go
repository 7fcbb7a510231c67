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
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/lubod/lubod/host/internal/upload"
)

// maxFileBytes is what Bilibili processes of one file; larger ones are taken and fail there hours later.
const maxFileBytes = 32 << 30

// badFile refuses a file that is there, and says why.
func badFile(field, format string, args ...any) *problem {
	p := invalid(field, format, args...)
	p.status, p.code = http.StatusUnprocessableEntity, codeFile
	return p
}

// growing refuses a file that somebody is still writing.
func growing(field, name string) *problem {
	return conflict("%s: %q is still being written; name it again when its recording has ended", field, name)
}

// mediaFiles finds the files that a request names in its field files, each by any name that an answer of this server gives it.
func (s *Server) mediaFiles(ctx context.Context, names []string) ([]upload.File, error) {
	folder := filepath.Join(s.dataDir, recordingsDir)
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open recordings folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	files, paths := make([]upload.File, 0, len(names)), make([]string, 0, len(names))
	for i, name := range names {
		field := fmt.Sprintf("files.%d", i)
		local, info, err := findMedia(root, folder, field, name)
		if err != nil {
			return nil, err
		}
		file := upload.File{Path: filepath.Join(folder, filepath.FromSlash(local)), SizeBytes: info.Size(), ModifiedAt: info.ModTime()}
		if twin := slices.Index(paths, file.Path); twin >= 0 {
			return nil, invalid(field, "is the same file as files.%d", twin)
		}
		files, paths = append(files, file), append(paths, file.Path)
	}
	// A recorder may write its files under their final names.
	written, err := s.db.FilesBeingRecorded(ctx, paths)
	if err != nil {
		return nil, err
	}
	if len(written) > 0 {
		i := slices.Index(paths, written[0])
		return nil, growing(fmt.Sprintf("files.%d", i), names[i])
	}
	return files, nil
}

// findMedia returns the one name that a file has below the recordings folder, with slashes, and what it is.
func findMedia(root *os.Root, folder, field, name string) (string, fs.FileInfo, error) {
	candidates, err := localNames(folder, field, name)
	if err != nil {
		return "", nil, err
	}
	for _, local := range candidates {
		info, err := lstat(root, local)
		switch {
		case errors.Is(err, errLink):
			return "", nil, badFile(field, "%q is a link, or in a linked folder; name the file itself", name)
		case errors.Is(err, fs.ErrPermission):
			return "", nil, badFile(field, "the server may not look at %q; change its permissions", name)
		case missing(err):
			if part, err := lstat(root, local+growingSuffix); err == nil && part.Mode().IsRegular() {
				return "", nil, growing(field, name)
			}
			continue
		case err != nil:
			return "", nil, badFile(field, "%q does not lead to a file of the recordings folder", name)
		}
		return local, info, checkMedia(field, name, local, info)
	}
	return "", nil, &problem{
		status: http.StatusNotFound, code: codeNotFound,
		message: fmt.Sprintf("%s: there is no %q in the recordings folder; GET /api/v1/videos lists what there is", field, name),
	}
}

// localNames turns a name into those that it may mean below the recordings folder, the likeliest first.
func localNames(folder, field, name string) ([]string, error) {
	outside := invalid(field, "%q is not in the recordings folder", name)
	if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return nil, invalid(field, "is no name of a file")
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
		return badFile(field, "%q is a folder; name the files in it", name)
	case !info.Mode().IsRegular():
		return badFile(field, "%q is no file", name)
	case !slices.Contains(videoExtensions, strings.ToLower(path.Ext(finished))):
		return badFile(field, "%q is no video; its name must end in one of %s", name, strings.Join(videoExtensions, " "))
	case growingNow:
		return growing(field, name)
	case info.Size() == 0:
		return badFile(field, "%q is empty", name)
	case info.Size() > maxFileBytes:
		return badFile(field, "%q is larger than the 32 GB that Bilibili processes; split it", name)
	}
	return nil
}
