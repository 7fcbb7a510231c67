package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// The statements of this file read or write the table of the job library by hand, where its own functions do not reach: it cannot
// know that a host is dead, and it lists jobs one by one. They rely on the columns id, kind, args, state, attempted_at,
// attempted_by and scheduled_at of river_job; TestJobs holds them against the library's own migrations.

// ReleaseJobs makes the River jobs that a host was running when it died available at once. River itself would wait an
// hour, since it cannot know that the host is gone. The caller must: it holds the lock of that host's data directory.
func (d *DB) ReleaseJobs(ctx context.Context, clientID string) error {
	_, err := d.Pool.Exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = now()
		WHERE state = 'running' AND attempted_by[array_length(attempted_by, 1)] = $1`, clientID)
	return err
}

// ReleaseLostJobs makes jobs available that count as running at a client which does not know them: the database went
// away just when it handed them out, or when their end was to be written. Those in known are left alone, and those that
// were begun within the last grace, which the client may know in a moment. It tells how many there were.
func (d *DB) ReleaseLostJobs(ctx context.Context, clientID string, known []int64, grace time.Duration) (int64, error) {
	released, err := d.Pool.Exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = now()
		WHERE state = 'running' AND attempted_by[array_length(attempted_by, 1)] = $1 AND id <> ALL ($2::bigint[])
		  AND attempted_at < now() - make_interval(secs => $3)`, clientID, known, grace.Seconds())
	return released.RowsAffected(), err
}

// Jobless is a row that something is due for, in the round that it is in, while no job of that round will run.
type Jobless struct {
	ID    int64
	Round int32
}

// Page is a part of a list: at most so many rows, those with the lowest numbers after one.
type Page struct {
	After int64
	Most  int
}

// jobsOf are the rows, and their rounds, that jobs of a kind will work on. Lists are made by EXCEPT, which looks at every row and
// every job once, whatever the planner knows of them: with many thousands of both, a look for each row's job would take minutes.
func jobsOf(kind, key string) string {
	return ` EXCEPT SELECT (j.args ->> '` + key + `')::bigint, coalesce((j.args ->> 'round')::integer, 0) FROM river_job j
		WHERE j.kind = '` + kind + `' AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		ORDER BY 1 LIMIT $2`
}

// UploadsWithoutJob lists uploads in one of the states, of segments with that publish, that no transfer will work on.
func (d *DB) UploadsWithoutJob(ctx context.Context, states []string, publish string, page Page) ([]Jobless, error) {
	return d.jobless(ctx, `SELECT u.segment_id, u.round FROM uploads u JOIN segments g ON g.id = u.segment_id
		WHERE u.segment_id > $1 AND u.state = ANY ($3) AND g.publish = $4`+jobsOf("transfer", "segment_id"), page, states, publish)
}

// RunsWithoutJob lists hook runs in one of the states that no job will work off.
func (d *DB) RunsWithoutJob(ctx context.Context, states []string, page Page) ([]Jobless, error) {
	return d.jobless(ctx, `SELECT h.id, h.round FROM hook_runs h WHERE h.id > $1 AND h.state = ANY ($3)`+jobsOf("hook", "run_id"), page, states)
}

// SubmissionsWithoutJob lists submissions in one of the states that no job will work on.
func (d *DB) SubmissionsWithoutJob(ctx context.Context, states []string, page Page) ([]Jobless, error) {
	return d.jobless(ctx, `SELECT s.id, s.round FROM submissions s WHERE s.id > $1 AND s.state = ANY ($3)`+jobsOf("submit", "submission_id"), page, states)
}

// ArchivesWithoutJob lists submissions with an archive in one of the fates that nobody will ask for.
func (d *DB) ArchivesWithoutJob(ctx context.Context, archives []string, page Page) ([]Jobless, error) {
	return d.jobless(ctx, `SELECT s.id, s.follow_round FROM submissions s WHERE s.id > $1 AND s.archive = ANY ($3)`+jobsOf("follow", "submission_id"), page, archives)
}

func (d *DB) jobless(ctx context.Context, query string, page Page, args ...any) ([]Jobless, error) {
	rows, err := d.Pool.Query(ctx, query, append([]any{page.After, page.Most}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Jobless])
}
