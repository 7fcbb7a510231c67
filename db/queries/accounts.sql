-- name: ListAccounts :many
SELECT * FROM accounts ORDER BY id;

-- name: InsertAccount :one
INSERT INTO accounts (platform, file) VALUES ($1, $2) RETURNING *;

-- name: DeleteAccount :one
DELETE FROM accounts WHERE id = $1 RETURNING *;

-- name: CookieFiles :many
-- Every cookie file that something of the database names; the empty name of a template means the default one.
SELECT file FROM accounts UNION SELECT user_cookie FROM templates ORDER BY 1;

-- name: AccountStates :many
SELECT * FROM account_states WHERE host_id = $1;

-- name: AccountState :one
-- With whether it is time for another check, on the clock that wrote it.
SELECT sqlc.embed(account_states), (check_after <= now())::boolean AS due FROM account_states WHERE host_id = $1 AND file = $2;

-- name: SaveAccountState :exec
INSERT INTO account_states (host_id, file, fingerprint, mid, uname, expires_at, error, warning, checked_at, check_after, refresh_began)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now(), now() + make_interval(secs => sqlc.arg(seconds)::double precision), NULL)
ON CONFLICT (host_id, file) DO UPDATE SET
    rejected_at = CASE WHEN account_states.fingerprint = excluded.fingerprint THEN account_states.rejected_at END,
    fingerprint = excluded.fingerprint, mid = excluded.mid, uname = excluded.uname, expires_at = excluded.expires_at, error = excluded.error,
    warning = excluded.warning, checked_at = excluded.checked_at, check_after = excluded.check_after, refresh_began = NULL, updated_at = now();

-- name: PostponeAccountCheck :exec
-- Bilibili could not be asked: what was known of the same login stays known.
INSERT INTO account_states (host_id, file, fingerprint, mid, check_after)
VALUES ($1, $2, $3, $4, now() + make_interval(secs => sqlc.arg(seconds)::double precision))
ON CONFLICT (host_id, file) DO UPDATE SET
    uname = CASE WHEN account_states.fingerprint = excluded.fingerprint THEN account_states.uname ELSE '' END,
    expires_at = CASE WHEN account_states.fingerprint = excluded.fingerprint THEN account_states.expires_at END,
    error = CASE WHEN account_states.fingerprint = excluded.fingerprint THEN account_states.error ELSE '' END,
    warning = CASE WHEN account_states.fingerprint = excluded.fingerprint THEN account_states.warning ELSE '' END,
    checked_at = CASE WHEN account_states.fingerprint = excluded.fingerprint THEN account_states.checked_at END,
    rejected_at = CASE WHEN account_states.fingerprint = excluded.fingerprint THEN account_states.rejected_at END,
    fingerprint = excluded.fingerprint, mid = excluded.mid, check_after = excluded.check_after, updated_at = now();

-- name: RefreshBegins :exec
INSERT INTO account_states (host_id, file, fingerprint, mid, check_after, refresh_began) VALUES ($1, $2, $3, $4, now(), now())
ON CONFLICT (host_id, file) DO UPDATE SET refresh_began = now(), updated_at = now();

-- name: HurryInterruptedRefreshes :exec
UPDATE account_states SET check_after = now() WHERE host_id = $1 AND refresh_began IS NOT NULL;

-- name: RejectAccount :execrows
-- The first rejection makes a check due. One soon after a check that found the login right makes the login unusable for a
-- while: another check would find the same.
UPDATE account_states SET
    error = CASE WHEN rejected_at > now() - make_interval(secs => sqlc.arg(seconds)::double precision) THEN sqlc.arg(error)::text ELSE error END,
    check_after = CASE WHEN rejected_at > now() - make_interval(secs => sqlc.arg(seconds)::double precision)
        THEN now() + make_interval(secs => sqlc.arg(seconds)::double precision) ELSE now() END,
    rejected_at = now(), updated_at = now()
WHERE host_id = $1 AND file = $2 AND fingerprint = $3;

-- name: FindCover :one
SELECT url FROM covers WHERE mid = $1 AND sha256 = $2 AND created_at > now() - make_interval(days => 7);

-- name: SaveCover :exec
INSERT INTO covers (mid, sha256, url) VALUES ($1, $2, $3)
ON CONFLICT (mid, sha256) DO UPDATE SET url = excluded.url, created_at = now();

-- name: ForgetOldCovers :exec
DELETE FROM covers WHERE created_at <= now() - make_interval(days => 7);
