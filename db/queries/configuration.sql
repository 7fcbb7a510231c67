-- name: GetConfiguration :one
SELECT coalesce((SELECT value FROM configuration), '{}')::jsonb AS value;

-- name: LockConfiguration :one
-- The row exists afterwards, so that two changes at once cannot both be the first.
INSERT INTO configuration (value) VALUES ('{}') ON CONFLICT (id) DO UPDATE SET value = configuration.value RETURNING value;

-- name: MergeConfiguration :one
UPDATE configuration SET value = (value || sqlc.arg(changes)::jsonb) - sqlc.arg(removed)::text[], updated_at = now() RETURNING value;
