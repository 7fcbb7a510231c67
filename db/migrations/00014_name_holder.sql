-- One host uses a database at a time: it holds an advisory lock, and a row says who it is. A host remembers where its data
-- directory was, so that the rows can follow when that is moved.

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

CREATE TABLE data_dirs (
    host_id uuid PRIMARY KEY,
    path text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE data_dirs IS 'Where the data directory of a host was at its last start. All paths of its files in other tables are absolute, and are changed in one transaction when it is somewhere else.';

-- +goose Down
DROP TABLE data_dirs;
DROP TABLE database_holder;
