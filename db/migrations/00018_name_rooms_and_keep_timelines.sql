-- One room can be written in several ways; its extractor knows its one name. What happened to the stretches of a broadcast is kept.

-- +goose Up
ALTER TABLE streamers
    ADD COLUMN platform text NOT NULL DEFAULT '',
    ADD COLUMN room_key text NOT NULL DEFAULT '',
    ADD COLUMN room_id  text NOT NULL DEFAULT '';
COMMENT ON COLUMN streamers.platform IS 'The extractor that takes the URL, as plugins.hcl names it; empty: not known yet.';
COMMENT ON COLUMN streamers.room_key IS 'The name of the room as it stands in the URL; empty: the extractor finds none there.';
COMMENT ON COLUMN streamers.room_id IS 'The name of the room on its platform, whatever the URL looks like; empty until a poll tells it.';
CREATE INDEX streamers_room_idx ON streamers (platform, room_id) WHERE room_id <> '';
CREATE INDEX streamers_room_key_idx ON streamers (platform, room_key) WHERE room_key <> '';

ALTER TABLE recordings ADD COLUMN broadcast_id text NOT NULL DEFAULT '';
COMMENT ON COLUMN recordings.broadcast_id IS 'The name of the broadcast on its platform; empty: it has none, or does not tell.';

CREATE TABLE recording_timeline (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recording_id bigint NOT NULL CONSTRAINT recording_timeline_recording_id_fkey REFERENCES recordings ON DELETE CASCADE,
    session_id   uuid NOT NULL,
    seq          bigint NOT NULL,
    kind         text NOT NULL CONSTRAINT recording_timeline_kind_check CHECK (kind IN ('lost', 'resumed', 'repaired', 'changed')),
    cause        text NOT NULL,
    at           timestamptz NOT NULL,
    media_ms     bigint NOT NULL CONSTRAINT recording_timeline_media_ms_check CHECK (media_ms >= 0),
    length_ms    bigint NOT NULL CONSTRAINT recording_timeline_length_ms_check CHECK (length_ms >= 0),
    index        integer NOT NULL,
    code         text NOT NULL DEFAULT '',
    args         jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT recording_timeline_event_key UNIQUE (session_id, seq)
);
CREATE INDEX recording_timeline_recording_idx ON recording_timeline (recording_id, at);
COMMENT ON TABLE recording_timeline IS 'What recorders told of stretches of a broadcast, committed with their events.';
COMMENT ON COLUMN recording_timeline.kind IS 'lost: media stopped arriving at "at"; resumed: the stretch of length_ms before "at" is missing; repaired: length_ms around "at" were left out; changed: nothing is missing.';
COMMENT ON COLUMN recording_timeline.media_ms IS 'How much media the session had received by then.';
COMMENT ON COLUMN recording_timeline.length_ms IS 'How long the stretch is; 0: not known yet, or nothing is missing.';
COMMENT ON COLUMN recording_timeline.index IS 'The segment that ends or begins here; 0: none.';

-- +goose Down
DROP TABLE recording_timeline;
ALTER TABLE recordings DROP COLUMN broadcast_id;
DROP INDEX streamers_room_key_idx;
DROP INDEX streamers_room_idx;
ALTER TABLE streamers DROP COLUMN platform, DROP COLUMN room_key, DROP COLUMN room_id;
