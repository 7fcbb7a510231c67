-- +goose Up

ALTER TABLE streamers
    ADD COLUMN filename_prefix      text,
    ADD COLUMN format               text CONSTRAINT streamers_format_check CHECK (format IN ('flv', 'mp4', 'mkv', 'ts')),
    ADD COLUMN time_range           jsonb,
    ADD COLUMN excluded_keywords    text[] NOT NULL DEFAULT '{}',
    ADD COLUMN preprocessor         jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN segment_processor    jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN downloaded_processor jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN postprocessor        jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN streamers.filename_prefix IS 'Template of file names; NULL: the configuration''s.';
COMMENT ON COLUMN streamers.format IS 'Container of finished files; NULL: as they were recorded.';
COMMENT ON COLUMN streamers.time_range IS 'When the room may be recorded, as it was given; NULL: always.';
COMMENT ON COLUMN streamers.excluded_keywords IS 'A title that holds one of them is not recorded.';
COMMENT ON COLUMN streamers.preprocessor IS 'This and the three columns after it: lists of steps, as they were given.';

-- +goose Down
ALTER TABLE streamers
    DROP COLUMN filename_prefix, DROP COLUMN format, DROP COLUMN time_range, DROP COLUMN excluded_keywords,
    DROP COLUMN preprocessor, DROP COLUMN segment_processor, DROP COLUMN downloaded_processor, DROP COLUMN postprocessor;
