-- name: InsertSegment :one
-- A path that is known already is left as it is: then there is no row in the answer.
INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (path) DO NOTHING
RETURNING id;

-- name: RecordingSegments :many
SELECT g.id, g.index, g.path, g.publish, coalesce(u.state, '')::text AS upload_state, coalesce(u.remote_name, '')::text AS remote_name,
       coalesce(u.remote_id, 0)::bigint AS remote_id, coalesce(u.error, '')::text AS upload_error
FROM segments g LEFT JOIN uploads u ON u.segment_id = g.id
WHERE g.recording_id = $1 ORDER BY g.index;
