-- What Bilibili asks for by now: a category of the newer list beside the old one, and what the author declares about the work.

-- +goose Up
ALTER TABLE templates ADD COLUMN human_type2 integer NOT NULL DEFAULT 0;
ALTER TABLE templates ADD COLUMN creation_statement integer NOT NULL DEFAULT 0
    CONSTRAINT templates_creation_statement_check CHECK (creation_statement BETWEEN -1 AND 4);
COMMENT ON COLUMN templates.human_type2 IS 'Category of Bilibili''s newer list; 0: none.';
COMMENT ON COLUMN templates.creation_statement IS '0: none; -1: nothing to declare, 1: AI, 2: fiction, 3: advertising, 4: opinion.';

-- +goose Down
ALTER TABLE templates DROP COLUMN creation_statement;
ALTER TABLE templates DROP COLUMN human_type2;
