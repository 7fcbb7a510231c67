package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// FollowDataDir lets all paths of a host's files follow its data directory, which is somewhere else than at the last start, in
// one transaction. Rows hold absolute paths, so that every reader of them finds the file; only here they change. It tells where
// the directory was when it was moved, and how many files, sessions and plans of hooks follow.
func (d *DB) FollowDataDir(ctx context.Context, hostID uuid.UUID, dir string) (from string, changed int64, err error) {
	err = d.InTx(ctx, func(tx pgx.Tx, q *Queries) error {
		if from, err = lastDataDir(ctx, q, hostID, dir); err != nil {
			return err
		}
		if from == dir {
			from = ""
		}
		if from != "" {
			// There may be a million rows, and this is done once.
			if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
				return err
			}
			if changed, err = moveRows(ctx, q, hostID, from, dir); err != nil {
				return fmt.Errorf("from %s to %s: %w", from, dir, err)
			}
		}
		return q.SaveDataDir(ctx, SaveDataDirParams{HostID: hostID, Path: dir})
	})
	if err != nil {
		return "", 0, fmt.Errorf("let the paths of files follow the data directory: %w", err)
	}
	return from, changed, nil
}

// lastDataDir is where a host's data directory was; empty: it has no files that would say so.
func lastDataDir(ctx context.Context, q *Queries, hostID uuid.UUID, dir string) (string, error) {
	known, err := q.GetDataDir(ctx, hostID)
	if !errors.Is(err, pgx.ErrNoRows) {
		return known, err
	}
	prefixes, err := q.HostPrefixes(ctx, hostID)
	return dataDirOf(prefixes, dir), err
}

// dataDirOf tells where a data directory was from the names of what was recorded in it, which a host of an older version
// left: the folder with "recordings" in it that all of them are below, and dir if that is one.
func dataDirOf(prefixes []string, dir string) string {
	const folder = "/recordings/"
	if len(prefixes) == 0 {
		return ""
	}
	newest := prefixes[0]
	candidates := []string{dir}
	for end := len(newest); ; {
		at := strings.LastIndex(newest[:end], folder)
		if at < 0 {
			break
		}
		candidates = append(candidates, newest[:at])
		end = at + 1
	}
	for _, candidate := range candidates {
		all := true
		for _, prefix := range prefixes {
			all = all && strings.HasPrefix(prefix, candidate+folder)
		}
		if all {
			return candidate
		}
	}
	return ""
}

func moveRows(ctx context.Context, q *Queries, hostID uuid.UUID, from, to string) (int64, error) {
	from, to = strings.TrimSuffix(from, "/")+"/", strings.TrimSuffix(to, "/")+"/"
	segments, err := q.MoveSegments(ctx, MoveSegmentsParams{HostID: hostID, Old: from, New: to})
	if err != nil {
		return 0, fmt.Errorf("segments: %w", err)
	}
	sessions, err := q.MoveSessions(ctx, MoveSessionsParams{HostID: hostID, Old: from, New: to})
	if err != nil {
		return 0, fmt.Errorf("sessions of recorders: %w", err)
	}
	plans, err := q.MovePlans(ctx, MovePlansParams{HostID: hostID, Old: jsonStart(from), New: jsonStart(to)})
	if err != nil {
		return 0, fmt.Errorf("plans of hooks: %w", err)
	}
	return segments + sessions + plans, nil
}

// jsonStart is how PostgreSQL writes the beginning of a text in JSON.
func jsonStart(text string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return `"` + text // a text can be encoded
	}
	return strings.TrimSuffix(strings.TrimSpace(out.String()), `"`)
}
