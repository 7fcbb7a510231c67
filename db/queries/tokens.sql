-- name: LockUser :one
-- Makes steps of one user that count something first come one after the other.
SELECT id FROM users WHERE id = $1 FOR UPDATE;

-- name: CountAPITokens :one
SELECT count(*) FROM api_tokens WHERE user_id = $1;

-- name: InsertAPIToken :one
INSERT INTO api_tokens (user_id, name, token_hash, scope, expires_at)
VALUES ($1, $2, $3, $4, now() + sqlc.narg(expires_in_s)::bigint * interval '1 second') RETURNING *;

-- name: ListAPITokens :many
SELECT * FROM api_tokens WHERE user_id = $1 ORDER BY id;

-- name: DeleteAPIToken :one
DELETE FROM api_tokens WHERE id = $1 AND user_id = $2 RETURNING *;

-- name: APITokenByHash :one
-- Whose token it is, and whether its use is to be noted.
SELECT t.id, t.name, t.scope, u.id AS user_id, u.username,
       (t.last_used_at IS NULL OR t.last_used_at <= now() - interval '1 minute')::boolean AS stale
FROM api_tokens t JOIN users u ON u.id = t.user_id
WHERE t.token_hash = $1 AND (t.expires_at IS NULL OR t.expires_at > now());

-- name: NoteAPITokenUse :execrows
-- Requests that come at the same time note it once.
UPDATE api_tokens SET last_used_at = now()
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= now() - interval '1 minute');

-- name: DeleteTokensOfUser :execrows
DELETE FROM api_tokens WHERE user_id = $1;
