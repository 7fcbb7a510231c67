-- name: InsertSession :execrows
-- No row when the streamer was paused, deleted or given another URL meanwhile. The lock makes such a change wait for
-- this row, and then find the session to stop. The room remembers the prefix that the recorder knows, which stays when the data
-- directory is moved.
INSERT INTO recorder_sessions (id, streamer_id, host_id, plugin, instance, path_prefix, first_index, room)
SELECT $1, s.id, $2, $3, $4, $5, $6, sqlc.arg(room)::jsonb || jsonb_build_object('prefix', $5::text) FROM streamers s
WHERE s.id = sqlc.arg(streamer_id)::bigint AND s.url = sqlc.arg(url)::text AND NOT s.paused FOR SHARE;

-- name: OpenSessions :many
SELECT * FROM recorder_sessions WHERE host_id = $1 AND ended_at IS NULL ORDER BY started_at;

-- name: LockSession :one
SELECT * FROM recorder_sessions WHERE id = $1 FOR UPDATE;

-- name: AdvanceSession :exec
UPDATE recorder_sessions SET last_seq = greatest(last_seq, $2), last_index = greatest(last_index, $3) WHERE id = $1;

-- name: LinkSession :exec
UPDATE recorder_sessions SET recording_id = $2 WHERE id = $1;

-- name: EndSession :exec
UPDATE recorder_sessions SET ended_at = $2, end_reason = $3, end_message = $4 WHERE id = $1;

-- name: UnsettledSessions :many
-- Ended sessions of this host with files that are no segments. Those that hold nothing up are looked at for a while only.
SELECT * FROM recorder_sessions
WHERE host_id = $1 AND unsettled IS NOT NULL AND ended_at IS NOT NULL AND (holds OR ended_at > sqlc.arg(since)::timestamptz)
ORDER BY ended_at;

-- name: SettleSession :exec
UPDATE recorder_sessions SET unsettled = $2, holds = $3, last_index = greatest(last_index, $4) WHERE id = $1;

-- name: NoteRecording :exec
-- What is wrong with the files of a recording is what is wrong with those of its sessions, the worst first.
UPDATE recordings r SET reason = (
    SELECT o.unsettled FROM recorder_sessions o WHERE o.recording_id = r.id AND o.unsettled IS NOT NULL
    ORDER BY o.holds DESC, o.started_at DESC LIMIT 1
)
WHERE r.id = $1;

-- name: SegmentsOfRecording :many
SELECT index, coalesce(recorded_path, path)::text AS path FROM segments WHERE recording_id = $1;

-- name: DeleteSession :exec
DELETE FROM recorder_sessions WHERE id = $1;

-- name: LockOpenRecording :one
SELECT * FROM recordings WHERE streamer_id = sqlc.arg(streamer_id)::bigint AND state <> 'ended' FOR UPDATE;

-- name: LockRecording :one
SELECT * FROM recordings WHERE id = $1 FOR UPDATE;

-- name: InsertRecording :one
-- What the room says of publishing is copied: editing it changes nothing that was recorded.
INSERT INTO recordings (streamer_id, host_id, url, remark, template_name, title, streamer_name, cover_url, category, state, started_at, broadcast_id, publish)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'recording', $10, $11, (SELECT s.publish FROM streamers s WHERE s.id = $1))
RETURNING *;

-- name: ResumeRecording :exec
UPDATE recordings SET state = 'recording', resume_until = NULL, host_id = $2,
    broadcast_id = coalesce(nullif(broadcast_id, ''), sqlc.arg(broadcast_id)::text)
WHERE id = $1 AND state <> 'ended';

-- name: InsertTimeline :exec
-- A recorder that tells of something all the time fills no disk with it.
INSERT INTO recording_timeline (recording_id, session_id, seq, kind, cause, at, media_ms, length_ms, index, code, args)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
WHERE (SELECT count(*) FROM recording_timeline t WHERE t.recording_id = $1) < sqlc.arg(most)::bigint
ON CONFLICT ON CONSTRAINT recording_timeline_event_key DO NOTHING;

