-- name: GetDataDir :one
SELECT path FROM data_dirs WHERE host_id = $1;

-- name: SaveDataDir :exec
INSERT INTO data_dirs (host_id, path) VALUES ($1, $2)
ON CONFLICT (host_id) DO UPDATE SET path = excluded.path, updated_at = now();

-- name: HostPrefixes :many
-- Where sessions of a host wrote, newest first: all of it is below its data directory.
SELECT path_prefix FROM recorder_sessions WHERE host_id = $1 ORDER BY started_at DESC LIMIT 1000;

-- name: MoveSegments :execrows
-- old and new end in a slash.
UPDATE segments g
SET path = CASE WHEN starts_with(g.path, sqlc.arg(old)::text) THEN sqlc.arg(new)::text || substr(g.path, length(sqlc.arg(old)::text) + 1) ELSE g.path END,
    recorded_path = CASE WHEN starts_with(g.recorded_path, sqlc.arg(old)::text) THEN sqlc.arg(new)::text || substr(g.recorded_path, length(sqlc.arg(old)::text) + 1) ELSE g.recorded_path END
FROM recordings r
WHERE r.id = g.recording_id AND r.host_id = sqlc.arg(host_id) AND (starts_with(g.path, sqlc.arg(old)::text) OR starts_with(g.recorded_path, sqlc.arg(old)::text));

-- name: MoveSessions :execrows
UPDATE recorder_sessions SET path_prefix = sqlc.arg(new)::text || substr(path_prefix, length(sqlc.arg(old)::text) + 1)
WHERE host_id = sqlc.arg(host_id) AND starts_with(path_prefix, sqlc.arg(old)::text);

-- name: MovePlans :execrows
-- old and new are the beginnings of JSON texts, as JSON writes them: with the quotation mark, and a slash at the end.
UPDATE hook_runs h SET plan = replace(h.plan::text, sqlc.arg(old)::text, sqlc.arg(new)::text)::jsonb
FROM recordings r
WHERE r.id = h.recording_id AND r.host_id = sqlc.arg(host_id) AND h.state <> 'done' AND h.plan IS NOT NULL
  AND position(sqlc.arg(old)::text IN h.plan::text) > 0;
