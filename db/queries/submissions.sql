-- name: InsertSubmission :one
-- No row when there is one of this number.
INSERT INTO submissions (recording_id, number, state) VALUES ($1, $2, $3) ON CONFLICT (recording_id, number) DO NOTHING RETURNING id, round;

-- name: GetRecording :one
SELECT * FROM recordings WHERE id = $1;

-- name: RecordingSubmissions :many
SELECT * FROM submissions WHERE recording_id = $1 ORDER BY number;

-- name: GetSubmission :one
-- With the seconds since its last change and since it was sent, on the clock that wrote them.
SELECT sqlc.embed(s), r.streamer_id, extract(epoch FROM now() - s.updated_at)::double precision AS age_seconds,
       extract(epoch FROM now() - coalesce(s.submitted_at, now()))::double precision AS sent_seconds,
       extract(epoch FROM now() - coalesce(s.accepted_at, now()))::double precision AS accepted_seconds,
       extract(epoch FROM now() - coalesce(s.archive_at, now()))::double precision AS asked_seconds
FROM submissions s JOIN recordings r ON r.id = s.recording_id WHERE s.id = $1;

-- name: ClaimSubmission :one
-- A worker takes the row, unless one of those that live holds it: the answer says who has it now. No row: it is not its turn.
UPDATE submissions SET claim = CASE WHEN claim = ANY (sqlc.arg(living)::uuid[]) THEN claim ELSE sqlc.arg(claim)::uuid END
WHERE id = $1 AND round = sqlc.arg(round)::integer AND state = ANY (sqlc.arg(open)::text[])
RETURNING claim::uuid AS holder;

-- name: ReleaseSubmission :exec
UPDATE submissions SET claim = NULL WHERE id = $1 AND claim = sqlc.arg(claim)::uuid;

-- name: SubmissionSent :execrows
UPDATE submissions SET state = sqlc.arg(state)::text, account_file = $2, title = $3, parts = $4, submitted_at = sqlc.arg(submitted_at)::timestamptz,
    attempts = attempts + 1, lookups = 0, refusal = 0, proven = false, error = '', reason = NULL, missing = false, updated_at = now()
WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: SubmissionAppends :execrows
UPDATE submissions SET appending = $2, attempts = attempts + 1, updated_at = now()
WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND state = sqlc.arg(state)::text;

-- name: SubmissionAppended :execrows
-- The archive holds these parts. What was kept of failures of edits before is over. The worker lets go of the row, which may have
-- its next job already.
UPDATE submissions SET state = sqlc.arg(state)::text, parts = $2, appending = '{}', error = '', reason = NULL, missing = false, is_full = sqlc.arg(is_full)::boolean, claim = NULL, updated_at = now()
WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: SetSubmissionState :execrows
-- What fails without an answer of Bilibili was not refused.
UPDATE submissions SET state = sqlc.arg(state)::text, error = sqlc.arg(error)::text, reason = sqlc.narg(reason)::jsonb,
    missing = sqlc.arg(missing)::boolean,
    refusal = CASE WHEN sqlc.arg(final)::boolean THEN 0 ELSE refusal END, updated_at = now()
WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: SubmissionRefused :execrows
-- A try that never reached Bilibili does not count.
UPDATE submissions SET state = sqlc.arg(state)::text, error = sqlc.arg(error)::text, reason = sqlc.narg(reason)::jsonb, refusal = sqlc.arg(refusal)::integer,
    part_limit = sqlc.arg(part_limit)::integer, proven = proven OR sqlc.arg(proven)::boolean, missing = sqlc.arg(missing)::boolean,
    attempts = greatest(attempts - (NOT sqlc.arg(counted)::boolean)::integer, 0), updated_at = now()
WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: SubmissionAccepted :execrows
-- The worker lets go of the row, which may have its next job already.
UPDATE submissions SET state = sqlc.arg(state)::text, aid = $2, bvid = $3, error = '', reason = NULL, missing = false, refusal = 0, accepted_at = sqlc.arg(accepted_at)::timestamptz,
    archive = sqlc.arg(archive)::text, archive_at = now(), follows = 0, claim = NULL, updated_at = now()
WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: SubmissionLookedUp :execrows
UPDATE submissions SET state = sqlc.arg(state)::text, error = sqlc.arg(error)::text, reason = sqlc.narg(reason)::jsonb, lookups = lookups + sqlc.arg(looked)::boolean::integer, missing = sqlc.arg(missing)::boolean, updated_at = now()
WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: LockSubmissions :many
-- The recording must be locked before.
SELECT * FROM submissions WHERE recording_id = $1 ORDER BY number FOR UPDATE;

-- name: RestartSubmission :one
-- A new round. Whatever was sent before is looked up first; an archive that exists goes on being added to.
UPDATE submissions SET state = sqlc.arg(state)::text, attempts = 0, lookups = 0, error = '', reason = NULL, missing = false, round = round + 1, updated_at = now()
WHERE id = $1 AND state = ANY (sqlc.arg(before)::text[]) RETURNING round;

-- name: AppendToSubmission :one
-- There are parts that the archive lacks.
UPDATE submissions SET state = sqlc.arg(state)::text, round = round + 1, attempts = 0, updated_at = now()
WHERE id = $1 AND state = ANY (sqlc.arg(before)::text[]) RETURNING round;

-- name: WaitingSubmissions :many
-- Submissions that wait for something that a person may have mended, as with uploads.
UPDATE submissions SET round = round + 1
WHERE id IN (SELECT s.id FROM submissions s WHERE s.state = ANY (sqlc.arg(states)::text[]) AND s.missing ORDER BY s.id FOR UPDATE SKIP LOCKED)
RETURNING id, round;

-- name: RefusedSubmissionsToRetry :many
-- Those that were refused with a template that was changed since.
SELECT s.id, s.recording_id FROM submissions s JOIN recordings r ON r.id = s.recording_id JOIN templates t ON t.template_name = r.template_name
WHERE s.state = sqlc.arg(state)::text AND s.refusal <> 0 AND r.params IS NULL AND t.updated_at > s.submitted_at ORDER BY s.id;

-- name: DeleteSubmission :exec
DELETE FROM submissions WHERE id = $1;

-- name: DropSubmission :execrows
-- Nothing is left for an archive that was never made.
DELETE FROM submissions WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND aid = 0 AND state = sqlc.arg(state)::text;

-- name: FollowedArchive :execrows
-- What Bilibili says of an archive. An answer from before the archive was edited is not about what it is now.
UPDATE submissions SET archive = sqlc.arg(archive)::text, archive_code = sqlc.arg(archive_code)::integer, archive_text = sqlc.arg(archive_text)::text,
    archive_at = now(), follows = follows + 1
WHERE id = $1 AND follow_round = sqlc.arg(round)::integer AND archive = ANY (sqlc.arg(before)::text[]);

-- name: FollowFailed :exec
-- Bilibili could not be asked: what is known of the archive stays, and the next look comes later.
UPDATE submissions SET follows = follows + 1 WHERE id = $1 AND follow_round = sqlc.arg(round)::integer;

-- name: FollowAnew :one
-- The archive was edited: it is in review again.
UPDATE submissions SET archive = sqlc.arg(archive)::text, follows = 0, follow_round = follow_round + 1 WHERE id = $1 RETURNING follow_round;