-- name: WaitRecording :exec
-- Nothing can join the recording of a room that is gone or became another one: its time is over at once.
UPDATE recordings r SET state = 'waiting', resume_until =
    CASE WHEN EXISTS (SELECT 1 FROM streamers s WHERE s.id = r.streamer_id AND s.url = r.url) THEN sqlc.arg(resume_until)::timestamptz ELSE now() END
WHERE r.id = $1 AND r.state <> 'ended';

-- name: EndRecording :exec
UPDATE recordings SET state = 'ended', resume_until = NULL, ended_at = sqlc.arg(ended_at)::timestamptz WHERE id = $1 AND state <> 'ended';

-- name: ExtendWaiting :exec
-- After a restart no room was asked for a while: the first answer decides, not the time that the host was away.
UPDATE recordings SET resume_until = greatest(resume_until, sqlc.arg(until)::timestamptz) WHERE host_id = $1 AND state = 'waiting';

-- name: LockExpiredRecordings :many
-- Waiting recordings that nothing can join any more: their time is over, or their room is gone or became another one. One with
-- a file that is no segment yet is not complete.
SELECT r.* FROM recordings r LEFT JOIN streamers s ON s.id = r.streamer_id
WHERE r.state = 'waiting'
  AND (r.resume_until <= sqlc.arg(now)::timestamptz OR s.id IS NULL OR s.url <> r.url)
  AND NOT EXISTS (SELECT 1 FROM recorder_sessions o WHERE o.streamer_id = r.streamer_id AND o.ended_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM recorder_sessions o WHERE o.recording_id = r.id AND o.holds)
ORDER BY r.id
FOR UPDATE OF r SKIP LOCKED;

-- name: NextResumeUntil :one
SELECT min(r.resume_until)::timestamptz AS resume_until FROM recordings r
WHERE r.state = 'waiting' AND NOT EXISTS (SELECT 1 FROM recorder_sessions o WHERE o.recording_id = r.id AND o.holds)
HAVING count(*) > 0;

-- name: OrphanedRecordings :many
-- Recordings of this host that claim to be live while no session feeds them.
SELECT r.* FROM recordings r
WHERE r.host_id = $1 AND r.state = 'recording'
  AND NOT EXISTS (SELECT 1 FROM recorder_sessions o WHERE o.recording_id = r.id AND o.ended_at IS NULL);

-- name: NextSegmentIndex :one
-- Behind every segment, and every file that may become one.
SELECT (greatest(
    (SELECT coalesce(max(g.index), 0) FROM segments g JOIN recordings r ON r.id = g.recording_id
     WHERE r.streamer_id = sqlc.arg(streamer_id)::bigint AND r.state <> 'ended'),
    (SELECT coalesce(max(o.last_index), 0) FROM recorder_sessions o JOIN recordings r ON r.id = o.recording_id
     WHERE r.streamer_id = sqlc.arg(streamer_id)::bigint AND r.state <> 'ended')
) + 1)::integer;

-- name: RoomConfiguration :one
SELECT coalesce((SELECT value FROM configuration), '{}')::jsonb AS global,
       coalesce((SELECT override FROM streamers WHERE id = sqlc.narg(streamer_id)::bigint), '{}')::jsonb AS override,
       coalesce((SELECT time_range FROM streamers WHERE id = sqlc.narg(streamer_id)::bigint), 'null')::jsonb AS time_range;

-- name: WatchedStreamers :many
SELECT * FROM streamers WHERE NOT paused ORDER BY id;

-- name: SetStreamerError :exec
UPDATE streamers SET last_error = $2, reason = $3 WHERE id = $1 AND (last_error <> $2 OR reason IS DISTINCT FROM $3);

-- name: SessionWanted :one
-- Whether a session's room is still to be recorded.
SELECT EXISTS (
    SELECT 1 FROM recorder_sessions o JOIN streamers s ON s.id = o.streamer_id
    WHERE o.id = $1 AND NOT s.paused AND s.url = o.room ->> 'url'
)::boolean;

-- name: GetSession :one
SELECT * FROM recorder_sessions WHERE id = $1;
