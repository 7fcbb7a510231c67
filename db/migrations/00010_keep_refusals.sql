-- A submission that was refused for what its template says is made again when the template is changed, so it is kept that it
-- was refused, and not given up for another reason.

-- +goose Up
ALTER TABLE submissions ADD COLUMN refusal integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN submissions.refusal IS 'The code with which Bilibili refused the last submit for good; 0: it did not.';

-- +goose Down
ALTER TABLE submissions DROP COLUMN refusal;
