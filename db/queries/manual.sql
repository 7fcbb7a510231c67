-- name: LockRequest :exec
-- Until the end of the transaction, everybody else with this request waits.
SELECT pg_advisory_xact_lock(hashtextextended(sqlc.arg(request_key)::text, 0));

-- name: UnfinishedRequest :one
-- The recording that was made of the same request and is not an archive yet.
SELECT r.id FROM recordings r
WHERE r.request_key = sqlc.arg(request_key)::text
  AND NOT (EXISTS (SELECT 1 FROM submissions s WHERE s.recording_id = r.id)
       AND NOT EXISTS (SELECT 1 FROM submissions s WHERE s.recording_id = r.id AND s.state <> 'accepted'))
  AND EXISTS (SELECT 1 FROM segments g WHERE g.recording_id = r.id AND g.publish = 'wanted')
ORDER BY r.id DESC LIMIT 1;

-- name: InsertManualRecording :one
INSERT INTO recordings (kind, host_id, url, remark, template_name, title, streamer_name, state, started_at, ended_at, params, request_key)
VALUES ('manual', $1, $2, $3, $4, $5, $6, 'ended', $7, now(), $8, $9)
RETURNING id;

-- name: InsertManualSegment :one
INSERT INTO segments (recording_id, index, path, size_bytes, duration_ms, started_at, ended_at, publish, modified_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'wanted', sqlc.arg(modified_at)::timestamptz)
RETURNING id;

-- name: SetRequestKey :exec
UPDATE recordings SET request_key = sqlc.arg(request_key)::text WHERE id = $1 AND kind = 'manual';

-- name: RecordedFiles :many
-- What is known of files that were recorded here.
SELECT sqlc.embed(g), sqlc.embed(r) FROM segments g JOIN recordings r ON r.id = g.recording_id
WHERE g.path = ANY(sqlc.arg(paths)::text[]) AND g.modified_at IS NULL;

-- name: FilesBeingRecorded :many
-- Those of the paths that a recorder may be writing: they begin like the files of an open session, and are no segment yet.
SELECT p.path::text AS path FROM unnest(sqlc.arg(paths)::text[]) AS p(path)
WHERE EXISTS (SELECT 1 FROM recorder_sessions o WHERE (o.ended_at IS NULL OR o.holds) AND starts_with(p.path, o.path_prefix))
  AND NOT EXISTS (SELECT 1 FROM segments g WHERE g.path = p.path AND g.modified_at IS NULL);

-- name: ManualFiles :many
-- The files of a manual recording in order.
SELECT path, size_bytes, modified_at FROM segments WHERE recording_id = $1 ORDER BY index;
