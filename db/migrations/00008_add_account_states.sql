-- +goose Up

CREATE TABLE account_states (
    host_id       uuid NOT NULL,
    file          text NOT NULL,
    fingerprint   text NOT NULL,
    mid           bigint NOT NULL DEFAULT 0,
    uname         text NOT NULL DEFAULT '',
    expires_at    timestamptz,
    error         text NOT NULL DEFAULT '',
    warning       text NOT NULL DEFAULT '',
    checked_at    timestamptz,
    check_after   timestamptz NOT NULL,
    rejected_at   timestamptz,
    refresh_began timestamptz,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_states_pkey PRIMARY KEY (host_id, file)
);
COMMENT ON TABLE account_states IS 'What Bilibili said about the cookie files of a host. Files, and so logins, are of one host each.';
COMMENT ON COLUMN account_states.fingerprint IS 'Hash of the file that the row is about: another file makes the row void.';
COMMENT ON COLUMN account_states.error IS 'Why the login cannot be used, and what to do; empty: it can.';
COMMENT ON COLUMN account_states.warning IS 'Why the login will not be usable for long, and what to do.';
COMMENT ON COLUMN account_states.rejected_at IS 'When a call was refused last with a login that a check had found right.';
COMMENT ON COLUMN account_states.refresh_began IS 'A refresh was asked for and its outcome is not known.';

CREATE TABLE covers (
    mid        bigint NOT NULL,
    sha256     text NOT NULL,
    url        text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT covers_pkey PRIMARY KEY (mid, sha256)
);
COMMENT ON TABLE covers IS 'Covers that an account uploaded, by their content: a retried submission need not upload them again.';

-- +goose Down
DROP TABLE covers, account_states;
