-- +goose Up

ALTER TABLE sessions
    ADD COLUMN id           bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT sessions_id_key UNIQUE,
    ADD COLUMN user_id      bigint CONSTRAINT sessions_user_id_fkey REFERENCES users ON DELETE CASCADE,
    ADD COLUMN created_at   timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN address      text NOT NULL DEFAULT '',
    ADD COLUMN client       text NOT NULL DEFAULT '';
CREATE INDEX sessions_user_idx ON sessions (user_id);
COMMENT ON COLUMN sessions.user_id IS 'NULL: it began before sessions were listed, and was not used since.';
COMMENT ON COLUMN sessions.last_used_at IS 'Exact to a minute.';

CREATE TABLE devices (
    token_hash   bytea PRIMARY KEY,
    user_id      bigint NOT NULL CONSTRAINT devices_user_id_fkey REFERENCES users ON DELETE CASCADE,
    last_used_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX devices_user_idx ON devices (user_id);
COMMENT ON TABLE devices IS 'Browsers from which a user has logged in: what strangers guess does not make them wait. One is worth nothing without the password.';
COMMENT ON COLUMN devices.token_hash IS 'SHA-256 of the cookie, which is 256 random bits.';

-- +goose Down
DROP TABLE devices;
ALTER TABLE sessions DROP COLUMN id, DROP COLUMN user_id, DROP COLUMN created_at, DROP COLUMN last_used_at, DROP COLUMN address, DROP COLUMN client;
