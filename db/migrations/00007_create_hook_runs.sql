-- +goose Up

CREATE TABLE hook_runs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recording_id bigint NOT NULL CONSTRAINT hook_runs_recording_id_fkey REFERENCES recordings ON DELETE CASCADE,
    segment_id   bigint CONSTRAINT hook_runs_segment_id_fkey REFERENCES segments ON DELETE CASCADE,
    stage        text NOT NULL CONSTRAINT hook_runs_stage_check CHECK (stage IN ('segment_processor', 'downloaded_processor', 'postprocessor')),
    steps        jsonb NOT NULL,
    next_step    integer NOT NULL DEFAULT 0,
    plan         jsonb,
    state        text NOT NULL DEFAULT 'pending' CONSTRAINT hook_runs_state_check CHECK (state IN ('pending', 'running', 'held', 'done')),
    attempts     integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    error        text NOT NULL DEFAULT '',
    round        integer NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT hook_runs_segment_check CHECK ((stage = 'segment_processor') = (segment_id IS NOT NULL))
);
CREATE UNIQUE INDEX hook_runs_segment_key ON hook_runs (segment_id, stage) WHERE segment_id IS NOT NULL;
CREATE UNIQUE INDEX hook_runs_recording_key ON hook_runs (recording_id, stage) WHERE segment_id IS NULL;
CREATE INDEX hook_runs_open_idx ON hook_runs (recording_id) WHERE state <> 'done';
CREATE INDEX hook_runs_failed_idx ON hook_runs (updated_at) WHERE state = 'done' AND error <> '';
COMMENT ON TABLE hook_runs IS 'One hook of a streamer that became due for a segment or a recording.';
COMMENT ON COLUMN hook_runs.steps IS 'As they were when the hook became due: editing the streamer changes what becomes due later.';
COMMENT ON COLUMN hook_runs.next_step IS 'How many steps are over.';
COMMENT ON COLUMN hook_runs.plan IS 'Which file the next step brings where, committed before any file is touched.';
COMMENT ON COLUMN hook_runs.state IS 'held: a step failed, and its policy wants a person to look before anything goes on.';
COMMENT ON COLUMN hook_runs.attempts IS 'How often the next step has failed.';
COMMENT ON COLUMN hook_runs.round IS 'How often a person let a held run go on. A job belongs to one round: that of an earlier one may not have ended yet.';
COMMENT ON COLUMN hook_runs.error IS 'What failed last, also when the run went on after it.';

ALTER TABLE recordings ADD COLUMN hooks jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN recordings.hooks IS 'The hooks of a streamer that was deleted, by stage: what becomes due later still runs.';

ALTER TABLE segments ADD COLUMN recorded_path text CONSTRAINT segments_recorded_path_key UNIQUE, ADD COLUMN removed_at timestamptz;
COMMENT ON COLUMN segments.recorded_path IS 'Where the recorder left the file, once a hook moved it or put another one in its place.';
COMMENT ON COLUMN segments.removed_at IS 'A hook removed the file, after it was published or because it was never to be.';

-- +goose Down
ALTER TABLE segments DROP COLUMN recorded_path, DROP COLUMN removed_at;
ALTER TABLE recordings DROP COLUMN hooks;
DROP TABLE hook_runs;
