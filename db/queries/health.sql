-- name: EmptyHealthProbes :exec
-- The next row is the first of a new file, so that writing it needs room on the disk.
TRUNCATE health_probes;

-- name: WriteHealthProbe :exec
INSERT INTO health_probes (host_id) VALUES ($1);

-- name: HealthAccounts :many
-- The cookie files that are used: those of accounts, and those that a template of a watched room names.
SELECT file FROM accounts
UNION
SELECT t.user_cookie FROM templates t WHERE EXISTS (SELECT 1 FROM streamers s WHERE s.template_name = t.template_name)
ORDER BY 1;
