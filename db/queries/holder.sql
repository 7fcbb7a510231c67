-- name: SaveHolder :exec
INSERT INTO database_holder (host_id, data_dir, machine, pid, since, backend) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (only_one) DO UPDATE SET host_id = excluded.host_id, data_dir = excluded.data_dir, machine = excluded.machine,
    pid = excluded.pid, since = excluded.since, backend = excluded.backend;

-- name: GetHolder :one
SELECT host_id, data_dir, machine, pid, since, backend FROM database_holder;

-- name: RemoveHolder :exec
DELETE FROM database_holder WHERE backend = $1;
