-- name: RecordingHooks :one
-- The hooks of a recording's streamer as they are now, of a deleted one as they were.
SELECT coalesce(s.format, r.hooks ->> 'format', '')::text AS format,
       coalesce(s.segment_processor, r.hooks -> 'segment_processor', '[]')::jsonb AS segment_processor,
       coalesce(s.downloaded_processor, r.hooks -> 'downloaded_processor', '[]')::jsonb AS downloaded_processor,
       coalesce(s.postprocessor, r.hooks -> 'postprocessor', '[]')::jsonb AS postprocessor
FROM recordings r LEFT JOIN streamers s ON s.id = r.streamer_id
WHERE r.id = $1;

-- name: WaitingRecordingOf :one
-- Whether the next session of a streamer joins a recording that waits for it.
SELECT EXISTS (SELECT 1 FROM recordings r WHERE r.streamer_id = sqlc.arg(streamer_id)::bigint AND r.url = sqlc.arg(url)::text AND r.state <> 'ended')::boolean;

-- name: InsertHookRun :one
-- No row when the hook was due before.
INSERT INTO hook_runs (recording_id, segment_id, stage, steps) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING id;

-- name: RecordingHookRuns :many
SELECT * FROM hook_runs WHERE recording_id = $1 ORDER BY id;

-- name: GetHookRun :one
SELECT * FROM hook_runs WHERE id = $1;

-- name: HookRunTurn :one
-- Whether a run is the next one of its recording, and how long it has to wait otherwise. A held one lets the others pass.
SELECT sqlc.embed(h), r.streamer_id, greatest(extract(epoch FROM h.due_at - now()), 0)::double precision AS wait_seconds,
       EXISTS (SELECT 1 FROM hook_runs o WHERE o.recording_id = h.recording_id AND o.id < h.id AND o.state IN ('pending', 'running'))::boolean AS behind
FROM hook_runs h JOIN recordings r ON r.id = h.recording_id WHERE h.id = $1;

-- name: ClaimHookRun :one
-- A worker takes the run, unless one of those that live holds it: the answer says who has it now. No row: it is not its turn.
UPDATE hook_runs SET claim = CASE WHEN claim = ANY (sqlc.arg(living)::uuid[]) THEN claim ELSE sqlc.arg(claim)::uuid END
WHERE id = $1 AND round = sqlc.arg(round)::integer AND state = ANY (sqlc.arg(open)::text[])
RETURNING claim::uuid AS holder;

-- name: ReleaseHookRun :exec
UPDATE hook_runs SET claim = NULL WHERE id = $1 AND claim = sqlc.arg(claim)::uuid;

-- name: StartHookStep :execrows
UPDATE hook_runs SET state = sqlc.arg(state)::text, updated_at = now()
WHERE id = $1 AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: PlanHookStep :exec
UPDATE hook_runs SET plan = sqlc.arg(plan)::jsonb, updated_at = now() WHERE id = $1;

-- name: PassHookStep :one
-- One step is over; error keeps what failed, if anything. No row when that is committed already.
UPDATE hook_runs SET next_step = next_step + 1, plan = NULL, attempts = 0, due_at = now(),
    error = CASE WHEN sqlc.arg(error)::text = '' THEN error ELSE sqlc.arg(error)::text END,
    reason = CASE WHEN sqlc.arg(error)::text = '' THEN reason ELSE sqlc.narg(reason)::jsonb END,
    state = sqlc.arg(state)::text, updated_at = now()
WHERE id = $1 AND next_step = sqlc.arg(step)::integer AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]) RETURNING *;

-- name: PostponeHookStep :execrows
-- The wait is that of the worker's round: one that was ordered meanwhile looks at once.
UPDATE hook_runs SET state = sqlc.arg(state)::text, attempts = attempts + sqlc.arg(counted)::boolean::integer,
    error = CASE WHEN sqlc.arg(error)::text <> '' THEN sqlc.arg(error)::text ELSE error END,
    reason = CASE WHEN sqlc.arg(error)::text <> '' THEN sqlc.narg(reason)::jsonb ELSE reason END,
    due_at = CASE WHEN round = sqlc.arg(round)::integer THEN now() + make_interval(secs => sqlc.arg(wait_seconds)::double precision) ELSE due_at END, updated_at = now()
WHERE id = $1 AND next_step = sqlc.arg(step)::integer AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: HoldHookRun :execrows
UPDATE hook_runs SET state = sqlc.arg(state)::text, attempts = attempts + 1, error = $2, reason = sqlc.narg(reason)::jsonb, updated_at = now()
WHERE id = $1 AND next_step = sqlc.arg(step)::integer AND claim = sqlc.arg(claim)::uuid AND state = ANY (sqlc.arg(before)::text[]);

