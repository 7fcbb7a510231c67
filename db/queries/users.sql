-- name: LockUsers :exec
-- Makes "is there a user yet?" and the insert that follows one step.
LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE;

-- name: AnyUser :one
SELECT EXISTS (SELECT 1 FROM users);

-- name: InsertUser :one
INSERT INTO users (username, password_hash) VALUES ($1, $2) RETURNING id;

-- name: UserByName :one
SELECT * FROM users WHERE username = $1;

-- name: UserByID :one
SELECT * FROM users WHERE id = $1;

-- name: FindUserSession :one
SELECT data FROM sessions WHERE token = $1 AND expiry > now();

-- name: SaveUserSession :exec
INSERT INTO sessions (token, data, expiry) VALUES ($1, $2, $3)
ON CONFLICT (token) DO UPDATE SET data = excluded.data, expiry = excluded.expiry;

-- name: DeleteUserSession :exec
DELETE FROM sessions WHERE token = $1;

-- name: DeleteExpiredUserSessions :execrows
DELETE FROM sessions WHERE expiry <= now();

-- name: ChangePassword :one
-- No row: the password is not the one that was checked any more.
UPDATE users SET password_hash = sqlc.arg(new_hash), password_version = password_version + 1
WHERE id = sqlc.arg(id) AND password_hash = sqlc.arg(old_hash)
RETURNING *;
