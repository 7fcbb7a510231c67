-- No more than 100 uploads run at once: larger limits were accepted, and worked like 32.

-- +goose Up
UPDATE configuration SET value = jsonb_set(value, '{upload_limit}', '100') WHERE (value ->> 'upload_limit')::numeric > 100;
UPDATE streamers SET override = jsonb_set(override, '{upload_limit}', '100') WHERE (override ->> 'upload_limit')::numeric > 100;

-- +goose Down
SELECT 1; -- 100 was a good value before, too
