-- name: InsertUpload :exec
INSERT INTO uploads (segment_id) VALUES ($1);

-- name: UploadWork :one
SELECT sqlc.embed(u), sqlc.embed(g), sqlc.embed(r)
FROM uploads u JOIN segments g ON g.id = u.segment_id JOIN recordings r ON r.id = g.recording_id
WHERE u.segment_id = $1;

-- name: StartUpload :exec
-- A checkpoint belongs to one line and one account: with another one the transfer starts over. What went wrong before is
-- over: a transfer that is cut from now on was interrupted, it did not fail.
UPDATE uploads SET state = 'uploading', error = '', line = sqlc.arg(line)::text, account_file = sqlc.arg(account_file)::text,
    checkpoint = CASE WHEN line = sqlc.arg(line)::text AND account_file = sqlc.arg(account_file)::text THEN checkpoint END,
    acknowledged_bytes = CASE WHEN line = sqlc.arg(line)::text AND account_file = sqlc.arg(account_file)::text THEN acknowledged_bytes ELSE 0 END,
    updated_at = now()
WHERE segment_id = $1 AND state <> 'uploaded';

-- name: SaveCheckpoint :exec
UPDATE uploads SET checkpoint = $2, acknowledged_bytes = $3, updated_at = now() WHERE segment_id = $1 AND state = 'uploading';

-- name: FinishUpload :exec
UPDATE uploads SET state = 'uploaded', remote_name = $2, remote_id = $3, checkpoint = NULL, error = '', acknowledged_bytes = sqlc.arg(size_bytes)::bigint, updated_at = now()
WHERE segment_id = $1;

-- name: PostponeUpload :exec
UPDATE uploads SET state = 'pending', error = $2, attempts = attempts + sqlc.arg(counted)::integer, updated_at = now()
WHERE segment_id = $1 AND state <> 'uploaded';

-- name: FailUpload :exec
UPDATE uploads SET state = 'failed', error = $2, attempts = attempts + 1, updated_at = now() WHERE segment_id = $1 AND state <> 'uploaded';

-- name: TemplateByName :one
SELECT * FROM templates WHERE template_name = $1;

-- name: UnfinishedUploads :many
SELECT u.segment_id FROM uploads u JOIN segments g ON g.id = u.segment_id
WHERE u.state IN ('pending', 'uploading') AND g.publish = 'wanted' ORDER BY u.segment_id;

-- name: LockUpload :one
-- The recording must be locked before.
SELECT sqlc.embed(u), sqlc.embed(g), r.streamer_id
FROM segments g JOIN uploads u ON u.segment_id = g.id JOIN recordings r ON r.id = g.recording_id WHERE g.id = $1 FOR UPDATE OF g, u;

-- name: LockFailedUploads :many
-- The recording must be locked before.
SELECT sqlc.embed(u), sqlc.embed(g) FROM segments g JOIN uploads u ON u.segment_id = g.id
WHERE g.recording_id = $1 AND g.publish = 'wanted' AND u.state = 'failed' ORDER BY g.index FOR UPDATE OF g, u;

-- name: RestartUpload :exec
-- Counted from zero, from the last checkpoint on.
UPDATE uploads SET state = 'pending', attempts = 0, error = '', updated_at = now() WHERE segment_id = $1 AND state = 'failed';

-- name: ForgetCheckpoint :exec
UPDATE uploads SET checkpoint = NULL, acknowledged_bytes = 0, updated_at = now() WHERE segment_id = $1;
