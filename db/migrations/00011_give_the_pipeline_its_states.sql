-- The pipeline owns what becomes of a recording: pieces that wait for its end, archives that grow by edits and come in several,
-- archives that are followed until they are public, and claims that keep two workers from one row.

-- +goose Up

ALTER TABLE recordings ADD COLUMN publish text CONSTRAINT recordings_publish_check CHECK (publish IN ('never'));
COMMENT ON COLUMN recordings.publish IS 'never: whoever set the room up said that nothing of it is ever published. NULL: nobody said so, and no file goes away without being public.';

ALTER TABLE segments
    ADD COLUMN ready_at timestamptz,
    ADD COLUMN reason_data jsonb,
    DROP CONSTRAINT segments_publish_check,
    ADD CONSTRAINT segments_publish_check CHECK (publish IN ('undecided', 'wanted', 'filtered', 'never', 'waived'));
COMMENT ON COLUMN segments.publish IS 'wanted: part of the submission; undecided: a piece below filtering_threshold, decided when the recording ends; filtered: such a piece that is left out; never: the room publishes nothing; waived: a person gave it up.';
COMMENT ON COLUMN segments.ready_at IS 'When its segment_processor was over, or it was clear that there is none.';
UPDATE segments g SET ready_at = g.created_at
WHERE NOT EXISTS (SELECT 1 FROM hook_runs h WHERE h.segment_id = g.id AND h.state <> 'done');
CREATE INDEX segments_unready_idx ON segments (recording_id) WHERE ready_at IS NULL;
CREATE INDEX segments_path_idx ON segments (path);

ALTER TABLE uploads ADD COLUMN round integer NOT NULL DEFAULT 0, ADD COLUMN claim uuid, ADD COLUMN reason jsonb, ADD COLUMN missing boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN uploads.missing IS 'The last try failed since something that a person provides is missing: it is tried again when that may have come.';
COMMENT ON COLUMN uploads.round IS 'How often it was ordered anew. A job belongs to one round: that of an earlier one has nothing to do.';
COMMENT ON COLUMN uploads.claim IS 'The worker that holds the row, while it lives.';

ALTER TABLE hook_runs ADD COLUMN claim uuid, ADD COLUMN reason jsonb;
COMMENT ON COLUMN hook_runs.claim IS 'The worker that holds the row, while it lives.';

ALTER TABLE submissions
    ADD COLUMN number integer NOT NULL DEFAULT 1,
    ADD COLUMN round integer NOT NULL DEFAULT 0,
    ADD COLUMN claim uuid,
    ADD COLUMN reason jsonb,
    ADD COLUMN missing boolean NOT NULL DEFAULT false,
    ADD COLUMN appending text[] NOT NULL DEFAULT '{}',
    ADD COLUMN part_limit integer NOT NULL DEFAULT 100,
    ADD COLUMN is_full boolean NOT NULL DEFAULT false,
    ADD COLUMN proven boolean NOT NULL DEFAULT false,
    ADD COLUMN archive text NOT NULL DEFAULT 'none' CONSTRAINT submissions_archive_check CHECK (archive IN ('none', 'review', 'scheduled', 'public', 'rejected', 'unknown')),
    ADD COLUMN archive_code integer NOT NULL DEFAULT 0,
    ADD COLUMN archive_text text NOT NULL DEFAULT '',
    ADD COLUMN archive_at timestamptz,
    ADD COLUMN follows integer NOT NULL DEFAULT 0,
    ADD COLUMN follow_round integer NOT NULL DEFAULT 0,
    DROP CONSTRAINT submissions_state_check,
    ADD CONSTRAINT submissions_state_check CHECK (state IN ('waiting', 'submitting', 'unknown', 'appending', 'accepted', 'failed')),
    DROP CONSTRAINT submissions_recording_id_key,
    ADD CONSTRAINT submissions_recording_number_key UNIQUE (recording_id, number);
