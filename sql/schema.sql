-- seawall's schema: all migrations in order, made by `seawall schema`. The monthly partitions
-- of error_details, retry_attempts and system_health are made by the program.

CREATE SCHEMA IF NOT EXISTS "seawall";
SET search_path TO "seawall";

CREATE TABLE IF NOT EXISTS "seawall".schema_migrations (
    number int PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    library_version text NOT NULL
);

-- 0001_pre_initial

-- seawall's tables, as far as issues need them now. Names are unqualified: the runner sets the
-- search path to the schema. Keys are UUIDv7, made by the client; times are the database's clock
-- where a column has a default. Durations are seconds.

CREATE TABLE runs (
    run_id text PRIMARY KEY CHECK (run_id <> ''),
    pipeline_id text NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'cancelled', 'abandoned')),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    release text,
    tags jsonb,
    host text,
    pid int,
    error_type text,
    error_message text,
    start_count int NOT NULL DEFAULT 0
);
COMMENT ON TABLE runs IS 'One run of a pipeline, over all its restarts.';
COMMENT ON COLUMN runs.status IS 'running, or how it ended; abandoned: its worker vanished.';
COMMENT ON COLUMN runs.release IS 'Version of the worker''s code.';
COMMENT ON COLUMN runs.error_type IS 'Classification of the error that ended it.';
COMMENT ON COLUMN runs.start_count IS 'How often a worker has entered it.';
CREATE INDEX runs_pipeline ON runs (pipeline_id, started_at DESC);
CREATE INDEX runs_running ON runs (started_at) WHERE status = 'running';

CREATE TABLE checkpoints (
    checkpoint_id uuid PRIMARY KEY,
    run_id text NOT NULL REFERENCES runs ON DELETE CASCADE,
    step text NOT NULL,
    partition int NOT NULL DEFAULT 0 CHECK (partition >= 0),
    position json,
    checkpoint_data json,
    state_version int NOT NULL DEFAULT 1,
    version bigint NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    owner text,
    lease_until timestamptz,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'finished')),
    read_count bigint NOT NULL DEFAULT 0,
    write_count bigint NOT NULL DEFAULT 0,
    skip_count bigint NOT NULL DEFAULT 0,
    batch_count bigint NOT NULL DEFAULT 0,
    retry_count bigint NOT NULL DEFAULT 0,
    start_count int NOT NULL DEFAULT 0,
    starts_without_commit int NOT NULL DEFAULT 0,
    batch_end json,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT checkpoints_step UNIQUE (run_id, step, partition)
) WITH (fillfactor = 70);  -- room for the update of every batch on the same page (HOT)
COMMENT ON TABLE checkpoints IS 'How far each partition of a step has come; updated in the transaction of every batch.';
COMMENT ON COLUMN checkpoints.position IS 'Position of the last committed record; json keeps it as it was written.';
COMMENT ON COLUMN checkpoints.checkpoint_data IS 'What checkpoint_progress saved last.';
COMMENT ON COLUMN checkpoints.state_version IS 'Format of position and checkpoint_data.';
COMMENT ON COLUMN checkpoints.version IS 'Number of saves: tells whether a COMMIT whose answer was lost has happened.';
COMMENT ON COLUMN checkpoints.fence IS 'Fencing token: grows with every opening; a save under an older one is refused.';
COMMENT ON COLUMN checkpoints.owner IS 'host:pid of the worker that opened it last.';
COMMENT ON COLUMN checkpoints.lease_until IS 'Until when the owner may be silent.';
COMMENT ON COLUMN checkpoints.starts_without_commit IS 'Openings since the last commit: a batch that kills its worker shows here.';
COMMENT ON COLUMN checkpoints.batch_end IS 'End of the batch given to a sink outside this database, written before it is called.';

