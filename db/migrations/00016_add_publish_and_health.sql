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

-- +goose Down
DROP TABLE health_probes;
ALTER TABLE streamers DROP COLUMN publish;
