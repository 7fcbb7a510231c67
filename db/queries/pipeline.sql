-- What work there is without a job for it: a host that died between two steps of an older version, or a job that was lost with
-- the database, left it. The job library's table is looked at by set, so that many thousand rows cost one pass.

-- name: RecordingsLeftBehind :many
-- Ended recordings for which something is due that nobody ordered.
SELECT DISTINCT r.id FROM recordings r JOIN segments g ON g.recording_id = r.id
LEFT JOIN uploads u ON u.segment_id = g.id LEFT JOIN hook_runs h ON h.segment_id = g.id
WHERE r.state = 'ended' AND r.id > sqlc.arg(after)::bigint AND (
    g.publish = 'undecided'
    OR g.publish IN ('wanted', 'never') AND g.ready_at IS NULL AND h.id IS NULL
    OR g.publish = 'wanted' AND g.ready_at IS NOT NULL AND u.id IS NULL
    OR g.publish = 'wanted' AND u.state = 'uploaded' AND NOT EXISTS (
           SELECT 1 FROM submissions s WHERE s.recording_id = r.id AND (s.state NOT IN ('accepted') OR u.remote_name = ANY (s.parts)))
       AND NOT EXISTS (SELECT 1 FROM hook_runs o WHERE o.recording_id = r.id AND o.stage <> 'postprocessor' AND o.state <> 'done')
       AND NOT EXISTS (
           SELECT 1 FROM segments o LEFT JOIN uploads p ON p.segment_id = o.id
           WHERE o.recording_id = r.id AND o.publish = 'wanted' AND coalesce(p.state, '') <> 'uploaded'))
ORDER BY r.id LIMIT sqlc.arg(max_rows)::integer;
