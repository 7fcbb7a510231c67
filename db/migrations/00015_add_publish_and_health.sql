-- A room without a template is one whose template is not chosen yet, or was lost on the way: nothing of it is removed. Who
-- wants its files removed says that nothing of the room is ever published.

-- +goose Up
ALTER TABLE streamers ADD COLUMN publish text CONSTRAINT streamers_publish_check CHECK (publish IN ('never'));
COMMENT ON COLUMN streamers.publish IS 'never: nothing of the room is ever published, so that hooks may remove its files. NULL: they are kept until they are public.';
ALTER TABLE streamers ADD CONSTRAINT streamers_publish_template_check CHECK (publish IS NULL OR template_name IS NULL);

CREATE TABLE health_probes (
    host_id uuid NOT NULL
);
COMMENT ON TABLE health_probes IS 'Written every few seconds, to know whether the database takes writes. It holds nothing.';

-- Why something is as it is has an event of its own.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION changed_fields(before jsonb, after jsonb, VARIADIC ignored text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_agg(key ORDER BY key) FROM jsonb_each(after)
    WHERE value IS DISTINCT FROM before -> key AND key NOT LIKE '%\_at' AND key NOT LIKE 'last\_%' AND key <> 'reason' AND key <> ALL (ignored)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION streamer_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fields jsonb;
    room jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM write_event('streamer.deleted', OLD.id, jsonb_build_object('streamer_id', OLD.id, 'url', OLD.url, 'remark', OLD.remark));
        RETURN NULL;
    END IF;
    room := jsonb_build_object('streamer_id', NEW.id, 'url', NEW.url, 'remark', NEW.remark);
    IF TG_OP = 'INSERT' THEN
        PERFORM write_event('streamer.created', NEW.id, room);
        RETURN NULL;
    END IF;
    fields := changed_fields(to_jsonb(OLD), to_jsonb(NEW), 'paused');
    IF fields IS NOT NULL THEN
        PERFORM write_event('streamer.changed', NEW.id, room || jsonb_build_object('fields', fields));
    END IF;
    IF NEW.paused IS DISTINCT FROM OLD.paused THEN
        PERFORM write_event(CASE WHEN NEW.paused THEN 'streamer.paused' ELSE 'streamer.resumed' END, NEW.id, room);
    END IF;
    IF NEW.last_error IS DISTINCT FROM OLD.last_error THEN
        room := room || jsonb_build_object('reason', left(NEW.last_error, 4000));
        IF NEW.reason IS NOT NULL THEN
            room := room || jsonb_build_object('reason_code', NEW.reason -> 'code', 'reason_args', coalesce(NEW.reason -> 'args', '{}'));
        END IF;
        PERFORM write_event('streamer.reason', NEW.id, room);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION changed_fields(before jsonb, after jsonb, VARIADIC ignored text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_agg(key ORDER BY key) FROM jsonb_each(after)
    WHERE value IS DISTINCT FROM before -> key AND key NOT LIKE '%\_at' AND key NOT LIKE 'last\_%' AND key <> ALL (ignored)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION streamer_event() RETURNS trigger LANGUAGE plpgsql AS $$
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

DROP TABLE health_probes;
ALTER TABLE streamers DROP COLUMN publish;
