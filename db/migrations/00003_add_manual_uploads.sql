-- +goose Up

ALTER TABLE recordings
    ADD COLUMN kind text NOT NULL DEFAULT 'room' CONSTRAINT recordings_kind_check CHECK (kind IN ('room', 'manual')),
    ADD COLUMN params jsonb,
    ADD COLUMN request_key text,
    ADD CONSTRAINT recordings_manual_check CHECK (
        CASE kind WHEN 'manual' THEN params IS NOT NULL AND request_key IS NOT NULL AND streamer_id IS NULL AND state = 'ended'
                  ELSE params IS NULL AND request_key IS NULL END);
CREATE INDEX recordings_request_idx ON recordings (request_key) WHERE request_key IS NOT NULL;
COMMENT ON COLUMN recordings.kind IS 'room: recorded from a streamer; manual: files that a person ordered to publish. Those files are never moved or deleted.';
COMMENT ON COLUMN recordings.params IS 'How a manual one is published: the fields of a template.';
COMMENT ON COLUMN recordings.request_key IS 'What a manual one was ordered with: the same key while it is not accepted is the same request.';

-- A file that was recorded can be ordered by hand as well, and more than once.
ALTER TABLE segments ADD COLUMN modified_at timestamptz, DROP CONSTRAINT segments_path_key;
CREATE UNIQUE INDEX segments_path_key ON segments (path) WHERE modified_at IS NULL;
COMMENT ON COLUMN segments.modified_at IS 'Of a file that a person ordered: when it was changed last, as it was ordered. NULL: recorded here, and the only such row of its path.';

-- +goose Down
DELETE FROM recordings WHERE kind = 'manual';
DROP INDEX segments_path_key;
ALTER TABLE segments DROP COLUMN modified_at, ADD CONSTRAINT segments_path_key UNIQUE (path);
DROP INDEX recordings_request_idx;
ALTER TABLE recordings DROP CONSTRAINT recordings_manual_check, DROP COLUMN request_key, DROP COLUMN params, DROP COLUMN kind;
