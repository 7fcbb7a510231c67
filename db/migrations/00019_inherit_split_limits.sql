-- A room without limits of its own follows the configuration. What every room got so far was never a choice.

-- +goose Up
ALTER TABLE streamers ALTER COLUMN split_time DROP NOT NULL, ALTER COLUMN split_time DROP DEFAULT;
ALTER TABLE streamers ALTER COLUMN split_size DROP NOT NULL, ALTER COLUMN split_size DROP DEFAULT;
ALTER TABLE streamers DISABLE TRIGGER USER; -- nothing changes for anybody who watches
UPDATE streamers SET split_time = nullif(split_time, 3600), split_size = nullif(split_size, 2048);
ALTER TABLE streamers ENABLE TRIGGER USER;
COMMENT ON COLUMN streamers.split_time IS 'Seconds; 0 means no limit; NULL: as the configuration says.';
COMMENT ON COLUMN streamers.split_size IS 'MiB; 0 means no limit; NULL: as the configuration says.';

-- +goose Down
ALTER TABLE streamers DISABLE TRIGGER USER;
UPDATE streamers SET split_time = coalesce(split_time, 3600), split_size = coalesce(split_size, 2048);
ALTER TABLE streamers ENABLE TRIGGER USER;
ALTER TABLE streamers ALTER COLUMN split_time SET DEFAULT 3600, ALTER COLUMN split_time SET NOT NULL;
ALTER TABLE streamers ALTER COLUMN split_size SET DEFAULT 2048, ALTER COLUMN split_size SET NOT NULL;
COMMENT ON COLUMN streamers.split_time IS 'Seconds; 0 means no limit.';
COMMENT ON COLUMN streamers.split_size IS 'MiB; 0 means no limit.';
