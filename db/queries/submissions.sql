-- name: InsertSubmission :execrows
INSERT INTO submissions (recording_id) VALUES ($1) ON CONFLICT (recording_id) DO NOTHING;

-- name: GetRecording :one
SELECT * FROM recordings WHERE id = $1;

-- name: SubmissionSent :exec
UPDATE submissions SET state = 'submitting', account_file = $2, title = $3, parts = $4, submitted_at = sqlc.arg(submitted_at)::timestamptz, attempts = attempts + 1, lookups = 0, refusal = 0, error = '', updated_at = now()
WHERE recording_id = $1;

-- name: SubmissionState :exec
-- What fails without an answer of Bilibili was not refused.
UPDATE submissions SET state = $2, error = $3, refusal = CASE WHEN $2 = 'failed' THEN 0 ELSE refusal END, updated_at = now() WHERE recording_id = $1 AND state <> 'accepted';

-- name: SubmissionRefused :exec
-- A try that never reached Bilibili does not count.
UPDATE submissions SET state = $2, error = $3, refusal = $4, attempts = attempts - (NOT sqlc.arg(counted)::boolean)::integer, updated_at = now()
WHERE recording_id = $1 AND state <> 'accepted';

-- name: SubmissionAccepted :exec
UPDATE submissions SET state = 'accepted', aid = $2, bvid = $3, error = '', accepted_at = sqlc.arg(accepted_at)::timestamptz, updated_at = now()
WHERE recording_id = $1;

-- name: GetSubmission :one
-- With the seconds since its last change, on the clock that wrote it.
SELECT sqlc.embed(s), r.streamer_id, extract(epoch FROM now() - s.updated_at)::double precision AS age_seconds
FROM submissions s JOIN recordings r ON r.id = s.recording_id WHERE s.recording_id = $1;

-- name: SubmissionLookedUp :exec
UPDATE submissions SET state = 'unknown', error = $2, lookups = lookups + sqlc.arg(looked)::boolean::integer, updated_at = now()
WHERE recording_id = $1 AND state <> 'accepted';

-- name: UnsubmittedRecordings :many
-- Recordings that ended and publish something, without an archive: their submission may have to be ordered again.
SELECT r.id FROM recordings r LEFT JOIN submissions s ON s.recording_id = r.id
WHERE r.state = 'ended' AND (s.id IS NULL OR s.state IN ('waiting', 'submitting', 'unknown'))
  AND EXISTS (SELECT 1 FROM segments g WHERE g.recording_id = r.id AND g.publish = 'wanted');

-- name: LockSubmission :one
SELECT * FROM submissions WHERE recording_id = $1 FOR UPDATE;

-- name: RestartSubmission :exec
-- Whatever was sent before is looked up first.
UPDATE submissions SET state = CASE WHEN submitted_at IS NULL THEN 'waiting' ELSE 'unknown' END, attempts = 0, lookups = 0, error = '', updated_at = now()
WHERE recording_id = $1 AND state = 'failed';

-- name: RefusedSubmissionsToRetry :many
-- Those that were refused with a template that was changed since.
SELECT s.recording_id FROM submissions s JOIN recordings r ON r.id = s.recording_id JOIN templates t ON t.template_name = r.template_name
WHERE s.state = 'failed' AND s.refusal <> 0 AND r.params IS NULL AND t.updated_at > s.submitted_at ORDER BY s.recording_id;

-- name: DeleteSubmission :exec
DELETE FROM submissions WHERE recording_id = $1;
