package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/folders"
	"github.com/lubod/lubod/host/internal/naming"
)

const (
	// laterNames is how many seconds later a session may pretend to begin for a name of its own, as biliup does.
	laterNames = 60
	// maxNames bounds the names that are tried; after laterNames, or for a template without a time, they get a number.
	maxNames = 1000
)

// prefixes yields where the segments of a session may go, best first: the template's name, then the same a second later and
// so on, and numbered ones.
func (s *Service) prefixes(template string, known room, now time.Time) iter.Seq[string] {
	values := naming.Values{Streamer: naming.Streamer(known.Remark, known.Streamer, known.Title), Title: known.Title, URL: known.URL}
	name := func(at time.Time) string {
		return filepath.Join(s.Root, filepath.FromSlash(naming.Render(template, values, at)))
	}
	return func(yield func(string) bool) {
		first := name(now)
		if !yield(first) {
			return
		}
		last := first
		for n := 1; n < maxNames; n++ {
			next := first + "_" + strconv.Itoa(n+1)
			if later := name(now.Add(time.Duration(n) * time.Second)); n < laterNames && later != last {
				next, last = later, later
			}
			if !yield(next) {
				return
			}
		}
	}
}

// insertNamed commits a session's row with the first prefix that no file and no other session has, and tells whether the
// room is still wanted. The row keeps the prefix for this session alone, also before there is a file.
func (s *Service) insertNamed(ctx context.Context, row db.InsertSessionParams, prefixes iter.Seq[string], folder fs.FileMode) (prefix string, wanted bool, err error) {
	for prefix := range prefixes {
		if prefix, err = s.place(prefix, folder); err != nil {
			return "", false, err
		}
		free, err := free(prefix)
		if err != nil {
			return "", false, err
		}
		if !free {
			continue
		}
		row.PathPrefix = prefix
		inserted, err := s.DB.InsertSession(ctx, row)
		if prefixTaken(err) {
			continue
		}
		if err != nil {
			return "", false, fmt.Errorf("insert session: %w", err)
		}
		return prefix, inserted > 0, nil
	}
	return "", false, fmt.Errorf("no free file name among %d; put a time into filename_prefix, such as %%Y-%%m-%%dT%%H_%%M_%%S", maxNames)
}

// place makes the folder of a prefix, and returns the prefix under the only name that its files have: without a link below
// the recordings. A folder that leads elsewhere is refused: its files could be recorded, and found by nobody.
func (s *Service) place(prefix string, mode fs.FileMode) (string, error) {
	folder, base := filepath.Split(prefix)
	made, err := folders.Make([]string{s.Root}, folder, mode)
	var outside *folders.OutsideError
	if errors.As(err, &outside) {
		return "", fmt.Errorf("the folder %s leads out of the recordings folder, to %s; let filename_prefix or the remark name another one, "+
			"remove the link, or, to record on another disk, mount that there (mount --bind), make %s itself the link, or start with --data-dir",
			filepath.Clean(folder), outside.Real, s.Root)
	}
	if err != nil {
		return "", fmt.Errorf("make the folder %s for recordings: %w", filepath.Clean(folder), folders.Explain(err))
	}
	return filepath.Join(made, base), nil
}

// aloneLocked tells whether no session that begins, or runs, may have its files in the folder of one that is over.
func (s *Service) aloneLocked(over *session) bool {
	for _, other := range s.sessions {
		if other.prefix == "" || filepath.Dir(other.prefix) == filepath.Dir(over.prefix) {
			return false
		}
	}
	return over.prefix != ""
}

// removeEmpty removes the folder of a session that brought nothing, and those around it that hold nothing else: a room that
// cannot be recorded leaves no trace on the disk.
func (s *Service) removeEmpty(folder string) {
	root, err := filepath.EvalSymlinks(s.Root) // as place names folders
	if err != nil {
		return
	}
	for strings.HasPrefix(folder, root+string(filepath.Separator)) {
		if os.Remove(folder) != nil {
			return // something is in it
		}
		folder = filepath.Dir(folder)
	}
}

// free tells whether there is no file of a prefix.
func free(prefix string) (bool, error) {
	taken, err := filepath.Glob(escapeGlob(prefix) + "_*")
	if err != nil {
		return false, fmt.Errorf("look for files of the same name: %w", err)
	}
	return len(taken) == 0, nil
}

func prefixTaken(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "23505" && refused.ConstraintName == "recorder_sessions_path_prefix_key"
}

// escapeGlob takes a literal path as a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
