-- name: StreamerStates :many
-- All streamers, or one, with what they do: two passes over the open work, whatever the number of rooms. What waits for a
-- person, or for its next try, is not being worked on.
WITH open_uploads AS (
    SELECT r.streamer_id,
           bool_or(u.state = 'uploading' OR u.state = 'pending' AND u.error = '') AS working,
           (array_agg(u.error ORDER BY u.id DESC) FILTER (WHERE u.error <> ''))[1] AS error,
           (array_agg(u.reason ORDER BY u.id DESC) FILTER (WHERE u.error <> ''))[1] AS reason
    FROM uploads u JOIN segments g ON g.id = u.segment_id JOIN recordings r ON r.id = g.recording_id
    WHERE u.state <> 'uploaded' AND g.publish = 'wanted' AND r.streamer_id IS NOT NULL
    GROUP BY r.streamer_id
), open_submissions AS (
    SELECT r.streamer_id,
           bool_or(s.state IN ('submitting', 'unknown', 'appending') OR s.state = 'waiting' AND s.error = '') AS working,
           (array_agg(s.error ORDER BY s.id DESC) FILTER (WHERE s.error <> ''))[1] AS error,
           (array_agg(s.reason ORDER BY s.id DESC) FILTER (WHERE s.error <> ''))[1] AS reason
    FROM submissions s JOIN recordings r ON r.id = s.recording_id
    WHERE s.state <> 'accepted' AND r.streamer_id IS NOT NULL
    GROUP BY r.streamer_id
), held_hooks AS (
    SELECT DISTINCT ON (r.streamer_id) r.streamer_id, h.id, h.error, h.reason
    FROM hook_runs h JOIN recordings r ON r.id = h.recording_id
    WHERE h.state = 'held' AND r.streamer_id IS NOT NULL
    ORDER BY r.streamer_id, h.id
), rejected AS (
    SELECT DISTINCT ON (r.streamer_id) r.streamer_id, s.bvid, s.archive_text
    FROM submissions s JOIN recordings r ON r.id = s.recording_id
    WHERE s.archive = 'rejected' AND r.streamer_id IS NOT NULL
    ORDER BY r.streamer_id, s.id DESC
), open_sessions AS (
    SELECT streamer_id, min(plugin) AS plugin FROM recorder_sessions WHERE ended_at IS NULL AND streamer_id IS NOT NULL GROUP BY streamer_id
)
SELECT sqlc.embed(streamers),
       EXISTS (SELECT 1 FROM recordings r WHERE r.streamer_id = streamers.id AND r.state = 'recording') AS recording,
       (coalesce(ou.working, false) OR coalesce(os.working, false))::boolean AS uploading,
       (streamers.template_name IS NOT NULL AND t.id IS NULL)::boolean AS template_missing,
       coalesce(os.error, '')::text AS submission_error, os.reason::jsonb AS submission_reason,
       coalesce(ou.error, '')::text AS upload_error, ou.reason::jsonb AS upload_reason,
       coalesce(hh.id, 0)::bigint AS held_hook, coalesce(hh.error, '')::text AS hook_error, hh.reason AS hook_reason,
       coalesce(re.bvid, '')::text AS rejected, coalesce(re.archive_text, '')::text AS rejected_text,
       coalesce(oe.plugin, '')::text AS recorder,
       (SELECT r.reason FROM recordings r WHERE r.streamer_id = streamers.id AND r.state <> 'ended')::jsonb AS files_reason
FROM streamers
LEFT JOIN open_uploads ou ON ou.streamer_id = streamers.id
LEFT JOIN open_submissions os ON os.streamer_id = streamers.id
LEFT JOIN rejected re ON re.streamer_id = streamers.id
LEFT JOIN open_sessions oe ON oe.streamer_id = streamers.id
LEFT JOIN held_hooks hh ON hh.streamer_id = streamers.id
LEFT JOIN templates t ON t.template_name = streamers.template_name
WHERE sqlc.narg(id)::bigint IS NULL OR streamers.id = sqlc.narg(id)::bigint
ORDER BY streamers.id;

-- name: InsertStreamer :one
INSERT INTO streamers (url, template_name, remark, split_time, split_size, override, filename_prefix, format, time_range, excluded_keywords,
    preprocessor, segment_processor, downloaded_processor, postprocessor, publish, platform, room_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
RETURNING *;

-- name: StreamerOfRoom :one
-- The first other streamer of the same room, however its URL is spelled.
SELECT * FROM streamers
WHERE id <> sqlc.arg(besides)::bigint AND platform = sqlc.arg(platform)::text
    AND (room_id = sqlc.arg(room)::text OR room_key = sqlc.arg(room)::text) AND sqlc.arg(room)::text <> ''
ORDER BY id LIMIT 1;

-- name: EarlierStreamerOfRoom :one
-- The first watched streamer of the same room that was there before.
SELECT * FROM streamers WHERE id < $1 AND platform = $2 AND room_id = $3 AND NOT paused ORDER BY id LIMIT 1;

-- name: NameRoom :exec
-- Only for the URL that was asked about.
UPDATE streamers SET platform = $3, room_id = $4 WHERE id = $1 AND url = $2;

-- name: GetStreamer :one
SELECT * FROM streamers WHERE id = $1;

-- name: StreamerByURL :one
SELECT * FROM streamers WHERE url = $1;

-- name: LockStreamer :one
SELECT * FROM streamers WHERE id = $1 FOR UPDATE;

-- name: UpdateStreamer :one
-- What went wrong with another URL says nothing about the new one.
UPDATE streamers SET url = $2, template_name = $3, remark = $4, split_time = $5, split_size = $6, override = $7,
    filename_prefix = $8, format = $9, time_range = $10, excluded_keywords = $11,
    preprocessor = $12, segment_processor = $13, downloaded_processor = $14, postprocessor = $15, publish = $16,
    platform = $17, room_key = $18, room_id = CASE WHEN url = $2 THEN room_id ELSE '' END,
    last_error = CASE WHEN url = $2 THEN last_error ELSE '' END, reason = CASE WHEN url = $2 THEN reason END, updated_at = now()
WHERE id = $1
RETURNING *;

-- name: SetStreamerPaused :one
UPDATE streamers SET paused = $2, updated_at = now() WHERE id = $1 RETURNING *;

-- name: DeleteStreamer :one
-- Its recordings keep its hooks: what is due of them later still runs.
WITH kept AS (
    UPDATE recordings r SET hooks = jsonb_build_object('format', s.format, 'segment_processor', s.segment_processor,
        'downloaded_processor', s.downloaded_processor, 'postprocessor', s.postprocessor)
    FROM streamers s WHERE s.id = $1 AND r.streamer_id = s.id
      AND NOT EXISTS (SELECT 1 FROM hook_runs h WHERE h.recording_id = r.id AND h.stage = 'postprocessor')
)
DELETE FROM streamers WHERE streamers.id = $1 RETURNING *;