COMMENT ON COLUMN submissions.state IS 'waiting: for uploads, an account or a pause that Bilibili asked for; submitting: an answer is outstanding; unknown: an answer was lost and has to be looked up; appending: the archive exists and further parts are added to it; failed: a person has to act, error says how.';
COMMENT ON COLUMN submissions.missing IS 'It waits for something that a person provides: it is tried again when that may have come.';
COMMENT ON COLUMN submissions.number IS 'An archive takes some hundred parts; what is beyond them is another archive of the same recording.';
COMMENT ON COLUMN submissions.parts IS 'Remote names in order, as sent and accepted, or as sent last: what a lost answer is looked up by.';
COMMENT ON COLUMN submissions.appending IS 'Remote names that the edit that is under way adds.';
COMMENT ON COLUMN submissions.part_limit IS 'How many parts one request may add.';
COMMENT ON COLUMN submissions.is_full IS 'Bilibili takes no further part into this archive.';
COMMENT ON COLUMN submissions.proven IS 'Bilibili said that an archive with these parts exists: it is looked for, and no other one is made.';
COMMENT ON COLUMN submissions.archive IS 'What became of the archive after it was accepted: review, scheduled, public, rejected with Bilibili''s words in archive_text, or unknown since nothing came of it for a month.';
COMMENT ON COLUMN submissions.archive_code IS 'The state as Bilibili numbers it.';
COMMENT ON COLUMN submissions.archive_at IS 'When the archive''s state was known last.';
COMMENT ON COLUMN submissions.follows IS 'How often the archive''s state was asked for.';
DROP INDEX submissions_open_idx;
CREATE INDEX submissions_open_idx ON submissions (recording_id) WHERE state <> 'accepted';
CREATE INDEX submissions_followed_idx ON submissions (id) WHERE archive IN ('review', 'scheduled', 'rejected');
UPDATE submissions SET archive = CASE WHEN accepted_at > now() - interval '30 days' THEN 'review' ELSE 'unknown' END WHERE state = 'accepted';

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION submission_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    room bigint;
BEGIN
    SELECT r.streamer_id INTO room FROM recordings r WHERE r.id = NEW.recording_id;
    IF TG_OP = 'INSERT' OR OLD.state IS DISTINCT FROM NEW.state OR OLD.error IS DISTINCT FROM NEW.error OR OLD.bvid IS DISTINCT FROM NEW.bvid THEN
        PERFORM write_event('submission.state', room, jsonb_build_object(
            'streamer_id', room, 'streamer_info_id', NEW.recording_id, 'state', NEW.state, 'title', NEW.title, 'aid', NEW.aid, 'bvid', NEW.bvid,
            'attempts', NEW.attempts, 'error', left(NEW.error, 4000), 'number', NEW.number));
    END IF;
    IF TG_OP = 'UPDATE' AND (OLD.archive IS DISTINCT FROM NEW.archive OR OLD.archive_text IS DISTINCT FROM NEW.archive_text) THEN
        PERFORM write_event('submission.archive', room, jsonb_build_object(
            'streamer_id', room, 'streamer_info_id', NEW.recording_id, 'number', NEW.number, 'aid', NEW.aid, 'bvid', NEW.bvid,
            'archive', NEW.archive, 'archive_code', NEW.archive_code, 'archive_text', left(NEW.archive_text, 4000)));
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP TRIGGER submissions_change_event ON submissions;
CREATE TRIGGER submissions_change_event AFTER UPDATE ON submissions FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.error IS DISTINCT FROM NEW.error OR OLD.bvid IS DISTINCT FROM NEW.bvid
        OR OLD.archive IS DISTINCT FROM NEW.archive OR OLD.archive_text IS DISTINCT FROM NEW.archive_text)
    EXECUTE FUNCTION submission_event();

-- +goose Down
DROP TRIGGER submissions_change_event ON submissions;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION submission_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    room bigint;
BEGIN
    SELECT r.streamer_id INTO room FROM recordings r WHERE r.id = NEW.recording_id;
    PERFORM write_event('submission.state', room, jsonb_build_object(
        'streamer_id', room, 'streamer_info_id', NEW.recording_id, 'state', NEW.state, 'title', NEW.title, 'aid', NEW.aid, 'bvid', NEW.bvid,
        'attempts', NEW.attempts, 'error', left(NEW.error, 4000)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER submissions_change_event AFTER UPDATE ON submissions FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.error IS DISTINCT FROM NEW.error OR OLD.bvid IS DISTINCT FROM NEW.bvid)
    EXECUTE FUNCTION submission_event();
DELETE FROM submissions WHERE number > 1;
UPDATE submissions SET state = 'accepted' WHERE state = 'appending';
ALTER TABLE submissions
    DROP CONSTRAINT submissions_state_check,
    ADD CONSTRAINT submissions_state_check CHECK (state IN ('waiting', 'submitting', 'unknown', 'accepted', 'failed')),
    DROP CONSTRAINT submissions_recording_number_key,
    ADD CONSTRAINT submissions_recording_id_key UNIQUE (recording_id);
DROP INDEX submissions_followed_idx;
ALTER TABLE submissions DROP COLUMN number, DROP COLUMN round, DROP COLUMN claim, DROP COLUMN reason, DROP COLUMN missing, DROP COLUMN appending, DROP COLUMN part_limit,
    DROP COLUMN is_full, DROP COLUMN proven, DROP COLUMN archive, DROP COLUMN archive_code, DROP COLUMN archive_text, DROP COLUMN archive_at, DROP COLUMN follows, DROP COLUMN follow_round;
ALTER TABLE hook_runs DROP COLUMN claim, DROP COLUMN reason;
ALTER TABLE uploads DROP COLUMN round, DROP COLUMN claim, DROP COLUMN reason, DROP COLUMN missing;
DROP INDEX segments_path_idx;
DROP INDEX segments_unready_idx;
UPDATE segments SET publish = 'filtered' WHERE publish = 'undecided';
ALTER TABLE segments DROP COLUMN ready_at, DROP COLUMN reason_data, DROP CONSTRAINT segments_publish_check,
    ADD CONSTRAINT segments_publish_check CHECK (publish IN ('wanted', 'filtered', 'never', 'waived'));
ALTER TABLE recordings DROP COLUMN publish;
