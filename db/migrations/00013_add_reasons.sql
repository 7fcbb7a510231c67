-- Why something is as it is: {"code": …, "args": {…}}, beside the text for people. NULL: there is nothing to say.

-- +goose Up
ALTER TABLE streamers ADD COLUMN reason jsonb;
COMMENT ON COLUMN streamers.reason IS 'Code and arguments of last_error; NULL when all is well.';
ALTER TABLE recordings ADD COLUMN reason jsonb;
COMMENT ON COLUMN recordings.reason IS 'Why files of the recording are missing or could not be taken over yet; NULL when all is well.';
ALTER TABLE recorder_sessions ADD COLUMN unsettled jsonb;
COMMENT ON COLUMN recorder_sessions.unsettled IS 'Why files under the path prefix of an ended session are not segments (yet); NULL: none is left.';
ALTER TABLE recorder_sessions ADD COLUMN holds boolean NOT NULL DEFAULT false, ADD COLUMN last_index integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN recorder_sessions.holds IS 'The recording is not complete before these files are segments.';
COMMENT ON COLUMN recorder_sessions.last_index IS 'The highest number of a segment that the session is known to have begun.';
CREATE INDEX recorder_sessions_unsettled_idx ON recorder_sessions (host_id) WHERE unsettled IS NOT NULL;

-- +goose Down
DROP INDEX recorder_sessions_unsettled_idx;
ALTER TABLE recorder_sessions DROP COLUMN unsettled, DROP COLUMN holds, DROP COLUMN last_index;
ALTER TABLE recordings DROP COLUMN reason;
ALTER TABLE streamers DROP COLUMN reason;
