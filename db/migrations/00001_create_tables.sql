-- +goose Up

CREATE TABLE users (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username      text NOT NULL CONSTRAINT users_username_key UNIQUE,
    password_hash text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE users IS 'People who may use the HTTP API.';

-- The layout that the session store (scs, pgxstore) expects.
CREATE TABLE sessions (
    token  text PRIMARY KEY,
    data   bytea NOT NULL,
    expiry timestamptz NOT NULL
);
CREATE INDEX sessions_expiry_idx ON sessions (expiry);

CREATE TABLE configuration (
    id         boolean PRIMARY KEY DEFAULT true CONSTRAINT configuration_single_row CHECK (id),
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE configuration IS 'The global configuration: one row, keys as in the REST API. Keys that are absent have their defaults.';

CREATE TABLE accounts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform   text NOT NULL,
    file       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_platform_file_key UNIQUE (platform, file)
);
COMMENT ON COLUMN accounts.file IS 'Cookie file, relative to the data directory.';

CREATE TABLE templates (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    template_name text NOT NULL CONSTRAINT templates_template_name_key UNIQUE,
    title         text NOT NULL DEFAULT '',
    tid           integer NOT NULL DEFAULT 171,
    tag           text NOT NULL DEFAULT '',
    copyright     integer NOT NULL DEFAULT 1,
    source        text NOT NULL DEFAULT '',
    description   text NOT NULL DEFAULT '',
    dynamic       text NOT NULL DEFAULT '',
    cover         text NOT NULL DEFAULT '',
    dolby         integer NOT NULL DEFAULT 0,
    hires         integer NOT NULL DEFAULT 0,
    no_reprint    integer NOT NULL DEFAULT 0,
    open_elec     integer NOT NULL DEFAULT 0,
    user_cookie   text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE streamers (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url           text NOT NULL CONSTRAINT streamers_url_key UNIQUE,
    template_name text,
    remark        text NOT NULL DEFAULT '',
    split_time    bigint NOT NULL DEFAULT 3600,
    split_size    bigint NOT NULL DEFAULT 2048,
    override      jsonb NOT NULL DEFAULT '{}',
    paused        boolean NOT NULL DEFAULT false,
    last_error    text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN streamers.split_time IS 'Seconds; 0 means no limit.';
COMMENT ON COLUMN streamers.split_size IS 'MiB; 0 means no limit.';
COMMENT ON COLUMN streamers.override IS 'Configuration keys that differ from the global ones for this room.';
COMMENT ON COLUMN streamers.last_error IS 'Why the room could not be asked or recorded at the last try; empty when all is well.';

CREATE TABLE recordings (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    streamer_id   bigint CONSTRAINT recordings_streamer_id_fkey REFERENCES streamers ON DELETE SET NULL,
    host_id       uuid NOT NULL,
    url           text NOT NULL,
    remark        text NOT NULL,
    template_name text,
    title         text NOT NULL,
    streamer_name text NOT NULL,
    cover_url     text NOT NULL DEFAULT '',
    category      text NOT NULL DEFAULT '',
    state         text NOT NULL CONSTRAINT recordings_state_check CHECK (state IN ('recording', 'waiting', 'ended')),
    resume_until  timestamptz,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT recordings_waiting_check CHECK ((state = 'waiting') = (resume_until IS NOT NULL)),
    CONSTRAINT recordings_ended_check CHECK ((state = 'ended') = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX recordings_open_key ON recordings (streamer_id) WHERE state <> 'ended';
CREATE INDEX recordings_streamer_idx ON recordings (streamer_id);
CREATE INDEX recordings_waiting_idx ON recordings (resume_until) WHERE state = 'waiting';
COMMENT ON TABLE recordings IS 'One live session of one streamer, across reconnects and restarts. Room and template names are copied, so that editing or deleting the streamer changes nothing that was recorded.';
COMMENT ON COLUMN recordings.resume_until IS 'A stream that comes back until then is the same recording.';

CREATE TABLE recorder_sessions (
    id           uuid PRIMARY KEY,
    streamer_id  bigint CONSTRAINT recorder_sessions_streamer_id_fkey REFERENCES streamers ON DELETE SET NULL,
    recording_id bigint CONSTRAINT recorder_sessions_recording_id_fkey REFERENCES recordings ON DELETE CASCADE,
    host_id      uuid NOT NULL,
    plugin       text NOT NULL,
    instance     text NOT NULL,
    path_prefix  text NOT NULL CONSTRAINT recorder_sessions_path_prefix_key UNIQUE,
    first_index  integer NOT NULL,
    room         jsonb NOT NULL,
    last_seq     bigint NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    end_reason   text NOT NULL DEFAULT '',
    end_message  text NOT NULL DEFAULT ''
);
CREATE INDEX recorder_sessions_open_idx ON recorder_sessions (host_id) WHERE ended_at IS NULL;
CREATE INDEX recorder_sessions_recording_idx ON recorder_sessions (recording_id);
COMMENT ON TABLE recorder_sessions IS 'One run of a recorder for a recording. The row exists before the recorder is asked to start.';
COMMENT ON COLUMN recorder_sessions.recording_id IS 'NULL until the first media arrived.';
COMMENT ON COLUMN recorder_sessions.room IS 'What was known of the room and the broadcast when the session began.';
COMMENT ON COLUMN recorder_sessions.last_seq IS 'The last event of the recorder that is committed.';

CREATE TABLE segments (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recording_id  bigint NOT NULL CONSTRAINT segments_recording_id_fkey REFERENCES recordings ON DELETE CASCADE,
    index         integer NOT NULL,
    path          text NOT NULL CONSTRAINT segments_path_key UNIQUE,
    size_bytes    bigint NOT NULL,
    duration_ms   bigint NOT NULL,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz NOT NULL,
    publish       text NOT NULL CONSTRAINT segments_publish_check CHECK (publish IN ('wanted', 'filtered', 'never', 'waived')),
    reason        text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT segments_recording_index_key UNIQUE (recording_id, index)
);
COMMENT ON COLUMN segments.publish IS 'wanted: part of the submission; filtered: below filtering_threshold; never: the room publishes nothing; waived: a person gave it up.';

CREATE TABLE uploads (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    segment_id         bigint NOT NULL CONSTRAINT uploads_segment_id_key UNIQUE CONSTRAINT uploads_segment_id_fkey REFERENCES segments ON DELETE CASCADE,
    state              text NOT NULL DEFAULT 'pending' CONSTRAINT uploads_state_check CHECK (state IN ('pending', 'uploading', 'uploaded', 'failed')),
    account_file       text NOT NULL DEFAULT '',
    line               text NOT NULL DEFAULT '',
    checkpoint         bytea,
    acknowledged_bytes bigint NOT NULL DEFAULT 0,
    remote_name        text NOT NULL DEFAULT '',
    remote_id          bigint NOT NULL DEFAULT 0,
    attempts           integer NOT NULL DEFAULT 0,
    error              text NOT NULL DEFAULT '',
    updated_at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX uploads_open_idx ON uploads (segment_id) WHERE state <> 'uploaded';
COMMENT ON COLUMN uploads.line IS 'The line that checkpoint belongs to.';
COMMENT ON COLUMN uploads.checkpoint IS 'Opaque to the host; may hold secrets of the storage.';

CREATE TABLE submissions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recording_id bigint NOT NULL CONSTRAINT submissions_recording_id_key UNIQUE CONSTRAINT submissions_recording_id_fkey REFERENCES recordings ON DELETE CASCADE,
    state        text NOT NULL DEFAULT 'waiting' CONSTRAINT submissions_state_check CHECK (state IN ('waiting', 'submitting', 'unknown', 'accepted', 'failed')),
    account_file text NOT NULL DEFAULT '',
    title        text NOT NULL DEFAULT '',
    parts        text[] NOT NULL DEFAULT '{}',
    aid          bigint NOT NULL DEFAULT 0,
    bvid         text NOT NULL DEFAULT '',
    attempts     integer NOT NULL DEFAULT 0,
    lookups      integer NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT '',
    submitted_at timestamptz,
    accepted_at  timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX submissions_open_idx ON submissions (recording_id) WHERE state <> 'accepted';
COMMENT ON COLUMN submissions.state IS 'waiting: for uploads, an account or a pause that Bilibili asked for; submitting: an answer is outstanding; unknown: an answer was lost and has to be looked up; failed: a person has to act, error says how.';
COMMENT ON COLUMN submissions.lookups IS 'How often the archive of a lost answer was looked for in vain since the last submit.';
COMMENT ON COLUMN submissions.parts IS 'Remote names in order, as sent: what a lost answer is looked up by.';

-- +goose Down
DROP TABLE submissions, uploads, segments, recorder_sessions, recordings, streamers, templates, accounts, configuration, sessions, users;
