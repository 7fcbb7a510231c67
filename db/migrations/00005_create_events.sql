-- +goose Up

-- Every change of state writes its event in its own transaction, by the triggers below: no code path can forget one, and
-- none is told before it is committed. Hosts are woken by NOTIFY and read the table in the order of (xid, id), and only
-- rows of transactions before all that are still running (xid < pg_snapshot_xmin): ids are given out in another order than
-- commits, and a reader that went by ids would pass over what commits late.
CREATE TABLE events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind        text NOT NULL,
    streamer_id bigint,
    data        jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX events_position_idx ON events (xid, id);
COMMENT ON TABLE events IS 'What changed, for those who watch: kept for a day, not needed for anything else.';
COMMENT ON COLUMN events.data IS 'The fields of the event besides its kind and time. No secrets.';

CREATE TABLE event_log (
    only_row    boolean PRIMARY KEY DEFAULT true CONSTRAINT event_log_single_row CHECK (only_row),
    epoch       bigint NOT NULL DEFAULT floor(random() * 4503599627370496),
    removed_xid xid8 NOT NULL DEFAULT '0',
    removed_id  bigint NOT NULL DEFAULT 0
);
INSERT INTO event_log DEFAULT VALUES;
COMMENT ON COLUMN event_log.epoch IS 'Positions of another epoch mean nothing: it changes when the table comes from a backup that numbers transactions differently.';
COMMENT ON COLUMN event_log.removed_xid IS 'With removed_id, the position up to which old events were removed.';

