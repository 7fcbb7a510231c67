-- name: LockUsers :exec
-- Makes "is there a user yet?" and the insert that follows one step.
LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE;

-- name: AnyUser :one
SELECT EXISTS (SELECT 1 FROM users);

-- name: InsertUser :one
INSERT INTO users (username, password_hash) VALUES ($1, $2) RETURNING id;

-- name: ListUsers :many
SELECT id, username, created_at FROM users ORDER BY id;

-- name: DeleteUser :one
-- With sessions, tokens and devices.
DELETE FROM users WHERE id = $1 RETURNING id, username, created_at;

-- name: SetPassword :one
UPDATE users SET password_hash = sqlc.arg(new_hash), password_version = password_version + 1 WHERE id = sqlc.arg(id) RETURNING *;

-- name: UserByName :one
SELECT * FROM users WHERE username = $1;

-- name: UserByID :one
SELECT * FROM users WHERE id = $1;

-- name: FindUserSession :one
-- The session, and whether its use is to be noted.
SELECT id, data, (user_id IS NULL OR last_used_at <= now() - interval '1 minute')::boolean AS stale
FROM sessions WHERE token = $1 AND expiry > now();

-- name: SaveUserSession :exec
INSERT INTO sessions (token, data, expiry, user_id, address, client) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (token) DO UPDATE SET data = excluded.data, expiry = excluded.expiry;

-- name: NoteUserSession :exec
UPDATE sessions SET user_id = $2, address = $3, client = $4, last_used_at = now() WHERE id = $1;

-- name: ListUserSessions :many
SELECT id, created_at, last_used_at, expiry, address, client FROM sessions WHERE user_id = $1 AND expiry > now() ORDER BY id;

-- name: DeleteSessionOfUser :one
DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING id, created_at, last_used_at, expiry, address, client;

-- name: DeleteSessionsOfUser :exec
DELETE FROM sessions WHERE user_id = $1;

-- name: DeleteUserSession :exec
DELETE FROM sessions WHERE token = $1;

-- name: DeleteExpiredUserSessions :execrows
DELETE FROM sessions WHERE expiry <= now();

-- name: ChangePassword :one
-- No row: the password is not the one that was checked any more.
UPDATE users SET password_hash = sqlc.arg(new_hash), password_version = password_version + 1
WHERE id = sqlc.arg(id) AND password_hash = sqlc.arg(old_hash)
RETURNING *;

-- name: KnowsDevice :one
SELECT EXISTS (SELECT 1 FROM devices d JOIN users u ON u.id = d.user_id WHERE d.token_hash = $1 AND u.username = $2);

-- name: SaveDevice :exec
INSERT INTO devices (token_hash, user_id) VALUES ($1, $2)
ON CONFLICT (token_hash) DO UPDATE SET user_id = excluded.user_id, last_used_at = now();

-- name: TrimDevices :exec
-- Keeps those that were used last.
DELETE FROM devices d WHERE d.user_id = $1 AND d.token_hash NOT IN
    (SELECT k.token_hash FROM devices k WHERE k.user_id = $1 ORDER BY k.last_used_at DESC, k.token_hash LIMIT sqlc.arg(keep));

-- name: DeleteOldDevices :execrows
DELETE FROM devices WHERE last_used_at <= now() - interval '400 days';
