package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/settings"
)

// plan is what a step is about to do with files. It is committed before any is touched, so that whoever goes on after a
// crash knows both places where a file may be.
type plan struct {
	Moves []transition `json:"moves"`
}

// transition is one file that is to be elsewhere, or another one in its place. Until the segment's row names To, From is
// the segment's file and stays.
type transition struct {
	// SegmentID is 0 for a file beside a segment, such as its chat.
	SegmentID int64  `json:"segment_id"`
	From      string `json:"from"`
	To        string `json:"to"`
}

// partSuffix marks files that are being written.
const partSuffix = ".part"

// companions are the endings of files that belong to a segment and bear its name.
var companions = []string{".xml", ".ass"}

func stem(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }

// settled reports whether no upload may be reading, or about to open, a file of the segments. A file must not change its
// name between the moment an upload is told the name and the moment it opens it.
func (a attempt) settled(ctx context.Context) error {
	paths := make([]string, 0, len(a.facts.segments))
	for _, segment := range a.facts.segments {
		paths = append(paths, segment.Path)
	}
	var open bool
	err := a.saver().Persist(ctx, "open uploads", func(ctx context.Context) (err error) {
		open, err = a.DB.OpenUploadsOfFiles(ctx, paths)
		return err
	})
	if err == nil && open {
		return errNotYet
	}
	return err
}

// move brings the segments' files into a folder. They are settled.
func (a attempt) move(ctx context.Context) error {
	folder, err := a.folder(ctx, a.step.Value)
	if err != nil {
		return err
	}
	plan, err := a.plan(ctx, func(segment db.Segment) ([]transition, error) { return a.planMove(ctx, segment, folder) })
	if err != nil {
		return err
	}
	for _, t := range plan.Moves {
		if err := a.carry(ctx, t, place); err != nil {
			return err
		}
	}
	return nil
}

// folder makes a folder that files may be moved into. What it really is counts, not what its name looks like: links are
// followed first, and nothing is made where nothing may be moved to.
func (a attempt) folder(ctx context.Context, name string) (string, error) {
	path := below(a.Root, name)
	roots := a.moveRoots()
	if a.AllowRun {
		roots = append(roots, "/") // a command could do the same
	}
	mode, err := a.folderMode(ctx)
	if err != nil {
		return "", err
	}
	made, err := folders.Make(roots, path, mode)
	var outside *folders.OutsideError
	if errors.As(err, &outside) {
		return "", &hopelessError{outsideText(name)}
	}
	if err != nil {
		return "", fmt.Errorf("make folder %s: %w", path, folders.Explain(err))
	}
	return made, nil
}

// folderMode is folder_mode of the room.
func (a attempt) folderMode(ctx context.Context) (fs.FileMode, error) {
	row, err := a.DB.RoomConfiguration(ctx, a.facts.payload.Room.ID)
	if err != nil {
		return 0, fmt.Errorf("read configuration: %w", err)
	}
	configuration, err := settings.Layered(row.Global, row.Override)
	if err != nil {
		return 0, nil //nolint:nilerr // settings that cannot be used are left out everywhere: the umask decides
	}
	return configuration.Modes().Folder, nil
}

// moveRoots are the folders below which files may be moved.
func (s *Service) moveRoots() []string { return append([]string{s.Root}, s.MoveDirs...) }

// below is the path that a folder's name in a step means.
func below(root, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(root, name)
}

func outsideText(name string) string {
	return fmt.Sprintf("files may not be moved to %s: name a folder below the recordings, or below one that the server was started with in --hook-dirs", name)
}

// plan returns what was planned before, or plans for each segment and commits that.
func (a attempt) plan(ctx context.Context, segmentPlan func(db.Segment) ([]transition, error)) (plan, error) {
	var p plan
	if a.run.Plan != nil {
		if err := json.Unmarshal(a.run.Plan, &p); err != nil {
			return plan{}, &hopelessError{"what was planned for the files cannot be read: " + err.Error()}
		}
		return p, nil
	}
	for _, segment := range a.facts.segments {
		moves, err := segmentPlan(segment)
		if err != nil {
			return plan{}, err
		}
		p.Moves = append(p.Moves, moves...)
	}
	encoded, err := json.Marshal(p)
	if err != nil {
		return plan{}, fmt.Errorf("encode plan: %w", err)
	}
	return p, a.saver().Persist(ctx, "plan of a hook", func(ctx context.Context) error {
		return a.DB.PlanHookStep(ctx, db.PlanHookStepParams{ID: a.run.ID, Plan: encoded})
	})
}

// planMove plans where a segment and what belongs to it go.
func (a attempt) planMove(ctx context.Context, segment db.Segment, folder string) ([]transition, error) {
	if filepath.Dir(segment.Path) == folder {
		return nil, nil
	}
	to, err := a.free(ctx, folder, filepath.Base(segment.Path))
	if err != nil {
		return nil, err
	}
	moves := []transition{{SegmentID: segment.ID, From: segment.Path, To: to}}
	for _, ending := range companions {
		if info, err := os.Lstat(stem(segment.Path) + ending); err == nil && info.Mode().IsRegular() {
			moves = append(moves, transition{From: stem(segment.Path) + ending, To: stem(to) + ending})
		}
	}
	return moves, nil
}

