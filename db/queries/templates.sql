-- name: ListTemplates :many
SELECT * FROM templates ORDER BY id;

-- name: GetTemplate :one
SELECT * FROM templates WHERE id = $1;

-- name: LockTemplate :one
SELECT * FROM templates WHERE id = $1 FOR UPDATE;

-- name: InsertTemplate :one
INSERT INTO templates (template_name, title, tid, tag, copyright, source, description, dynamic, cover, dolby, hires, no_reprint, open_elec, user_cookie,
    human_type2, creation_statement)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
RETURNING *;

-- name: UpdateTemplate :one
UPDATE templates SET template_name = $2, title = $3, tid = $4, tag = $5, copyright = $6, source = $7, description = $8, dynamic = $9, cover = $10,
    dolby = $11, hires = $12, no_reprint = $13, open_elec = $14, user_cookie = $15, human_type2 = $16, creation_statement = $17, updated_at = now()
WHERE id = $1
RETURNING *;

-- name: RenameTemplateInStreamers :many
UPDATE streamers SET template_name = sqlc.arg(new_name)::text, updated_at = now() WHERE template_name = sqlc.arg(old_name)::text RETURNING id;

-- name: RenameTemplateInRecordings :exec
-- What is published already keeps the name that it was published with.
UPDATE recordings r SET template_name = sqlc.arg(new_name)::text
WHERE r.template_name = sqlc.arg(old_name)::text
  AND NOT EXISTS (SELECT 1 FROM submissions s WHERE s.recording_id = r.id AND s.state = 'accepted');

-- name: DeleteTemplate :one
DELETE FROM templates WHERE id = $1 RETURNING *;
