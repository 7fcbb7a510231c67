-- name: WorkCounts :one
SELECT (SELECT count(*) FROM recordings WHERE state = 'recording')::bigint AS recordings,
       (SELECT count(*) FROM uploads u JOIN segments g ON g.id = u.segment_id
        WHERE u.state <> 'uploaded' AND u.state = 'uploading' AND g.publish = 'wanted')::bigint AS uploads;

-- name: OpenRecordings :many
SELECT r.id, r.streamer_id, r.url, r.remark, r.title, r.state, r.resume_until, r.started_at, coalesce(g.segments, 0)::bigint AS segments, coalesce(g.size_bytes, 0)::bigint AS size_bytes
FROM recordings r
LEFT JOIN LATERAL (SELECT count(*) AS segments, sum(size_bytes) AS size_bytes FROM segments WHERE recording_id = r.id) g ON true
WHERE r.state <> 'ended' ORDER BY r.id DESC LIMIT 500;

-- name: OpenUploads :many
-- What a person gave up is not open any more.
SELECT u.segment_id, g.recording_id, r.kind, g.path, g.size_bytes, u.state, u.line, u.acknowledged_bytes, u.attempts, u.error, u.reason, u.line_reason
FROM uploads u JOIN segments g ON g.id = u.segment_id JOIN recordings r ON r.id = g.recording_id
WHERE u.state <> 'uploaded' AND g.publish = 'wanted' ORDER BY u.id LIMIT 500;

-- name: RecentSubmissions :many
-- What is not accepted yet, or was refused after that, oldest first, then the last that were accepted.
(SELECT s.recording_id, r.kind, r.streamer_id, s.state, s.title, cardinality(s.parts)::integer AS parts, s.aid, s.bvid, s.attempts, s.error, s.submitted_at, s.accepted_at, s.number, s.archive, s.archive_text, s.reason,
       (SELECT count(*) FROM segments g WHERE g.recording_id = r.id AND g.publish = 'filtered')::bigint AS filtered_files,
       (SELECT coalesce(sum(g.size_bytes), 0) FROM segments g WHERE g.recording_id = r.id AND g.publish = 'filtered')::bigint AS filtered_bytes
 FROM submissions s JOIN recordings r ON r.id = s.recording_id WHERE s.state <> 'accepted' OR s.archive = 'rejected' ORDER BY s.id LIMIT 500)
UNION ALL
(SELECT s.recording_id, r.kind, r.streamer_id, s.state, s.title, cardinality(s.parts)::integer, s.aid, s.bvid, s.attempts, s.error, s.submitted_at, s.accepted_at, s.number, s.archive, s.archive_text, s.reason,
       (SELECT count(*) FROM segments g WHERE g.recording_id = r.id AND g.publish = 'filtered')::bigint AS filtered_files,
       (SELECT coalesce(sum(g.size_bytes), 0) FROM segments g WHERE g.recording_id = r.id AND g.publish = 'filtered')::bigint AS filtered_bytes
 FROM submissions s JOIN recordings r ON r.id = s.recording_id WHERE s.state = 'accepted' AND s.archive <> 'rejected' ORDER BY s.id DESC LIMIT 20);

-- name: ListRecordings :many
SELECT r.id, r.streamer_id, r.url, r.remark, r.template_name, r.title, r.streamer_name, r.state, r.started_at, r.ended_at, r.reason,
       coalesce((SELECT g.path FROM segments g WHERE g.recording_id = r.id ORDER BY g.index LIMIT 1), '')::text AS video_path,
       coalesce(s.id, 0)::bigint AS submission_id, coalesce(s.state, '')::text AS submission_state, coalesce(s.title, '')::text AS submission_title, coalesce(s.aid, 0)::bigint AS aid,
       coalesce(s.bvid, '')::text AS bvid, coalesce(s.attempts, 0)::integer AS submission_attempts, coalesce(s.error, '')::text AS submission_error, s.reason AS submission_reason,
       (SELECT count(*) FROM segments g WHERE g.recording_id = r.id AND g.publish = 'filtered')::bigint AS filtered_files,
       (SELECT coalesce(sum(g.size_bytes), 0) FROM segments g WHERE g.recording_id = r.id AND g.publish = 'filtered')::bigint AS filtered_bytes
FROM recordings r
LEFT JOIN LATERAL ( -- of several archives the first that is not there yet, or the first
    SELECT * FROM submissions o WHERE o.recording_id = r.id ORDER BY o.state = 'accepted', o.number LIMIT 1) s ON true
WHERE r.kind = 'room' AND (sqlc.narg(before)::bigint IS NULL OR r.id < sqlc.narg(before)::bigint)
ORDER BY r.id DESC LIMIT sqlc.arg(max_rows)::integer;

-- name: ListSegments :many
SELECT sqlc.embed(g), u.id AS upload_id, coalesce(u.state, '')::text AS upload_state, coalesce(u.line, '')::text AS line,
       coalesce(u.acknowledged_bytes, 0)::bigint AS acknowledged_bytes, coalesce(u.attempts, 0)::integer AS upload_attempts, coalesce(u.error, '')::text AS upload_error, u.reason AS upload_reason, u.line_reason
FROM segments g LEFT JOIN uploads u ON u.segment_id = g.id
WHERE g.recording_id = $1 ORDER BY g.index;

-- name: GetSegmentWithUpload :one
SELECT sqlc.embed(g), u.id AS upload_id, coalesce(u.state, '')::text AS upload_state, coalesce(u.line, '')::text AS line,
       coalesce(u.acknowledged_bytes, 0)::bigint AS acknowledged_bytes, coalesce(u.attempts, 0)::integer AS upload_attempts, coalesce(u.error, '')::text AS upload_error, u.reason AS upload_reason, u.line_reason
FROM segments g LEFT JOIN uploads u ON u.segment_id = g.id
WHERE g.id = $1;