// free finds a name that nothing has, is planned to get, or had before: <name>, <name>-2, <name>-3, …
func (a attempt) free(ctx context.Context, folder, name string) (string, error) {
	ending := filepath.Ext(name)
	for n := 1; n < 1000; n++ {
		path := filepath.Join(folder, name)
		if n > 1 {
			path = filepath.Join(folder, fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ending), n, ending))
		}
		var taken bool
		err := a.saver().Persist(ctx, "path", func(ctx context.Context) (err error) {
			taken, err = a.DB.PathTaken(ctx, path)
			return err
		})
		if err != nil {
			return "", err
		}
		if _, err := os.Lstat(path); !taken && errors.Is(err, fs.ErrNotExist) {
			return path, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("look for a free name: %w", err)
		}
	}
	return "", &hopelessError{fmt.Sprintf("there is no free name for %s in %s", name, folder)}
}

// carry takes one file from where it is to where it is to be: the new one exists in full, then the row names it, then the
// old one goes. Whoever comes after a crash finds out which of these is done.
func (a attempt) carry(ctx context.Context, t transition, make func(ctx context.Context, from, to string) error) error {
	named, err := a.rowNames(ctx, t)
	if err != nil {
		return err
	}
	if !named {
		if err := make(ctx, t.From, t.To); err != nil {
			return err
		}
		if err := a.name(ctx, t); err != nil {
			return err
		}
	}
	if info, err := os.Stat(t.To); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not where it was brought: %w; the file before is kept", t.To, errors.Join(err, fs.ErrInvalid))
	}
	return forget(t.From)
}

// rowNames tells whether the segment's row leads to the new file already.
func (a attempt) rowNames(ctx context.Context, t transition) (bool, error) {
	if t.SegmentID == 0 {
		_, err := os.Lstat(t.From)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		_, err = os.Lstat(t.To)
		return err == nil, err
	}
	var segment db.Segment
	err := a.saver().Persist(ctx, "segment", func(ctx context.Context) (err error) {
		segment, err = a.DB.GetSegment(ctx, t.SegmentID)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read segment: %w", err)
	}
	switch segment.Path {
	case t.To:
		return true, nil
	case t.From:
		return false, nil
	}
	return false, &hopelessError{fmt.Sprintf("the segment's file is %s now: somebody else moved it", segment.Path)}
}

// name lets the segment's row lead to the new file.
func (a attempt) name(ctx context.Context, t transition) error {
	if t.SegmentID == 0 {
		return nil
	}
	info, err := os.Stat(t.To)
	if err != nil {
		return fmt.Errorf("look at the new file: %w", err)
	}
	return a.saver().Persist(ctx, "place of a segment", func(ctx context.Context) error {
		return a.DB.InTx(ctx, func(_ pgx.Tx, q *db.Queries) error {
			_, err := q.MoveSegment(ctx, db.MoveSegmentParams{ID: t.SegmentID, Path: t.To, OldPath: t.From, SizeBytes: info.Size()})
			return err
		})
	})
}

// forget removes a name; that it is gone already is fine.
func forget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the old file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// place makes a file appear under a second name, all at once and on disk. It never replaces anything: what has the name
// already is either this very file, from a try before, or somebody else's.
func place(ctx context.Context, from, to string) error {
	source, err := os.Lstat(from)
	if err != nil {
		return fmt.Errorf("look at the file: %w", err)
	}
	if !source.Mode().IsRegular() {
		return &hopelessError{from + " is no regular file"}
	}
	if there, err := os.Lstat(to); err == nil {
		if os.SameFile(source, there) {
			return nil
		}
		// A copy gets its name when it is complete, so this one is; it is compared all the same, since the source goes next.
		return sameContent(ctx, from, to)
	}
	err = os.Link(from, to)
	if err == nil {
		return syncDir(filepath.Dir(to))
	}
	// Other devices, and file systems without links.
	return errors.Join(copyFile(ctx, from, to), syncDir(filepath.Dir(to)))
}

// copyFile copies under a name of its own and links or renames the copy when it is on disk.
func copyFile(ctx context.Context, from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	part, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*"+partSuffix)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer func() {
		_ = part.Close()
		_ = os.Remove(part.Name())
	}()
	if _, err := io.Copy(part, reader{ctx, source}); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if info, err := source.Stat(); err == nil {
		_ = part.Chmod(info.Mode().Perm())
		_ = os.Chtimes(part.Name(), info.ModTime(), info.ModTime())
	}
	if err := errors.Join(part.Sync(), part.Close()); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return publish(part.Name(), to)
}

// publish gives a finished file its name without replacing another one.
func publish(part, to string) error {
	err := os.Link(part, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without links: look, then rename. Nobody else writes names like these.
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", to, errors.Join(err, fs.ErrExist))
	}
	return os.Rename(part, to)
}

// reader stops when ctx ends.
type reader struct {
	ctx    context.Context
	source io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.source.Read(p)
}

func sameContent(ctx context.Context, a, b string) error {
	different := &hopelessError{fmt.Sprintf("%s exists and is another file; move it away", b)}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if infoA.Size() != infoB.Size() || !infoB.Mode().IsRegular() {
		return different
	}
	one, err := os.Open(a)
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }()
	other, err := os.Open(b)
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	bufferA, bufferB := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(reader{ctx, one}, bufferA)
		m, _ := io.ReadFull(other, bufferB)
		if string(bufferA[:n]) != string(bufferB[:m]) {
			return different
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// syncDir puts the names in a folder on disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer func() { _ = dir.Close() }()
	// Some file systems cannot; then there is nothing more to be done.
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
