package record

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lubod/lubod/db"
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
func (s *Service) insertNamed(ctx context.Context, row db.InsertSessionParams, prefixes iter.Seq[string]) (prefix string, wanted bool, err error) {
	for prefix := range prefixes {
		free, err := s.free(prefix)
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
		return prefix, inserted > 0, err
	}
	return "", false, fmt.Errorf("no free file name among %d; put a time into filename_prefix, such as %%Y-%%m-%%dT%%H_%%M_%%S", maxNames)
}

// free tells whether there is no file of a prefix, and makes its folder.
func (s *Service) free(prefix string) (bool, error) {
	if err := os.MkdirAll(filepath.Dir(prefix), 0o750); err != nil {
		return false, fmt.Errorf("make folder for recordings: %w", err)
	}
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
