-- name: InsertSubmission :execrows
INSERT INTO submissions (recording_id) VALUES ($1) ON CONFLICT (recording_id) DO NOTHING;

-- name: LockSubmission :one
SELECT * FROM submissions WHERE recording_id = $1 FOR UPDATE;

-- name: GetRecording :one
SELECT * FROM recordings WHERE id = $1;

-- name: SubmissionSent :exec
UPDATE submissions SET state = 'submitting', account_file = $2, title = $3, parts = $4, submitted_at = sqlc.arg(submitted_at)::timestamptz, attempts = attempts + 1, error = '', updated_at = now()
WHERE recording_id = $1;

-- name: SubmissionState :exec
UPDATE submissions SET state = $2, error = $3, updated_at = now() WHERE recording_id = $1 AND state <> 'accepted';

-- name: SubmissionAccepted :exec
UPDATE submissions SET state = 'accepted', aid = $2, bvid = $3, error = '', accepted_at = sqlc.arg(accepted_at)::timestamptz, updated_at = now()
WHERE recording_id = $1;

-- name: EndedWithoutSubmission :many
SELECT r.id FROM recordings r
WHERE r.state = 'ended' AND NOT EXISTS (SELECT 1 FROM submissions s WHERE s.recording_id = r.id)
  AND EXISTS (SELECT 1 FROM segments g WHERE g.recording_id = r.id AND g.publish = 'wanted');
