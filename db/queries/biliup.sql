-- name: UserOfPage :one
-- Whom biliup's page means by the one name that it ever sends: the user of that name, or else the first one.
SELECT username FROM users ORDER BY username <> sqlc.arg(username)::text, id LIMIT 1;
