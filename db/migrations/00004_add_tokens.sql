-- +goose Up

ALTER TABLE users ADD COLUMN password_version bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN users.password_version IS 'Goes up with each change of the password. Sessions that began under an older one are over, also one whose login was under way during the change.';

CREATE TABLE api_tokens (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint NOT NULL CONSTRAINT api_tokens_user_id_fkey REFERENCES users ON DELETE CASCADE,
    name         text NOT NULL,
    token_hash   bytea NOT NULL CONSTRAINT api_tokens_token_hash_key UNIQUE,
    scope        text NOT NULL CONSTRAINT api_tokens_scope_check CHECK (scope IN ('read', 'write')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_tokens_user_idx ON api_tokens (user_id);
COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the token, which is 256 random bits: nothing that could be guessed, so nothing that has to be slow.';
COMMENT ON COLUMN api_tokens.last_used_at IS 'Exact to a minute.';

-- +goose Down
DROP TABLE api_tokens;
ALTER TABLE users DROP COLUMN password_version;
