package db

import (
	"context"
	"time"
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
