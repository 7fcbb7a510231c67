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

// HurryJobs makes the jobs available that would become so within a time anyway.
func (d *DB) HurryJobs(ctx context.Context, within time.Duration) error {
	_, err := d.Pool.Exec(ctx, `UPDATE river_job SET state = 'available', scheduled_at = now()
		WHERE state = 'scheduled' AND scheduled_at <= now() + make_interval(secs => $1)`, within.Seconds())
	return err
}
