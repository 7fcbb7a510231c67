-- name: InsertSegment :one
-- A path that is known already, also as the one before a hook moved the file, is left as it is: then there is no row in
-- the answer. A number that is taken becomes the next free one, since a segment must never be refused. The recording is
-- locked.
INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, reason, reason_data)
SELECT sqlc.arg(recording_id)::bigint,
       CASE WHEN EXISTS (SELECT 1 FROM segments o WHERE o.recording_id = sqlc.arg(recording_id)::bigint AND o.index = sqlc.arg(index)::integer)
            THEN (SELECT max(o.index) + 1 FROM segments o WHERE o.recording_id = sqlc.arg(recording_id)::bigint)
            ELSE sqlc.arg(index)::integer END,
       sqlc.arg(path)::text, sqlc.arg(size_bytes)::bigint, sqlc.arg(duration_ms)::bigint, sqlc.arg(started_at)::timestamptz,
       sqlc.arg(ended_at)::timestamptz, sqlc.arg(publish)::text, sqlc.arg(reason)::text, sqlc.narg(reason_data)::jsonb
WHERE NOT EXISTS (SELECT 1 FROM segments o WHERE o.recorded_path = sqlc.arg(path)::text)
ON CONFLICT (path) WHERE modified_at IS NULL DO NOTHING
RETURNING id;

-- name: RecordingSegments :many
SELECT g.id, g.index, g.path, g.size_bytes, g.publish, g.ready_at, g.removed_at, (u.id IS NOT NULL)::boolean AS has_upload, coalesce(u.state, '')::text AS upload_state,
       coalesce(u.remote_name, '')::text AS remote_name, coalesce(u.remote_id, 0)::bigint AS remote_id, coalesce(u.account_file, '')::text AS account_file,
       coalesce(h.state, '')::text AS hook_state
FROM segments g LEFT JOIN uploads u ON u.segment_id = g.id LEFT JOIN hook_runs h ON h.segment_id = g.id
WHERE g.recording_id = $1 ORDER BY g.index;

-- name: GetSegment :one
SELECT * FROM segments WHERE id = $1;

-- name: SetSegmentPublish :execrows
UPDATE segments SET publish = sqlc.arg(publish)::text, reason = sqlc.arg(reason)::text, reason_data = sqlc.narg(reason_data)::jsonb
WHERE id = $1 AND publish = ANY (sqlc.arg(before)::text[]);

-- name: SetSegmentsReady :exec
UPDATE segments SET ready_at = now() WHERE id = ANY (sqlc.arg(ids)::bigint[]) AND ready_at IS NULL;

-- name: SetSegmentFile :exec
-- The file of a manual upload as it is now.
UPDATE segments SET size_bytes = $2, modified_at = sqlc.arg(modified_at)::timestamptz, duration_ms = 0 WHERE id = $1;
