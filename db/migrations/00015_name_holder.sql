-- One host uses a database at a time: it holds an advisory lock, and this row says who it is.

-- +goose Up
CREATE TABLE database_holder (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    host_id uuid NOT NULL,
    data_dir text NOT NULL,
    machine text NOT NULL,
    pid integer NOT NULL,
    since timestamptz NOT NULL,
    backend integer NOT NULL
);
COMMENT ON TABLE database_holder IS 'The host that uses this database, as long as the server process backend holds the lock of hosts; the row of a host that was killed stays.';
COMMENT ON COLUMN database_holder.backend IS 'The process of the database server that serves the connection with the lock.';

-- +goose Down
DROP TABLE database_holder;