CREATE TABLE quarantined_records (
    record_id uuid PRIMARY KEY,
    quarantine_id uuid NOT NULL,
    run_id text NOT NULL,
    pipeline_id text NOT NULL,
    step text NOT NULL,
    partition int NOT NULL DEFAULT 0,
    batch_id text,
    position json,
    payload json NOT NULL,
    redacted boolean NOT NULL DEFAULT false,
    error_type text NOT NULL,
    reason text NOT NULL,
    reasons json,
    sqlstate text,
    constraint_name text,
    column_name text,
    exception_type text,
    traceback_digest text,
    status text NOT NULL DEFAULT 'quarantined'
        CHECK (status IN ('quarantined', 'reprocessing', 'reprocessed', 'failed', 'discarded')),
    attempts int NOT NULL DEFAULT 0,
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE quarantined_records IS 'Records set aside: one row each, written in the transaction of their batch.';
COMMENT ON COLUMN quarantined_records.quarantine_id IS 'The set they were set aside in.';
COMMENT ON COLUMN quarantined_records.position IS 'Where the record stands in its source.';
COMMENT ON COLUMN quarantined_records.payload IS 'The record, in seawall''s JSON with tags for what JSON lacks.';
COMMENT ON COLUMN quarantined_records.redacted IS 'Stored masked: can be looked at, not reprocessed.';
COMMENT ON COLUMN quarantined_records.reason IS 'What the server says, or would have said, first; the same text for the same fault.';
COMMENT ON COLUMN quarantined_records.reasons IS 'Every fault found, with the offending values.';
-- Only the run's records are looked up: every index more would cost each bad row of a load.
CREATE INDEX quarantined_records_run ON quarantined_records (run_id, step);

CREATE TABLE quarantine_attempts (
    attempt_id uuid PRIMARY KEY,
    record_id uuid NOT NULL REFERENCES quarantined_records ON DELETE CASCADE,
    outcome text NOT NULL CHECK (outcome IN ('reprocessed', 'failed', 'discarded')),
    error_type text,
    exception_type text,
    message text,
    actor text,
    attempted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE quarantine_attempts IS 'What was tried with each quarantined record.';
CREATE INDEX quarantine_attempts_record ON quarantine_attempts (record_id);

-- The three tables that grow without end are partitioned by their key, a UUIDv7 and so a time:
-- the key stays unique alone, and old rows go by dropping a partition.
CREATE TABLE error_details (
    error_id uuid PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    pipeline_id text,
    run_id text,
    step text,
    operation text,
    attempt int,
    error_type text NOT NULL,
    exception_type text NOT NULL,
    message text NOT NULL,
    fingerprint text NOT NULL,
    traceback text,
    traceback_digest text,
    context json,
    sqlstate text,
    host text,
    pid int,
    release text
) PARTITION BY RANGE (error_id);
COMMENT ON TABLE error_details IS 'Errors as they happened: classified, secrets masked.';
COMMENT ON COLUMN error_details.fingerprint IS 'The same for the same error type, exception type and stack.';
COMMENT ON COLUMN error_details.context IS 'What the caller added, masked.';
CREATE INDEX error_details_pipeline ON error_details (pipeline_id, error_id DESC);
CREATE INDEX error_details_run ON error_details (run_id);
CREATE TABLE error_details_default PARTITION OF error_details DEFAULT;

CREATE TABLE retry_attempts (
    attempt_id uuid PRIMARY KEY,
    occurred_at timestamptz NOT NULL,
    pipeline_id text,
    run_id text,
    step text,
    operation text NOT NULL,
    attempt int NOT NULL,
    error_type text,
    exception_type text,
    message text,
    wait_seconds double precision,
    elapsed_seconds double precision,
    outcome text NOT NULL CHECK (outcome IN ('scheduled', 'succeeded', 'exhausted')),
    stop_reason text
) PARTITION BY RANGE (attempt_id);
COMMENT ON TABLE retry_attempts IS 'Telemetry of retries: a row for each failed attempt that is repeated, and for how it ended.';
COMMENT ON COLUMN retry_attempts.outcome IS 'scheduled: repeated after wait_seconds; succeeded or exhausted: the end of the call.';
CREATE INDEX retry_attempts_run ON retry_attempts (run_id);
CREATE INDEX retry_attempts_operation ON retry_attempts (operation, attempt_id DESC);
CREATE TABLE retry_attempts_default PARTITION OF retry_attempts DEFAULT;

CREATE TABLE system_health (
    sample_id uuid PRIMARY KEY,
    sampled_at timestamptz NOT NULL,
    host text NOT NULL,
    pid int NOT NULL,
    cpu_percent double precision,
    memory_percent double precision,
    disk_percent double precision,
    disk_path text,
    open_files int,
    event_loop_lag_seconds double precision,
    pool_in_use int,
    pool_size int,
    healthy boolean NOT NULL,
    details json
) PARTITION BY RANGE (sample_id);
COMMENT ON TABLE system_health IS 'Samples of a worker''s machine and process.';
CREATE INDEX system_health_host ON system_health (host, sample_id DESC);
CREATE TABLE system_health_default PARTITION OF system_health DEFAULT;

CREATE TABLE circuit_breaker_states (
    service_name text PRIMARY KEY,
    state text NOT NULL DEFAULT 'closed'
        CHECK (state IN ('closed', 'open', 'half_open', 'forced_open', 'disabled')),
    epoch bigint NOT NULL DEFAULT 0,
    opened_count int NOT NULL DEFAULT 0,
    opened_at timestamptz,
    open_until timestamptz,
    permits json,
    votes json,
    options json,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70);
COMMENT ON TABLE circuit_breaker_states IS 'The fleet''s breakers, a row each.';
COMMENT ON COLUMN circuit_breaker_states.epoch IS 'Grows with every transition: a late message never undoes a newer one.';
COMMENT ON COLUMN circuit_breaker_states.permits IS 'Trial calls under way in half-open, with the end of each one''s lease.';
COMMENT ON COLUMN circuit_breaker_states.votes IS 'Failing workers, with the time of each vote.';

CREATE TABLE circuit_breaker_transitions (
    transition_id uuid PRIMARY KEY,
    service_name text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    epoch bigint NOT NULL,
    reason text,
    pipeline_id text,
    run_id text,
    host text,
    pid int,
    occurred_at timestamptz NOT NULL
);
COMMENT ON TABLE circuit_breaker_transitions IS 'What each worker''s breakers did.';
CREATE INDEX circuit_breaker_transitions_service
    ON circuit_breaker_transitions (service_name, transition_id DESC);
CREATE INDEX circuit_breaker_transitions_run ON circuit_breaker_transitions (run_id);

CREATE TABLE error_patterns (
    pattern_id text PRIMARY KEY,
    error_message_pattern text NOT NULL,
    error_type text NOT NULL,
    fingerprint text,
    frequency bigint NOT NULL DEFAULT 0 CHECK (frequency >= 0),
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    trend text,
    recommended_action text,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved', 'ignored')),
    seen_in json,
    variables json,
    sample_ids uuid[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE error_patterns IS 'Message templates, merged from all workers.';
COMMENT ON COLUMN error_patterns.seen_in IS 'Pipelines, steps, hosts and releases, with counts.';
CREATE INDEX error_patterns_last_seen ON error_patterns (last_seen DESC);

CREATE TABLE error_budget (
    pipeline_id text NOT NULL,
    minute timestamptz NOT NULL,
    good_runs bigint NOT NULL DEFAULT 0,
    bad_runs bigint NOT NULL DEFAULT 0,
    good_rows bigint NOT NULL DEFAULT 0,
    bad_rows bigint NOT NULL DEFAULT 0,
    objective double precision NOT NULL DEFAULT 0.99 CHECK (objective > 0 AND objective < 1),
    PRIMARY KEY (pipeline_id, minute)
);
COMMENT ON TABLE error_budget IS 'Good and bad outcomes a minute; status over any window is their sum.';

CREATE TABLE failure_analysis (
    pipeline_id text NOT NULL,
    hour timestamptz NOT NULL,
    dimension text NOT NULL,
    value text NOT NULL,
    failures bigint NOT NULL DEFAULT 0,
    successes bigint NOT NULL DEFAULT 0,
    recovery_seconds double precision,
    PRIMARY KEY (pipeline_id, hour, dimension, value)
);
COMMENT ON TABLE failure_analysis IS 'Hourly roll-ups by attribute (step, host, release, error type, …).';

CREATE TABLE recovery_actions (
    action_id uuid PRIMARY KEY,
    pipeline_id text,
    run_id text,
    pattern_id text,
    error_type text,
    action text NOT NULL,
    outcome text CHECK (outcome IN ('succeeded', 'failed')),
    attempts int,
    details json,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE recovery_actions IS 'What was done about errors, and whether it helped.';
CREATE INDEX recovery_actions_pattern ON recovery_actions (pattern_id, error_type);
CREATE INDEX recovery_actions_pipeline ON recovery_actions (pipeline_id, action_id DESC);

CREATE TABLE audit_log (
    audit_id uuid PRIMARY KEY,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    reason text,
    details json,
    acted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE audit_log IS 'Who did what by hand; rows are only ever added.';