-- +goose StatementBegin
CREATE FUNCTION write_event(kind text, streamer_id bigint, data jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (kind, streamer_id, data) VALUES (write_event.kind, write_event.streamer_id, write_event.data);
    PERFORM pg_notify('lubod_events', '');
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION event_time(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
-- +goose StatementEnd

-- The names of the columns that an update changed, never their values. Times, errors and what has an event of its own are
-- left out: a column that is written often should be called …_at or last_….
-- +goose StatementBegin
CREATE FUNCTION changed_fields(before jsonb, after jsonb, VARIADIC ignored text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_agg(key ORDER BY key) FROM jsonb_each(after)
    WHERE value IS DISTINCT FROM before -> key AND key NOT LIKE '%\_at' AND key NOT LIKE 'last\_%' AND key <> ALL (ignored)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION streamer_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fields jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM write_event('streamer.deleted', OLD.id, jsonb_build_object('streamer_id', OLD.id, 'url', OLD.url, 'remark', OLD.remark));
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM write_event('streamer.created', NEW.id, jsonb_build_object('streamer_id', NEW.id, 'url', NEW.url, 'remark', NEW.remark));
        RETURN NULL;
    END IF;
    fields := changed_fields(to_jsonb(OLD), to_jsonb(NEW), 'paused');
    IF fields IS NOT NULL THEN
        PERFORM write_event('streamer.changed', NEW.id, jsonb_build_object('streamer_id', NEW.id, 'url', NEW.url, 'remark', NEW.remark, 'fields', fields));
    END IF;
    IF NEW.paused IS DISTINCT FROM OLD.paused THEN
        PERFORM write_event(CASE WHEN NEW.paused THEN 'streamer.paused' ELSE 'streamer.resumed' END, NEW.id,
            jsonb_build_object('streamer_id', NEW.id, 'url', NEW.url, 'remark', NEW.remark));
    END IF;
    IF NEW.last_error IS DISTINCT FROM OLD.last_error THEN
        PERFORM write_event('streamer.reason', NEW.id, jsonb_build_object('streamer_id', NEW.id, 'url', NEW.url, 'remark', NEW.remark, 'reason', left(NEW.last_error, 4000)));
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER streamers_event AFTER INSERT OR DELETE ON streamers FOR EACH ROW EXECUTE FUNCTION streamer_event();
CREATE TRIGGER streamers_change_event AFTER UPDATE ON streamers FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION streamer_event();

-- +goose StatementBegin
CREATE FUNCTION recording_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    r recordings;
    kind text;
    data jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        r := OLD;
        kind := 'recording.deleted';
    ELSE
        r := NEW;
        kind := CASE
            WHEN TG_OP = 'INSERT' AND NEW.kind = 'manual' THEN 'recording.ordered'
            WHEN TG_OP = 'INSERT' THEN 'recording.started'
            WHEN NEW.state IS NOT DISTINCT FROM OLD.state AND NEW.title IS DISTINCT FROM OLD.title THEN 'recording.title'
            WHEN NEW.state = 'recording' THEN 'recording.resumed'
            ELSE 'recording.' || NEW.state
        END;
    END IF;
    data := jsonb_build_object('streamer_id', r.streamer_id, 'streamer_info_id', r.id, 'state', r.state, 'url', r.url, 'remark', r.remark,
        'stream_title', r.title, 'streamer_name', r.streamer_name, 'start_time', event_time(r.started_at));
    IF r.resume_until IS NOT NULL THEN
        data := data || jsonb_build_object('resume_until', event_time(r.resume_until));
    END IF;
    IF r.ended_at IS NOT NULL THEN
        data := data || jsonb_build_object('end_time', event_time(r.ended_at));
    END IF;
    PERFORM write_event(kind, r.streamer_id, data);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER recordings_event AFTER INSERT OR DELETE ON recordings FOR EACH ROW EXECUTE FUNCTION recording_event();
CREATE TRIGGER recordings_change_event AFTER UPDATE ON recordings FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.title IS DISTINCT FROM NEW.title OR (NEW.state = 'waiting' AND OLD.resume_until IS DISTINCT FROM NEW.resume_until))
    EXECUTE FUNCTION recording_event();

-- +goose StatementBegin
CREATE FUNCTION segment_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    room bigint;
BEGIN
    SELECT r.streamer_id INTO room FROM recordings r WHERE r.id = NEW.recording_id;
    PERFORM write_event(CASE WHEN TG_OP = 'UPDATE' THEN 'segment.changed' WHEN NEW.modified_at IS NOT NULL THEN 'segment.ordered' ELSE 'segment.closed' END, room, jsonb_build_object(
        'streamer_id', room, 'streamer_info_id', NEW.recording_id, 'segment_id', NEW.id, 'index', NEW.index, 'file_path', NEW.path,
        'file_size', NEW.size_bytes, 'duration', NEW.duration_ms / 1000.0, 'publish', NEW.publish, 'reason', left(NEW.reason, 4000)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER segments_event AFTER INSERT ON segments FOR EACH ROW EXECUTE FUNCTION segment_event();
CREATE TRIGGER segments_change_event AFTER UPDATE ON segments FOR EACH ROW
    WHEN (OLD.publish IS DISTINCT FROM NEW.publish OR OLD.path IS DISTINCT FROM NEW.path OR OLD.reason IS DISTINCT FROM NEW.reason)
    EXECUTE FUNCTION segment_event();

-- +goose StatementBegin
CREATE FUNCTION upload_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    room bigint;
    recording bigint;
    file text;
BEGIN
    SELECT r.streamer_id, g.recording_id, g.path INTO room, recording, file
    FROM segments g JOIN recordings r ON r.id = g.recording_id WHERE g.id = NEW.segment_id;
    PERFORM write_event('upload.state', room, jsonb_build_object(
        'streamer_id', room, 'streamer_info_id', recording, 'segment_id', NEW.segment_id, 'file_path', coalesce(file, ''),
        'state', NEW.state, 'line', NEW.line, 'attempts', NEW.attempts, 'error', left(NEW.error, 4000)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER uploads_event AFTER INSERT ON uploads FOR EACH ROW EXECUTE FUNCTION upload_event();
CREATE TRIGGER uploads_change_event AFTER UPDATE ON uploads FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.error IS DISTINCT FROM NEW.error) EXECUTE FUNCTION upload_event();

-- +goose StatementBegin
CREATE FUNCTION submission_event() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER submissions_event AFTER INSERT ON submissions FOR EACH ROW EXECUTE FUNCTION submission_event();
CREATE TRIGGER submissions_change_event AFTER UPDATE ON submissions FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.error IS DISTINCT FROM NEW.error OR OLD.bvid IS DISTINCT FROM NEW.bvid)
    EXECUTE FUNCTION submission_event();

-- +goose StatementBegin
CREATE FUNCTION template_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fields jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM write_event('template.deleted', NULL, jsonb_build_object('template_id', OLD.id, 'template_name', OLD.template_name));
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM write_event('template.created', NULL, jsonb_build_object('template_id', NEW.id, 'template_name', NEW.template_name));
    ELSE
        fields := changed_fields(to_jsonb(OLD), to_jsonb(NEW), '');
        IF fields IS NOT NULL THEN
            PERFORM write_event('template.changed', NULL, jsonb_build_object('template_id', NEW.id, 'template_name', NEW.template_name, 'fields', fields));
        END IF;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER templates_event AFTER INSERT OR UPDATE OR DELETE ON templates FOR EACH ROW EXECUTE FUNCTION template_event();

-- +goose StatementBegin
CREATE FUNCTION account_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fields jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM write_event('account.removed', NULL, jsonb_build_object('account_id', OLD.id, 'platform', OLD.platform, 'value', OLD.file));
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM write_event('account.added', NULL, jsonb_build_object('account_id', NEW.id, 'platform', NEW.platform, 'value', NEW.file));
    ELSE
        fields := changed_fields(to_jsonb(OLD), to_jsonb(NEW), '');
        IF fields IS NOT NULL THEN
            PERFORM write_event('account.changed', NULL, jsonb_build_object('account_id', NEW.id, 'platform', NEW.platform, 'value', NEW.file, 'fields', fields));
        END IF;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER accounts_event AFTER INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION account_event();

-- +goose StatementBegin
CREATE FUNCTION configuration_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := '{}';
    keys jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        before := OLD.value;
    END IF;
    SELECT jsonb_agg(key ORDER BY key) INTO keys FROM (SELECT jsonb_object_keys(before || NEW.value) AS key) AS every
    WHERE before -> key IS DISTINCT FROM NEW.value -> key;
    IF keys IS NOT NULL THEN
        PERFORM write_event('configuration.changed', NULL, jsonb_build_object('keys', keys));
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER configuration_event AFTER INSERT OR UPDATE ON configuration FOR EACH ROW EXECUTE FUNCTION configuration_event();

-- +goose Down
DROP FUNCTION streamer_event, recording_event, segment_event, upload_event, submission_event, template_event, account_event, configuration_event CASCADE;
DROP FUNCTION changed_fields, event_time, write_event;
DROP TABLE event_log, events;
