-- name: InsertUpload :one
-- No row when the segment has an upload already.
INSERT INTO uploads (segment_id) VALUES ($1) ON CONFLICT (segment_id) DO NOTHING RETURNING round;

-- name: UploadWork :one
SELECT sqlc.embed(u), sqlc.embed(g), sqlc.embed(r)
FROM uploads u JOIN segments g ON g.id = u.segment_id JOIN recordings r ON r.id = g.recording_id
WHERE u.segment_id = $1;

-- name: ClaimUpload :one
-- A worker takes the row, unless one of those that live holds it: the answer says who has it now. No row: it is not its turn.
UPDATE uploads u SET claim = CASE WHEN u.claim = ANY (sqlc.arg(living)::uuid[]) THEN u.claim ELSE sqlc.arg(claim)::uuid END FROM segments g
WHERE u.segment_id = $1 AND g.id = u.segment_id AND g.publish = sqlc.arg(publish)::text AND u.round = sqlc.arg(round)::integer
  AND u.state = ANY (sqlc.arg(open)::text[])
RETURNING u.claim::uuid AS holder;

-- name: StartUpload :execrows
-- A checkpoint belongs to one line and one account: with another one the transfer starts over. What went wrong before is
-- shown until something arrives again.
UPDATE uploads SET state = sqlc.arg(state)::text, missing = false, line = sqlc.arg(line)::text, line_reason = sqlc.narg(line_reason)::jsonb, account_file = sqlc.arg(account_file)::text,
    checkpoint = CASE WHEN line = sqlc.arg(line)::text AND account_file = sqlc.arg(account_file)::text THEN checkpoint END,
    acknowledged_bytes = CASE WHEN line = sqlc.arg(line)::text AND account_file = sqlc.arg(account_file)::text THEN acknowledged_bytes ELSE 0 END,
    updated_at = now()
WHERE segment_id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: SaveCheckpoint :exec
UPDATE uploads SET checkpoint = $2, acknowledged_bytes = $3,
    error = CASE WHEN $3 > acknowledged_bytes THEN '' ELSE error END, reason = CASE WHEN $3 > acknowledged_bytes THEN NULL ELSE reason END, updated_at = now()
WHERE segment_id = $1 AND claim = sqlc.arg(claim)::uuid AND state = sqlc.arg(state)::text;

-- name: FinishUpload :execrows
UPDATE uploads SET state = sqlc.arg(state)::text, remote_name = $2, remote_id = $3, checkpoint = NULL, error = '', reason = NULL, claim = NULL,
    acknowledged_bytes = sqlc.arg(size_bytes)::bigint, updated_at = now()
WHERE segment_id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: SetbackUpload :execrows
-- A try failed: another one comes, or a person has to look.
UPDATE uploads SET state = sqlc.arg(state)::text, error = sqlc.arg(error)::text, reason = sqlc.narg(reason)::jsonb, attempts = attempts + sqlc.arg(counted)::integer,
    missing = sqlc.arg(missing)::boolean, claim = NULL, updated_at = now()
WHERE segment_id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: ReleaseUpload :exec
-- The worker is at its end without having changed anything.
UPDATE uploads SET claim = NULL WHERE segment_id = $1 AND claim = sqlc.arg(claim)::uuid;

-- name: TemplateByName :one
SELECT * FROM templates WHERE template_name = $1;

-- name: RecordingOfSegment :one
SELECT recording_id FROM segments WHERE id = $1;

-- name: LockUpload :one
-- The recording must be locked before.
SELECT sqlc.embed(u), sqlc.embed(g), r.streamer_id
FROM segments g JOIN uploads u ON u.segment_id = g.id JOIN recordings r ON r.id = g.recording_id WHERE g.id = $1 FOR UPDATE OF g, u;

-- name: LockFailedUploads :many
-- The recording must be locked before.
SELECT sqlc.embed(u), sqlc.embed(g) FROM segments g JOIN uploads u ON u.segment_id = g.id
WHERE g.recording_id = $1 AND g.publish = sqlc.arg(publish)::text AND u.state = sqlc.arg(state)::text ORDER BY g.index FOR UPDATE OF g, u;

-- name: RestartUpload :one
-- A new round, counted from zero, from the last checkpoint on. The claim of a worker that still lives stays.
UPDATE uploads SET state = sqlc.arg(state)::text, attempts = 0, error = '', reason = NULL, line_reason = NULL, missing = false, round = round + 1, updated_at = now()
WHERE segment_id = $1 AND state = ANY (sqlc.arg(before)::text[]) RETURNING round;

-- name: ForgetCheckpoint :exec
UPDATE uploads SET checkpoint = NULL, acknowledged_bytes = 0, updated_at = now() WHERE segment_id = $1;

-- name: WaitingUploads :many
-- Uploads that wait for something that a person may have mended: each gets a new round. A row that somebody holds is left out, so
-- that this never waits for a lock while it holds others: whoever holds it sees what was mended.
UPDATE uploads u SET round = round + 1
WHERE u.segment_id IN (
    SELECT o.segment_id FROM uploads o JOIN segments g ON g.id = o.segment_id
    WHERE g.publish = sqlc.arg(publish)::text AND o.state = sqlc.arg(state)::text AND o.missing ORDER BY o.segment_id FOR UPDATE OF o SKIP LOCKED)
RETURNING u.segment_id, u.round;