-- name: LockHookRun :one
SELECT * FROM hook_runs WHERE id = $1 FOR UPDATE;

-- name: RetryHookRun :one
-- A step that is skipped takes its plan along.
UPDATE hook_runs SET state = sqlc.arg(state)::text, round = round + 1, attempts = 0, due_at = now(), next_step = next_step + sqlc.arg(skip)::boolean::integer,
    plan = CASE WHEN sqlc.arg(skip)::boolean THEN NULL ELSE plan END, updated_at = now()
WHERE id = $1 AND state = ANY (sqlc.arg(before)::text[]) RETURNING *;

-- name: HurryHookRun :one
-- What a step waits for may have come: a new round, at once.
UPDATE hook_runs SET round = round + 1, due_at = now(), updated_at = now() WHERE id = $1 AND state = ANY (sqlc.arg(open)::text[]) RETURNING round;

-- name: MoveSegment :execrows
UPDATE segments SET path = sqlc.arg(path)::text, size_bytes = sqlc.arg(size_bytes)::bigint, recorded_path = coalesce(recorded_path, path)
WHERE id = $1 AND path = sqlc.arg(old_path)::text;

-- name: PathTaken :one
-- Whether a segment has a path, had it, or is about to get it.
SELECT (EXISTS (SELECT 1 FROM segments g WHERE g.path = sqlc.arg(path)::text OR g.recorded_path = sqlc.arg(path)::text)
     OR EXISTS (SELECT 1 FROM hook_runs h WHERE h.state <> 'done' AND h.plan -> 'moves' @> jsonb_build_array(jsonb_build_object('to', sqlc.arg(path)::text))))::boolean;

-- name: ResizeSegment :exec
UPDATE segments SET size_bytes = $2 WHERE id = $1;

-- name: RemovableSegments :many
-- What may be removed: parts of a public archive, and what the room's owner said is never published.
SELECT g.* FROM segments g JOIN recordings r ON r.id = g.recording_id
LEFT JOIN uploads u ON u.segment_id = g.id
WHERE g.recording_id = $1
  AND (g.publish = 'never' AND r.publish = 'never'
       OR g.publish = 'wanted' AND u.state = 'uploaded' AND EXISTS (
           SELECT 1 FROM submissions s WHERE s.recording_id = g.recording_id AND s.archive = 'public' AND u.remote_name = ANY (s.parts)))
  AND NOT EXISTS ( -- a person ordered the same file by hand, and that is not public yet
      SELECT 1 FROM segments o LEFT JOIN uploads p ON p.segment_id = o.id
      WHERE o.path = g.path AND o.id <> g.id AND o.publish = 'wanted' AND NOT EXISTS (
          SELECT 1 FROM submissions s WHERE s.recording_id = o.recording_id AND s.archive = 'public' AND p.remote_name = ANY (s.parts)))
ORDER BY g.index;

-- name: ArchivesOfRecording :many
-- What became of the archives of a recording.
SELECT number, state, archive, archive_text, bvid FROM submissions WHERE recording_id = $1 ORDER BY number;

-- name: OpenUploadsOfFiles :one
-- Whether an upload may be reading, or about to open, one of the files, whoever ordered it.
SELECT EXISTS (SELECT 1 FROM uploads u JOIN segments g ON g.id = u.segment_id
    WHERE u.state IN ('pending', 'uploading') AND g.publish = 'wanted' AND g.path = ANY (sqlc.arg(paths)::text[]))::boolean;

-- name: MarkSegmentsRemoved :exec
UPDATE segments SET removed_at = now() WHERE id = ANY (sqlc.arg(ids)::bigint[]) AND removed_at IS NULL;

-- name: FoldersOfRemoved :many
-- The folders of files that were removed within some seconds.
SELECT DISTINCT regexp_replace(path, '/[^/]*$', '')::text AS folder FROM segments
WHERE removed_at > now() - make_interval(secs => sqlc.arg(seconds)::double precision);

-- name: OpenHookRuns :many
-- What is not done, held ones first, then the last ones of a day that went on after a failure.
(SELECT sqlc.embed(h), r.streamer_id, coalesce(g.path, '')::text AS path
 FROM hook_runs h JOIN recordings r ON r.id = h.recording_id LEFT JOIN segments g ON g.id = h.segment_id
 WHERE h.state <> 'done' ORDER BY h.state <> 'held', h.id LIMIT 500)
UNION ALL
(SELECT sqlc.embed(h), r.streamer_id, coalesce(g.path, '')::text
 FROM hook_runs h JOIN recordings r ON r.id = h.recording_id LEFT JOIN segments g ON g.id = h.segment_id
 WHERE h.state = 'done' AND h.error <> '' AND h.updated_at > now() - interval '1 day' ORDER BY h.id DESC LIMIT 20);
