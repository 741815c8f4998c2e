-- Leases of checkpoints, batches that end in any order, the state of sinks, history.

CREATE TABLE checkpoint_leases (
    checkpoint_id uuid PRIMARY KEY REFERENCES checkpoints ON DELETE CASCADE,
    fence bigint NOT NULL,
    owner text NOT NULL,
    process text,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 70);  -- renewed again and again on the same page (HOT)
COMMENT ON TABLE checkpoint_leases IS 'Which worker has a step, and until when it may be silent; beside checkpoints, so that renewing one never waits for a batch.';
COMMENT ON COLUMN checkpoint_leases.checkpoint_id IS 'The step''s checkpoint; goes with it.';
COMMENT ON COLUMN checkpoint_leases.fence IS 'The fence that the lease was taken with.';
COMMENT ON COLUMN checkpoint_leases.owner IS 'host:pid of the worker, for people.';
COMMENT ON COLUMN checkpoint_leases.process IS 'The same so that another process on its machine can tell whether it lives.';
COMMENT ON COLUMN checkpoint_leases.lease_until IS 'When it may be taken by another; past: it is free.';

ALTER TABLE checkpoints
    DROP COLUMN lease_until,
    DROP COLUMN batch_end,
    ADD COLUMN ahead json,
    ADD COLUMN sink_state json,
    ADD COLUMN suspect_size int,
    ADD COLUMN suspect_rows bigint,
    ADD COLUMN suspect_deaths int NOT NULL DEFAULT 0,
    ADD COLUMN finished_at timestamptz;
COMMENT ON COLUMN checkpoints.position IS 'Position of the last record up to which all are committed; json keeps it as it was written.';
COMMENT ON COLUMN checkpoints.ahead IS 'Batches beyond the position: [first, last, done]; not done: given to a sink outside this database.';
COMMENT ON COLUMN checkpoints.sink_state IS 'What sinks keep with the batch, by name, such as a file and its length.';
COMMENT ON COLUMN checkpoints.suspect_size IS 'Records a batch may have while one is suspected of killing its worker.';
COMMENT ON COLUMN checkpoints.suspect_rows IS 'Records still under that suspicion.';
COMMENT ON COLUMN checkpoints.suspect_deaths IS 'Attempts at the very next record, alone in its batch, that no worker has outlived.';
COMMENT ON COLUMN checkpoints.starts_without_commit IS 'Openings that neither committed nor ended in order: a batch that kills its worker shows here.';
COMMENT ON COLUMN checkpoints.finished_at IS 'When the source was last read to its end.';

CREATE TABLE checkpoint_history (
    checkpoint_id uuid NOT NULL REFERENCES checkpoints ON DELETE CASCADE,
    version bigint NOT NULL,
    position json,
    ahead json,
    checkpoint_data json,
    sink_state json,
    state_version int NOT NULL,
    read_count bigint NOT NULL,
    write_count bigint NOT NULL,
    skip_count bigint NOT NULL,
    batch_count bigint NOT NULL,
    retry_count bigint NOT NULL,
    saved_at timestamptz NOT NULL,
    PRIMARY KEY (checkpoint_id, version)
);
COMMENT ON TABLE checkpoint_history IS 'Earlier states of checkpoints, a bounded number of each.';
COMMENT ON COLUMN checkpoint_history.checkpoint_id IS 'The checkpoint; its history goes with it.';
COMMENT ON COLUMN checkpoint_history.version IS 'Number of the save that this was.';
COMMENT ON COLUMN checkpoint_history.position IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.ahead IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.checkpoint_data IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.sink_state IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.state_version IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.read_count IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.write_count IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.skip_count IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.batch_count IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.retry_count IS 'As in checkpoints.';
COMMENT ON COLUMN checkpoint_history.saved_at IS 'When it was saved.';
