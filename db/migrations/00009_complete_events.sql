-- +goose Up

-- Events for the rest of what changes: hooks, logins, files that were removed, plugins.

-- +goose StatementBegin
CREATE FUNCTION hook_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    room bigint;
BEGIN
    SELECT r.streamer_id INTO room FROM recordings r WHERE r.id = NEW.recording_id;
    PERFORM write_event('hook.state', room, jsonb_build_object(
        'streamer_id', room, 'streamer_info_id', NEW.recording_id, 'segment_id', NEW.segment_id, 'hook_id', NEW.id, 'hook', NEW.stage,
        'state', NEW.state, 'step', NEW.next_step + 1, 'steps', jsonb_array_length(NEW.steps), 'attempts', NEW.attempts, 'error', left(NEW.error, 4000)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER hook_runs_event AFTER INSERT ON hook_runs FOR EACH ROW EXECUTE FUNCTION hook_event();
CREATE TRIGGER hook_runs_change_event AFTER UPDATE ON hook_runs FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.next_step IS DISTINCT FROM NEW.next_step OR OLD.error IS DISTINCT FROM NEW.error)
    EXECUTE FUNCTION hook_event();

-- +goose StatementBegin
CREATE FUNCTION account_state_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM write_event('account.state', NULL, jsonb_build_object(
        'value', NEW.file, 'valid', NEW.error = '', 'mid', NEW.mid, 'uname', NEW.uname, 'error', left(NEW.error, 4000), 'warning', left(NEW.warning, 4000)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- A row without a check or an error says nothing yet.
CREATE TRIGGER account_states_event AFTER INSERT ON account_states FOR EACH ROW
    WHEN (NEW.checked_at IS NOT NULL OR NEW.error <> '') EXECUTE FUNCTION account_state_event();
CREATE TRIGGER account_states_change_event AFTER UPDATE ON account_states FOR EACH ROW
    WHEN ((OLD.checked_at IS NULL AND NEW.checked_at IS NOT NULL) OR OLD.error IS DISTINCT FROM NEW.error OR OLD.warning IS DISTINCT FROM NEW.warning
        OR (NEW.checked_at IS NOT NULL AND OLD.mid IS DISTINCT FROM NEW.mid))
    EXECUTE FUNCTION account_state_event();

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION segment_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    room bigint;
    kind text;
BEGIN
    kind := CASE
        WHEN TG_OP = 'INSERT' AND NEW.modified_at IS NOT NULL THEN 'segment.ordered'
        WHEN TG_OP = 'INSERT' THEN 'segment.closed'
        WHEN OLD.removed_at IS NULL AND NEW.removed_at IS NOT NULL THEN 'segment.removed'
        ELSE 'segment.changed'
    END;
    SELECT r.streamer_id INTO room FROM recordings r WHERE r.id = NEW.recording_id;
    PERFORM write_event(kind, room, jsonb_build_object(
        'streamer_id', room, 'streamer_info_id', NEW.recording_id, 'segment_id', NEW.id, 'index', NEW.index, 'file_path', NEW.path,
        'file_size', NEW.size_bytes, 'duration', NEW.duration_ms / 1000.0, 'publish', NEW.publish, 'reason', left(NEW.reason, 4000)));
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP TRIGGER segments_change_event ON segments;
CREATE TRIGGER segments_change_event AFTER UPDATE ON segments FOR EACH ROW
    WHEN (OLD.publish IS DISTINCT FROM NEW.publish OR OLD.path IS DISTINCT FROM NEW.path OR OLD.reason IS DISTINCT FROM NEW.reason
        OR (OLD.removed_at IS NULL AND NEW.removed_at IS NOT NULL))
    EXECUTE FUNCTION segment_event();

CREATE TABLE plugin_states (
    host_id    uuid NOT NULL,
    plugin     text NOT NULL,
    kind       text NOT NULL,
    version    text NOT NULL,
    state      text NOT NULL CONSTRAINT plugin_states_state_check CHECK (state IN ('stopped', 'starting', 'ready', 'draining', 'backoff', 'failed')),
    error      text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plugin_states_pkey PRIMARY KEY (host_id, plugin)
);
COMMENT ON TABLE plugin_states IS 'Where the plugins of a host stood when it looked last, so that each change is an event.';

-- +goose StatementBegin
CREATE FUNCTION plugin_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM write_event('plugin.removed', NULL, jsonb_build_object('plugin', OLD.plugin, 'kind', OLD.kind));
    ELSE
        PERFORM write_event('plugin.state', NULL, jsonb_build_object(
            'plugin', NEW.plugin, 'kind', NEW.kind, 'plugin_version', NEW.version, 'state', NEW.state, 'error', left(NEW.error, 4000)));
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER plugin_states_event AFTER INSERT OR UPDATE OR DELETE ON plugin_states FOR EACH ROW EXECUTE FUNCTION plugin_event();

-- +goose Down
DROP FUNCTION plugin_event, account_state_event, hook_event CASCADE;
DROP TABLE plugin_states;
DROP TRIGGER segments_change_event ON segments;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION segment_event() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER segments_change_event AFTER UPDATE ON segments FOR EACH ROW
    WHEN (OLD.publish IS DISTINCT FROM NEW.publish OR OLD.path IS DISTINCT FROM NEW.path OR OLD.reason IS DISTINCT FROM NEW.reason)
    EXECUTE FUNCTION segment_event();
