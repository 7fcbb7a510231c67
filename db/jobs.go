package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// ReleaseJobs makes the River jobs that a host was running when it died available at once. River itself would wait an
// hour, since it cannot know that the host is gone. The caller must: it holds the lock of that host's data directory.
func (d *DB) ReleaseJobs(ctx context.Context, clientID string) error {
	// River's tables are not ours, so sqlc does not know them.
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

// HurryJobs makes the jobs available that would become so within a time anyway.
func (d *DB) HurryJobs(ctx context.Context, within time.Duration) error {
	_, err := d.Pool.Exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = now()
		WHERE state = 'scheduled' AND scheduled_at <= now() + make_interval(secs => $1)`, within.Seconds())
	return err
}

// unfinishedJob tells whether a job will run, or does.
const unfinishedJob = "state IN ('available', 'pending', 'retryable', 'running', 'scheduled')"

// FinishJobs ends the jobs of a kind that have at least these arguments, whether they wait or count as running. It is for
// jobs that have nothing more to do, of which the client may just be writing the end: another one may then be ordered in
// the same transaction, to run at once.
func FinishJobs(ctx context.Context, tx pgx.Tx, kind string, args any) error {
	_, err := tx.Exec(ctx, `UPDATE river_job SET state = 'completed', finalized_at = now()
		WHERE kind = $1 AND args @> $2::jsonb AND `+unfinishedJob, kind, args)
	return err
}

// HurryJob makes the waiting job of a kind with these arguments available at once.
func HurryJob(ctx context.Context, tx pgx.Tx, kind string, args any) error {
	_, err := tx.Exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = now()
		WHERE kind = $1 AND args @> $2::jsonb AND state IN ('scheduled', 'retryable')`, kind, args)
	return err
}

// UploadsWithoutJob lists the segments whose upload is not over and that no job of the kind works on.
func (d *DB) UploadsWithoutJob(ctx context.Context, kind string) ([]int64, error) {
	rows, err := d.Pool.Query(ctx, `SELECT u.segment_id FROM uploads u JOIN segments g ON g.id = u.segment_id
		WHERE u.state IN ('pending', 'uploading') AND g.publish = 'wanted' AND NOT EXISTS (
			SELECT 1 FROM river_job WHERE kind = $1 AND args @> jsonb_build_object('segment_id', u.segment_id) AND `+unfinishedJob+`)
		ORDER BY u.segment_id`, kind)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
