-- name: EventsAfter :many
-- The events after a position, in the order of positions, as far as no event can come before them any more.
SELECT id, (xid::text)::bigint AS xid, kind, streamer_id, data, created_at FROM events
WHERE (xid, id) > ((sqlc.arg(xid)::bigint::text)::xid8, sqlc.arg(id)::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY events.xid, events.id LIMIT sqlc.arg(max_rows)::integer;

-- name: EventLog :one
-- What has been removed, whether the position is of a transaction that has not begun yet, and whether there are events
-- after it, readable or not.
SELECT epoch, (removed_xid::text)::bigint AS removed_xid, removed_id,
       ((sqlc.arg(xid)::bigint::text)::xid8 >= pg_snapshot_xmax(pg_current_snapshot()))::boolean AS from_the_future,
       EXISTS (SELECT 1 FROM events WHERE (xid, id) > ((sqlc.arg(xid)::bigint::text)::xid8, sqlc.arg(id)::bigint))::boolean AS pending
FROM event_log;

-- name: LastEvent :many
-- The position of the last readable event, or no row.
SELECT (xid::text)::bigint AS xid, id FROM events WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY events.xid DESC, events.id DESC LIMIT 1;

-- name: LockEventLog :one
-- Whether transactions of the future have left events: then the table comes from another server.
SELECT (removed_xid >= pg_snapshot_xmax(pg_current_snapshot())
        OR EXISTS (SELECT 1 FROM events WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())))::boolean AS foreign_events
FROM event_log FOR UPDATE;

-- name: BeginEventEpoch :exec
WITH forgotten AS (DELETE FROM events)
UPDATE event_log SET epoch = floor(random() * 4503599627370496), removed_xid = '0', removed_id = 0;

-- name: EventsToRemove :many
-- The position of the newest readable event that is too old or one too many, or no row.
(SELECT (e.xid::text)::bigint AS xid, e.id FROM events e
 WHERE e.created_at < now() - make_interval(secs => sqlc.arg(max_age_seconds)::double precision) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY e.xid DESC, e.id DESC LIMIT 1)
UNION ALL
(SELECT (e.xid::text)::bigint, e.id FROM events e WHERE e.xid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY e.xid DESC, e.id DESC OFFSET sqlc.arg(max_events)::integer LIMIT 1);

-- name: RemoveEvents :execrows
-- Removes the oldest events up to a position, and notes that they are gone.
WITH old AS (
    SELECT id FROM events WHERE (xid, id) <= ((sqlc.arg(xid)::bigint::text)::xid8, sqlc.arg(id)::bigint)
    ORDER BY events.xid, events.id LIMIT sqlc.arg(max_rows)::integer
), removed AS (
    DELETE FROM events USING old WHERE events.id = old.id RETURNING events.xid, events.id
), last AS (
    SELECT xid, id FROM removed ORDER BY removed.xid DESC, removed.id DESC LIMIT 1
)
UPDATE event_log SET removed_xid = last.xid, removed_id = last.id FROM last;

-- name: TryEventCleaner :one
-- One host at a time removes old events; the lock ends with the transaction.
SELECT pg_try_advisory_xact_lock(sqlc.arg(key)::bigint)::boolean;
