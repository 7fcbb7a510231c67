-- name: ListAccounts :many
SELECT * FROM accounts ORDER BY id;

-- name: InsertAccount :one
INSERT INTO accounts (platform, file) VALUES ($1, $2) RETURNING *;

-- name: DeleteAccount :one
DELETE FROM accounts WHERE id = $1 RETURNING *;
