-- The line that an upload goes over is not always the one of the configuration. Its row says why.

-- +goose Up
ALTER TABLE uploads ADD COLUMN line_reason jsonb;
COMMENT ON COLUMN uploads.line_reason IS 'Why it goes, or went, over another line than the configuration names; NULL: it does not.';

-- +goose Down
ALTER TABLE uploads DROP COLUMN line_reason;
