-- seawall's schema: all migrations in order, made by `seawall schema`. The monthly partitions
-- of error_details, retry_attempts and system_health are made by the program.

BEGIN;
CREATE SCHEMA IF NOT EXISTS "seawall";
SET LOCAL search_path TO "seawall";

CREATE TABLE IF NOT EXISTS "seawall".schema_migrations (
    number int PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    library_version text NOT NULL
);
COMMENT ON TABLE "seawall".schema_migrations IS 'Which migrations this schema has had.';
COMMENT ON COLUMN "seawall".schema_migrations.number IS 'From 1, without gaps.';
COMMENT ON COLUMN "seawall".schema_migrations.name IS 'The file, without .sql.';
COMMENT ON COLUMN "seawall".schema_migrations.checksum IS 'SHA-256 of the file as applied.';
COMMENT ON COLUMN "seawall".schema_migrations.applied_at IS 'When it was applied.';
COMMENT ON COLUMN "seawall".schema_migrations.library_version IS 'The seawall that brought it.';

-- 0001_pre_initial

-- seawall's tables. Names are unqualified: the runner sets the search path to the schema.
-- Keys are UUIDv7, made by the client; a time is of the database's clock where its column has a
-- default. Durations are seconds.

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
COMMENT ON COLUMN runs.run_id IS 'Named by the user, or made by seawall; a restart uses it again.';
COMMENT ON COLUMN runs.pipeline_id IS 'The pipeline that it is a run of.';
COMMENT ON COLUMN runs.status IS 'running, or how it ended; abandoned: its worker vanished.';
COMMENT ON COLUMN runs.started_at IS 'First start; a restart keeps it.';
COMMENT ON COLUMN runs.ended_at IS 'Last end; NULL while it runs.';
COMMENT ON COLUMN runs.release IS 'Version of the worker''s code.';
COMMENT ON COLUMN runs.tags IS 'What the user wants to find it by.';
COMMENT ON COLUMN runs.host IS 'Host of the worker that entered it last.';
COMMENT ON COLUMN runs.pid IS 'Process id of that worker.';
COMMENT ON COLUMN runs.error_type IS 'Classification of the error that ended it.';
COMMENT ON COLUMN runs.error_message IS 'Message of the error that ended it, secrets masked.';
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
COMMENT ON COLUMN checkpoints.checkpoint_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN checkpoints.run_id IS 'The run that it belongs to; goes with it.';
COMMENT ON COLUMN checkpoints.step IS 'The step''s name, unique in its run.';
COMMENT ON COLUMN checkpoints.partition IS 'Which part of a step that is split; 0 where it is not.';
COMMENT ON COLUMN checkpoints.position IS 'Position of the last committed record; json keeps it as it was written.';
COMMENT ON COLUMN checkpoints.checkpoint_data IS 'What checkpoint_progress saved last.';
COMMENT ON COLUMN checkpoints.state_version IS 'Format of position and checkpoint_data.';
COMMENT ON COLUMN checkpoints.version IS 'Number of saves: tells whether a COMMIT whose answer was lost has happened.';
COMMENT ON COLUMN checkpoints.fence IS 'Fencing token: grows with every opening; a save under an older one is refused.';
COMMENT ON COLUMN checkpoints.owner IS 'host:pid of the worker that opened it last.';
COMMENT ON COLUMN checkpoints.lease_until IS 'Until when the owner may be silent.';
COMMENT ON COLUMN checkpoints.status IS 'running; finished: the source was read to its end. Opening it again sets running.';
COMMENT ON COLUMN checkpoints.read_count IS 'Records read from the source, over all restarts.';
COMMENT ON COLUMN checkpoints.write_count IS 'Records loaded.';
COMMENT ON COLUMN checkpoints.skip_count IS 'Records set aside in quarantine.';
COMMENT ON COLUMN checkpoints.batch_count IS 'Batches committed.';
COMMENT ON COLUMN checkpoints.retry_count IS 'How often a batch was rolled back and run again.';
COMMENT ON COLUMN checkpoints.start_count IS 'How often a worker has opened it.';
COMMENT ON COLUMN checkpoints.starts_without_commit IS 'Openings since the last commit: a batch that kills its worker shows here.';
COMMENT ON COLUMN checkpoints.batch_end IS 'End of the batch given to a sink outside this database, written before it is called.';
COMMENT ON COLUMN checkpoints.created_at IS 'First opening.';
COMMENT ON COLUMN checkpoints.updated_at IS 'Last opening, save or end.';

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
COMMENT ON COLUMN quarantined_records.record_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN quarantined_records.quarantine_id IS 'The set they were set aside in.';
COMMENT ON COLUMN quarantined_records.run_id IS 'The run that met the record; kept when the run is deleted.';
COMMENT ON COLUMN quarantined_records.pipeline_id IS 'The run''s pipeline.';
COMMENT ON COLUMN quarantined_records.step IS 'The step that met it; empty where there was none.';
COMMENT ON COLUMN quarantined_records.partition IS 'The part of the step that met it.';
COMMENT ON COLUMN quarantined_records.batch_id IS 'The batch it came in; NULL where it was set aside by a call.';
COMMENT ON COLUMN quarantined_records.position IS 'Where the record stands in its source.';
COMMENT ON COLUMN quarantined_records.payload IS 'The record, in seawall''s JSON with tags for what JSON lacks.';
COMMENT ON COLUMN quarantined_records.redacted IS 'Stored masked: can be looked at, not reprocessed.';
COMMENT ON COLUMN quarantined_records.error_type IS 'Classification: data for a refused record.';
COMMENT ON COLUMN quarantined_records.reason IS 'What the server says, or would have said, first; the same text for the same fault.';
COMMENT ON COLUMN quarantined_records.reasons IS 'Every fault found, with the offending values.';
COMMENT ON COLUMN quarantined_records.sqlstate IS 'The server''s code for the first fault; NULL where seawall or the user found it.';
COMMENT ON COLUMN quarantined_records.constraint_name IS 'The broken constraint, where there is one.';
COMMENT ON COLUMN quarantined_records.column_name IS 'The column at fault, where one is known.';
COMMENT ON COLUMN quarantined_records.exception_type IS 'The exception''s class, where one was raised.';
COMMENT ON COLUMN quarantined_records.traceback_digest IS 'The same for the same stack; NULL where nothing was raised.';
COMMENT ON COLUMN quarantined_records.status IS 'quarantined; reprocessing: taken by one reprocessor; reprocessed, failed, discarded: its outcome.';
COMMENT ON COLUMN quarantined_records.attempts IS 'How often it was reprocessed.';
COMMENT ON COLUMN quarantined_records.quarantined_at IS 'Start of the transaction that set it aside.';
COMMENT ON COLUMN quarantined_records.updated_at IS 'Last change of status.';
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
COMMENT ON COLUMN quarantine_attempts.attempt_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN quarantine_attempts.record_id IS 'The record that was tried; goes with it.';
COMMENT ON COLUMN quarantine_attempts.outcome IS 'How the attempt ended.';
COMMENT ON COLUMN quarantine_attempts.error_type IS 'Classification of the error, where it failed.';
COMMENT ON COLUMN quarantine_attempts.exception_type IS 'The error''s class.';
COMMENT ON COLUMN quarantine_attempts.message IS 'The error''s message, secrets masked.';
COMMENT ON COLUMN quarantine_attempts.actor IS 'Who ran it: a person, or the worker''s host:pid.';
COMMENT ON COLUMN quarantine_attempts.attempted_at IS 'When the attempt was recorded.';
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
COMMENT ON COLUMN error_details.error_id IS 'Key, a UUIDv7 made by the client: the partitions'' bounds are times.';
COMMENT ON COLUMN error_details.occurred_at IS 'When it was logged, by the worker''s clock.';
COMMENT ON COLUMN error_details.pipeline_id IS 'The pipeline in whose scope it happened.';
COMMENT ON COLUMN error_details.run_id IS 'The run in whose scope it happened.';
COMMENT ON COLUMN error_details.step IS 'The step in whose scope it happened.';
COMMENT ON COLUMN error_details.operation IS 'The call that failed, where the caller named it.';
COMMENT ON COLUMN error_details.attempt IS 'Which attempt failed, from 1, where the caller gave it.';
COMMENT ON COLUMN error_details.error_type IS 'Classification: transient, configuration, data, system or unknown.';
COMMENT ON COLUMN error_details.exception_type IS 'The exception''s class, with its module.';
COMMENT ON COLUMN error_details.message IS 'The exception''s message, secrets masked.';
COMMENT ON COLUMN error_details.fingerprint IS 'The same for the same error type, exception type and stack.';
COMMENT ON COLUMN error_details.traceback IS 'The last frames of the stack, causes included, secrets masked.';
COMMENT ON COLUMN error_details.traceback_digest IS 'The same for the same stack, whatever was raised.';
COMMENT ON COLUMN error_details.context IS 'What the caller added, masked.';
COMMENT ON COLUMN error_details.sqlstate IS 'The server''s code, where a database raised it.';
COMMENT ON COLUMN error_details.host IS 'Host of the worker.';
COMMENT ON COLUMN error_details.pid IS 'Process id of the worker.';
COMMENT ON COLUMN error_details.release IS 'Version of the worker''s code, where it is known.';
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
COMMENT ON COLUMN retry_attempts.attempt_id IS 'Key, a UUIDv7 made by the client: the partitions'' bounds are times.';
COMMENT ON COLUMN retry_attempts.occurred_at IS 'When it happened, by the worker''s clock.';
COMMENT ON COLUMN retry_attempts.pipeline_id IS 'The pipeline in whose scope it happened.';
COMMENT ON COLUMN retry_attempts.run_id IS 'The run in whose scope it happened.';
COMMENT ON COLUMN retry_attempts.step IS 'The step in whose scope it happened.';
COMMENT ON COLUMN retry_attempts.operation IS 'The call that was retried.';
COMMENT ON COLUMN retry_attempts.attempt IS 'Which attempt this is about, from 1.';
COMMENT ON COLUMN retry_attempts.error_type IS 'Classification of its error; NULL where it succeeded.';
COMMENT ON COLUMN retry_attempts.exception_type IS 'The error''s class.';
COMMENT ON COLUMN retry_attempts.message IS 'The error''s message, secrets masked.';
COMMENT ON COLUMN retry_attempts.wait_seconds IS 'Seconds of waiting before the next attempt; NULL at the end of the call.';
COMMENT ON COLUMN retry_attempts.elapsed_seconds IS 'Seconds since the call began.';
COMMENT ON COLUMN retry_attempts.outcome IS 'scheduled: repeated after wait_seconds; succeeded or exhausted: the end of the call.';
COMMENT ON COLUMN retry_attempts.stop_reason IS 'Why there was no further attempt, where outcome is exhausted.';
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
COMMENT ON COLUMN system_health.sample_id IS 'Key, a UUIDv7 made by the client: the partitions'' bounds are times.';
COMMENT ON COLUMN system_health.sampled_at IS 'When it was read, by the worker''s clock.';
COMMENT ON COLUMN system_health.host IS 'Host of the worker.';
COMMENT ON COLUMN system_health.pid IS 'Process id of the worker.';
COMMENT ON COLUMN system_health.cpu_percent IS 'Use of all processors, 0 to 100.';
COMMENT ON COLUMN system_health.memory_percent IS 'Memory in use, 0 to 100.';
COMMENT ON COLUMN system_health.disk_percent IS 'Use of the disk that disk_path is on, 0 to 100.';
COMMENT ON COLUMN system_health.disk_path IS 'The folder whose disk was measured.';
COMMENT ON COLUMN system_health.open_files IS 'Open file descriptors of the process.';
COMMENT ON COLUMN system_health.event_loop_lag_seconds IS 'How late the event loop ran a timer.';
COMMENT ON COLUMN system_health.pool_in_use IS 'Connections checked out of the pool.';
COMMENT ON COLUMN system_health.pool_size IS 'Connections that the pool may open.';
COMMENT ON COLUMN system_health.healthy IS 'Whether every reading was within its threshold.';
COMMENT ON COLUMN system_health.details IS 'Other readings, by name.';
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
COMMENT ON COLUMN circuit_breaker_states.service_name IS 'The breaker''s name, the same in every worker.';
COMMENT ON COLUMN circuit_breaker_states.state IS 'What all workers go by.';
COMMENT ON COLUMN circuit_breaker_states.epoch IS 'Grows with every transition: a late message never undoes a newer one.';
COMMENT ON COLUMN circuit_breaker_states.opened_count IS 'Openings since it was last closed.';
COMMENT ON COLUMN circuit_breaker_states.opened_at IS 'When it opened last.';
COMMENT ON COLUMN circuit_breaker_states.open_until IS 'When it may go to half_open.';
COMMENT ON COLUMN circuit_breaker_states.permits IS 'Trial calls under way in half-open, with the end of each one''s lease.';
COMMENT ON COLUMN circuit_breaker_states.votes IS 'Failing workers, with the time of each vote.';
COMMENT ON COLUMN circuit_breaker_states.options IS 'What it was made with: the same name with other options is an error.';
COMMENT ON COLUMN circuit_breaker_states.updated_at IS 'Last change.';

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
COMMENT ON COLUMN circuit_breaker_transitions.transition_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN circuit_breaker_transitions.service_name IS 'The breaker''s name.';
COMMENT ON COLUMN circuit_breaker_transitions.from_state IS 'State before.';
COMMENT ON COLUMN circuit_breaker_transitions.to_state IS 'State after.';
COMMENT ON COLUMN circuit_breaker_transitions.epoch IS 'The breaker''s epoch after it.';
COMMENT ON COLUMN circuit_breaker_transitions.reason IS 'What made it change.';
COMMENT ON COLUMN circuit_breaker_transitions.pipeline_id IS 'The pipeline in whose scope it happened.';
COMMENT ON COLUMN circuit_breaker_transitions.run_id IS 'The run in whose scope it happened.';
COMMENT ON COLUMN circuit_breaker_transitions.host IS 'Host of the worker.';
COMMENT ON COLUMN circuit_breaker_transitions.pid IS 'Process id of the worker.';
COMMENT ON COLUMN circuit_breaker_transitions.occurred_at IS 'When it happened, by the worker''s clock.';
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
COMMENT ON COLUMN error_patterns.pattern_id IS 'Made from the template: the same in every worker and run.';
COMMENT ON COLUMN error_patterns.error_message_pattern IS 'The template, with its variables masked.';
COMMENT ON COLUMN error_patterns.error_type IS 'Classification shared by all its errors.';
COMMENT ON COLUMN error_patterns.fingerprint IS 'Of the stack, where the message says nothing.';
COMMENT ON COLUMN error_patterns.frequency IS 'Errors seen.';
COMMENT ON COLUMN error_patterns.first_seen IS 'When the first of its errors was seen.';
COMMENT ON COLUMN error_patterns.last_seen IS 'When the last of its errors was seen.';
COMMENT ON COLUMN error_patterns.trend IS 'Whether it grows.';
COMMENT ON COLUMN error_patterns.recommended_action IS 'What to do about it.';
COMMENT ON COLUMN error_patterns.status IS 'open; resolved: a new error is a regression; ignored: not reported.';
COMMENT ON COLUMN error_patterns.seen_in IS 'Pipelines, steps, hosts and releases, with counts.';
COMMENT ON COLUMN error_patterns.variables IS 'Most frequent values of the masked variables, with counts.';
COMMENT ON COLUMN error_patterns.sample_ids IS 'Some of its errors, by their key in error_details.';
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
COMMENT ON COLUMN error_budget.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN error_budget.minute IS 'Start of the minute.';
COMMENT ON COLUMN error_budget.good_runs IS 'Runs that ended well in it.';
COMMENT ON COLUMN error_budget.bad_runs IS 'Runs that failed in it.';
COMMENT ON COLUMN error_budget.good_rows IS 'Rows loaded in it.';
COMMENT ON COLUMN error_budget.bad_rows IS 'Rows set aside in it.';
COMMENT ON COLUMN error_budget.objective IS 'Share of good runs that was aimed at, between 0 and 1.';

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
COMMENT ON COLUMN failure_analysis.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN failure_analysis.hour IS 'Start of the hour.';
COMMENT ON COLUMN failure_analysis.dimension IS 'The attribute: step, host, release, error type, …';
COMMENT ON COLUMN failure_analysis.value IS 'The attribute''s value.';
COMMENT ON COLUMN failure_analysis.failures IS 'Failures with that value.';
COMMENT ON COLUMN failure_analysis.successes IS 'Successes with that value.';
COMMENT ON COLUMN failure_analysis.recovery_seconds IS 'Sum of the seconds from failure to next success.';

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
COMMENT ON COLUMN recovery_actions.action_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN recovery_actions.pipeline_id IS 'The pipeline it was done for.';
COMMENT ON COLUMN recovery_actions.run_id IS 'The run it was done for.';
COMMENT ON COLUMN recovery_actions.pattern_id IS 'The error pattern it answers, where there is one.';
COMMENT ON COLUMN recovery_actions.error_type IS 'Classification of the error it answers.';
COMMENT ON COLUMN recovery_actions.action IS 'What was done: retry, fallback, quarantine, resume, escalate, …';
COMMENT ON COLUMN recovery_actions.outcome IS 'Whether it helped; NULL while nobody knows.';
COMMENT ON COLUMN recovery_actions.attempts IS 'How many attempts it took.';
COMMENT ON COLUMN recovery_actions.details IS 'What else is known, by name.';
COMMENT ON COLUMN recovery_actions.taken_at IS 'When it was recorded.';
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
COMMENT ON COLUMN audit_log.audit_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN audit_log.actor IS 'Who did it.';
COMMENT ON COLUMN audit_log.action IS 'What was done.';
COMMENT ON COLUMN audit_log.subject IS 'To what it was done.';
COMMENT ON COLUMN audit_log.reason IS 'Why, in the actor''s words.';
COMMENT ON COLUMN audit_log.details IS 'What else is known, by name.';
COMMENT ON COLUMN audit_log.acted_at IS 'When it was recorded.';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (1, '0001_pre_initial',
    '1a1ded602f8251fb8e92588907e708e5df95319bb29904e46da95059517de4c8',
    '0.1.0');

-- 0002_pre_circuit_breaker_fleet

-- Circuit breakers shared by the fleet. The row in circuit_breaker_states is what all workers go by;
-- whoever changes it locks it first, and tells the others by NOTIFY at its commit. Times are of this
-- server's clock, and travel as seconds that remain.

ALTER TABLE circuit_breaker_states
    DROP CONSTRAINT circuit_breaker_states_state_check,
    ADD CONSTRAINT circuit_breaker_states_state_check CHECK (
        state IN ('closed', 'open', 'half_open', 'forced_open', 'disabled', 'metrics_only')
    ),
    DROP COLUMN permits,
    DROP COLUMN votes,
    DROP COLUMN options,
    ADD COLUMN reason text;
COMMENT ON COLUMN circuit_breaker_states.reason IS 'What made it enter its state.';

CREATE TABLE circuit_breaker_votes (
    service_name text NOT NULL,
    worker_id text NOT NULL,
    epoch bigint NOT NULL,
    call_count int NOT NULL CHECK (call_count >= 0),
    failure_count int NOT NULL CHECK (failure_count >= 0),
    slow_count int NOT NULL CHECK (slow_count >= 0),
    called_at timestamptz NOT NULL,
    PRIMARY KEY (service_name, worker_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE circuit_breaker_votes IS 'What each worker sees of a service: its own window of calls, a row each.';
COMMENT ON COLUMN circuit_breaker_votes.service_name IS 'The breaker''s name.';
COMMENT ON COLUMN circuit_breaker_votes.worker_id IS 'The worker: host, process id and a random part.';
COMMENT ON COLUMN circuit_breaker_votes.epoch IS 'The state that its counts belong to; those of an older one count nothing.';
COMMENT ON COLUMN circuit_breaker_votes.call_count IS 'Calls in its window.';
COMMENT ON COLUMN circuit_breaker_votes.failure_count IS 'Failed ones among them.';
COMMENT ON COLUMN circuit_breaker_votes.slow_count IS 'Slow ones among them.';
COMMENT ON COLUMN circuit_breaker_votes.called_at IS 'When it last called the service, or joined.';

CREATE TABLE circuit_breaker_permits (
    permit_id uuid PRIMARY KEY,
    service_name text NOT NULL,
    worker_id text NOT NULL,
    epoch bigint NOT NULL,
    lease_until timestamptz NOT NULL
);
COMMENT ON TABLE circuit_breaker_permits IS 'Trial calls under way in half-open.';
COMMENT ON COLUMN circuit_breaker_permits.permit_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN circuit_breaker_permits.service_name IS 'The breaker''s name.';
COMMENT ON COLUMN circuit_breaker_permits.worker_id IS 'The worker that makes the call.';
COMMENT ON COLUMN circuit_breaker_permits.epoch IS 'The half-open state that it belongs to.';
COMMENT ON COLUMN circuit_breaker_permits.lease_until IS 'When it may be given to another; its worker renews it while it lives.';
CREATE INDEX circuit_breaker_permits_service ON circuit_breaker_permits (service_name);

-- A state as the workers read it.
CREATE FUNCTION circuit_breaker_message(s circuit_breaker_states) RETURNS json
LANGUAGE sql VOLATILE SET search_path FROM CURRENT AS $$
    SELECT json_build_object(
        'schema', current_schema(),
        'service_name', s.service_name,
        'state', s.state,
        'epoch', s.epoch,
        'open_seconds', CASE WHEN s.state = 'open' THEN
            greatest(0, extract(epoch FROM s.open_until - clock_timestamp())) ELSE 0 END,
        'reason', left(s.reason, 200)
    );
$$;

-- Enter a state: the one place where an epoch grows. The caller holds the row.
CREATE FUNCTION circuit_breaker_enter(
    service text, new_state text, seconds float8, why text
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states;
    opens boolean := new_state = 'open';
BEGIN
    UPDATE circuit_breaker_states b
    SET state = new_state,
        epoch = b.epoch + 1,
        opened_count = CASE WHEN opens THEN b.opened_count + 1
                            WHEN new_state = 'half_open' THEN b.opened_count ELSE 0 END,
        opened_at = CASE WHEN opens THEN clock_timestamp() ELSE b.opened_at END,
        open_until = CASE WHEN opens THEN clock_timestamp() + make_interval(secs => seconds)
                          WHEN new_state = 'half_open' THEN b.open_until END,
        reason = why,
        updated_at = clock_timestamp()
    WHERE b.service_name = service
    RETURNING * INTO STRICT s;
    DELETE FROM circuit_breaker_permits p WHERE p.service_name = service;
    PERFORM pg_notify('seawall_circuit_breakers', circuit_breaker_message(s)::text);
    RETURN circuit_breaker_message(s);
END $$;

-- The row of a breaker, locked; made where there is none.
CREATE FUNCTION circuit_breaker_locked(service text) RETURNS circuit_breaker_states
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states;
BEGIN
    SELECT * INTO s FROM circuit_breaker_states b WHERE b.service_name = service FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO circuit_breaker_states (service_name) VALUES (service) ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT s
        FROM circuit_breaker_states b WHERE b.service_name = service FOR UPDATE;
    END IF;
    RETURN s;
END $$;

-- Seconds of the next break: grown by the openings so far, up to a cap, spread at random.
CREATE FUNCTION circuit_breaker_break(opened_count int, rule jsonb) RETURNS float8
LANGUAGE sql IMMUTABLE AS $$
    SELECT least(
        -- An exponent that would overflow is far past any cap.
        (rule->>'timeout')::float8
            * exp(least(500, opened_count * ln((rule->>'timeout_factor')::float8))),
        greatest((rule->>'timeout')::float8, (rule->>'max_timeout')::float8)
    ) * (rule->>'spread')::float8;
$$;

-- Whether the fleet's counts open a breaker: enough failures, seen by enough workers. Those that
-- called the service lately are asked; where fewer did than the quorum, all of them must agree.
CREATE FUNCTION circuit_breaker_must_open(
    service text, now_epoch bigint, rule jsonb
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $$
DECLARE
    calls bigint;
    failures bigint;
    slow bigint;
    failing bigint;
    callers bigint;
BEGIN
    SELECT coalesce(sum(v.call_count) FILTER (WHERE v.epoch = now_epoch), 0),
           coalesce(sum(v.failure_count) FILTER (WHERE v.epoch = now_epoch), 0),
           coalesce(sum(v.slow_count) FILTER (WHERE v.epoch = now_epoch), 0),
           count(*) FILTER (WHERE v.epoch = now_epoch AND v.failure_count + v.slow_count > 0),
           count(*)
    INTO calls, failures, slow, failing, callers
    FROM circuit_breaker_votes v
    WHERE v.service_name = service
      AND v.called_at > clock_timestamp() - make_interval(secs => (rule->>'live_seconds')::float8);
    IF failing < least((rule->>'quorum')::bigint, callers) THEN
        RETURN false;
    END IF;
    IF rule->>'failure_rate' IS NULL THEN
        RETURN failures >= (rule->>'failure_threshold')::bigint;
    END IF;
    RETURN calls >= (rule->>'minimum_calls')::bigint AND (
        100 * failures >= (rule->>'failure_rate')::float8 * calls
        OR coalesce(100 * slow >= (rule->>'slow_rate')::float8 * calls, false)
    );
END $$;

-- Keep what one worker sees.
CREATE FUNCTION circuit_breaker_keep_vote(
    service text, worker text, seen_epoch bigint, calls int, failures int, slow int, called boolean
) RETURNS void
LANGUAGE sql VOLATILE SET search_path FROM CURRENT AS $$
    INSERT INTO circuit_breaker_votes AS v
        (service_name, worker_id, epoch, call_count, failure_count, slow_count, called_at)
    VALUES (service, worker, seen_epoch, calls, failures, slow, clock_timestamp())
    ON CONFLICT (service_name, worker_id) DO UPDATE
    SET epoch = excluded.epoch,
        call_count = excluded.call_count,
        failure_count = excluded.failure_count,
        slow_count = excluded.slow_count,
        called_at = CASE WHEN called THEN excluded.called_at ELSE v.called_at END;
$$;

-- A worker's own failures have changed: keep them, and open the breaker where that is enough.
CREATE FUNCTION circuit_breaker_vote(
    service text, worker text, seen_epoch bigint, calls int, failures int, slow int, rule jsonb,
    why text
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states := circuit_breaker_locked(service);
BEGIN
    PERFORM circuit_breaker_keep_vote(service, worker, seen_epoch, calls, failures, slow, true);
    IF s.state = 'closed' AND s.epoch = seen_epoch AND failures + slow > 0
        AND circuit_breaker_must_open(service, s.epoch, rule)
    THEN
        RETURN circuit_breaker_enter(service, 'open', circuit_breaker_break(s.opened_count, rule), why);
    END IF;
    RETURN circuit_breaker_message(s);
END $$;

-- A permit for one trial call of the whole fleet, or the seconds after which to ask again.
CREATE FUNCTION circuit_breaker_claim(
    service text, worker text, permit uuid, permitted int, lease float8
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states := circuit_breaker_locked(service);
    message json;
    wait float8;
BEGIN
    IF s.state NOT IN ('open', 'half_open') THEN
        RETURN json_build_object('state', circuit_breaker_message(s), 'wait', 0);
    END IF;
    wait := extract(epoch FROM s.open_until - clock_timestamp());
    IF s.state = 'open' AND wait > 0 THEN
        RETURN json_build_object('state', circuit_breaker_message(s), 'wait', wait);
    END IF;
    DELETE FROM circuit_breaker_permits p
    WHERE p.service_name = service AND p.lease_until <= clock_timestamp();
    SELECT extract(epoch FROM min(p.lease_until) - clock_timestamp()) INTO wait
    FROM circuit_breaker_permits p WHERE p.service_name = service HAVING count(*) >= permitted;
    IF FOUND THEN
        RETURN json_build_object('state', circuit_breaker_message(s), 'wait', greatest(0, wait));
    END IF;
    message := circuit_breaker_message(s);
    IF s.state = 'open' THEN
        message := circuit_breaker_enter(service, 'half_open', 0, 'its time open has passed');
    END IF;
    INSERT INTO circuit_breaker_permits (permit_id, service_name, worker_id, epoch, lease_until)
    VALUES (
        permit, service, worker, (message->>'epoch')::bigint,
        clock_timestamp() + make_interval(secs => lease)
    );
    RETURN json_build_object('state', message, 'granted', true);
END $$;

-- How a trial call ended. Only the holder of a permit that has not run out decides anything.
CREATE FUNCTION circuit_breaker_settle(
    service text, permit uuid, verdict text, rule jsonb, why text
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states := circuit_breaker_locked(service);
    in_time boolean;
BEGIN
    DELETE FROM circuit_breaker_permits p
    WHERE p.permit_id = permit AND p.epoch = s.epoch
    RETURNING p.lease_until > clock_timestamp() INTO in_time;
    IF s.state = 'half_open' AND in_time THEN
        IF verdict = 'succeeded' THEN
            RETURN circuit_breaker_enter(service, 'closed', 0, why);
        ELSIF verdict = 'failed' THEN
            RETURN circuit_breaker_enter(
                service, 'open', circuit_breaker_break(s.opened_count, rule), why
            );
        END IF;
    END IF;
    IF in_time IS NOT NULL THEN  -- a permit is free
        PERFORM pg_notify('seawall_circuit_breakers', circuit_breaker_message(s)::text);
    END IF;
    RETURN circuit_breaker_message(s);
END $$;

-- An operator's will.
CREATE FUNCTION circuit_breaker_force(
    service text, new_state text, seconds float8, why text
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM circuit_breaker_locked(service);
    RETURN circuit_breaker_enter(service, new_state, seconds, why);
END $$;

-- What a worker sees of all its services, and the state of all that there are.
CREATE FUNCTION circuit_breaker_sync(
    worker text, reports jsonb, forget_seconds float8
) RETURNS SETOF json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO circuit_breaker_states (service_name)
    SELECT r->>'service_name' FROM jsonb_array_elements(reports) r ORDER BY 1
    ON CONFLICT DO NOTHING;
    PERFORM circuit_breaker_keep_vote(
        r->>'service_name', worker, (r->>'epoch')::bigint, (r->>'calls')::int,
        (r->>'failures')::int, (r->>'slow')::int, (r->>'called')::boolean
    ) FROM jsonb_array_elements(reports) r;
    DELETE FROM circuit_breaker_votes v
    WHERE (v.service_name, v.worker_id) IN (
        SELECT o.service_name, o.worker_id FROM circuit_breaker_votes o
        WHERE o.called_at < clock_timestamp() - make_interval(secs => forget_seconds)
          AND o.worker_id <> worker
        FOR UPDATE SKIP LOCKED
    );
    RETURN QUERY SELECT circuit_breaker_message(s) FROM circuit_breaker_states s;
END $$;

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (2, '0002_pre_circuit_breaker_fleet',
    '7252908597f73a1a6328b6e1a0f3d3dc4b2de3b7105d1f629a4a1b68c1e6a02c',
    '0.1.0');

-- 0003_pre_fleet_tokens

-- Tokens of the fleet's rate limiters and retry budgets. Workers take them in slices, ahead of need,
-- so that no call waits for the database. Times are of this server's clock.

CREATE TABLE fleet_tokens (
    kind text NOT NULL CHECK (kind IN ('rate_limiter', 'retry_budget')),
    name text NOT NULL,
    tokens float8 NOT NULL CHECK (tokens >= 0),
    refilled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 70);
COMMENT ON TABLE fleet_tokens IS 'What the fleet may still spend, a row a rate limiter or retry budget.';
COMMENT ON COLUMN fleet_tokens.kind IS 'rate_limiter: filled by time; retry_budget: filled by successes.';
COMMENT ON COLUMN fleet_tokens.name IS 'Its name, the same in every worker.';
COMMENT ON COLUMN fleet_tokens.tokens IS 'Left, those that workers hold not included (a budget: all).';
COMMENT ON COLUMN fleet_tokens.refilled_at IS 'When time was last turned into tokens.';

CREATE TABLE fleet_token_holders (
    kind text NOT NULL,
    name text NOT NULL,
    worker_id text NOT NULL,
    held float8 NOT NULL DEFAULT 0 CHECK (held >= 0),
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (kind, name, worker_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE fleet_token_holders IS 'The workers among which tokens are shared.';
COMMENT ON COLUMN fleet_token_holders.kind IS 'rate_limiter or retry_budget.';
COMMENT ON COLUMN fleet_token_holders.name IS 'Its name.';
COMMENT ON COLUMN fleet_token_holders.worker_id IS 'The worker: host, process id and a random part.';
COMMENT ON COLUMN fleet_token_holders.held IS 'Tokens that it has not said it spent; a budget: unused.';
COMMENT ON COLUMN fleet_token_holders.seen_at IS 'When it last asked.';

-- One worker's exchange: for each request it gets tokens, the seconds until there are more, and how
-- many workers share them. A limiter's request says how many it wants (below 0: gives back), how
-- many it holds and how many calls wait, which spend theirs at once; a budget's what was spent (below
-- 0) and given back since the last exchange.
--
-- A limiter's tokens and those that workers hold are never more than its capacity together, so that
-- the fleet's calls in any T seconds are no more than capacity + per_second * T.
CREATE FUNCTION fleet_tokens_exchange(
    worker text, requests jsonb, live_seconds float8
) RETURNS SETOF json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    r record;
    t fleet_tokens;
    this_moment timestamptz;
    left_over float8;
    room float8;
    share float8;
    granted float8;
    others bigint;
    held_by_others float8;
BEGIN
    FOR r IN
        SELECT q.*, worker || '/' || q.part AS holder FROM jsonb_to_recordset(requests) AS q(
            kind text, name text, part int, capacity float8, per_second float8, amount float8,
            held float8, waiting float8, leaving boolean
        ) ORDER BY q.kind, q.name, q.part  -- all workers lock the rows in the same order
    LOOP
        INSERT INTO fleet_tokens (kind, name, tokens) VALUES (r.kind, r.name, r.capacity)
        ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT t FROM fleet_tokens f
        WHERE f.kind = r.kind AND f.name = r.name FOR UPDATE;
        this_moment := clock_timestamp();  -- after the wait for the row
        DELETE FROM fleet_token_holders h
        WHERE h.kind = r.kind AND h.name = r.name
          AND (h.worker_id = r.holder
               OR h.seen_at < this_moment - make_interval(secs => live_seconds));
        SELECT count(*), coalesce(sum(h.held), 0) INTO others, held_by_others
        FROM fleet_token_holders h WHERE h.kind = r.kind AND h.name = r.name;
        IF r.kind = 'rate_limiter' THEN
            room := greatest(0, r.capacity - held_by_others - r.held);
            left_over := t.tokens + greatest(0, -r.amount)
                + r.per_second * greatest(0, extract(epoch FROM this_moment - t.refilled_at));
            left_over := least(room, left_over);
            granted := floor(least(greatest(0, r.amount), left_over) + 1e-9);
            left_over := greatest(0, left_over - granted);
        ELSE
            left_over := least(r.capacity, greatest(0, t.tokens + r.amount));
            share := left_over / (others + 1);
            -- Too few for a whole one each: drawn by lot, so that the fleet can use them.
            granted := CASE WHEN share >= 1 THEN share WHEN random() < share THEN 1 ELSE 0 END;
        END IF;
        IF NOT r.leaving THEN
            INSERT INTO fleet_token_holders (kind, name, worker_id, held, seen_at)
            VALUES (r.kind, r.name, r.holder,
                    CASE WHEN r.kind = 'rate_limiter'
                         THEN greatest(0, r.held + granted - r.waiting) ELSE 0 END, this_moment);
        END IF;
        UPDATE fleet_tokens f SET tokens = left_over, refilled_at = this_moment
        WHERE f.kind = r.kind AND f.name = r.name;
        RETURN NEXT json_build_object(
            'kind', r.kind, 'name', r.name, 'part', r.part,
            'granted', granted, 'left', left_over, 'holders', others + 1,
            'wait', CASE WHEN r.kind = 'rate_limiter' AND left_over < 1
                         THEN (1 - left_over) / r.per_second ELSE 0 END
        );
    END LOOP;
END $$;

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (3, '0003_pre_fleet_tokens',
    '8190b2a3e3c7074ec6080c1e1affc5c723d1bf7e249d6da5fd0d35d152653b35',
    '0.1.0');

-- 0004_pre_parking

-- Calls put aside until their service can take them, and taken up by any worker.

CREATE TABLE parked_calls (
    call_id uuid PRIMARY KEY,
    operation text NOT NULL CHECK (operation <> ''),
    arguments json NOT NULL,
    idempotency_key text,
    not_before timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'parked' CHECK (status IN ('parked', 'running', 'dead')),
    attempts int NOT NULL DEFAULT 0,
    lease_id uuid,
    lease_until timestamptz,
    worker_id text,
    error_type text,
    reason text,
    pipeline_id text,
    run_id text,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70);
COMMENT ON TABLE parked_calls IS 'Calls put aside, a row each until it has succeeded.';
COMMENT ON COLUMN parked_calls.call_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN parked_calls.operation IS 'The name under which workers have registered it.';
COMMENT ON COLUMN parked_calls.arguments IS 'Positional arguments and keywords, in the codec''s form.';
COMMENT ON COLUMN parked_calls.idempotency_key IS 'The same call parked again under it is this row.';
COMMENT ON COLUMN parked_calls.not_before IS 'When it may be taken up.';
COMMENT ON COLUMN parked_calls.status IS 'parked, running (until its lease ends), or dead: given up.';
COMMENT ON COLUMN parked_calls.attempts IS 'How often a worker has taken it up.';
COMMENT ON COLUMN parked_calls.lease_id IS 'The taking that is under way: only its holder reports.';
COMMENT ON COLUMN parked_calls.lease_until IS 'When another worker may take it; renewed while it runs.';
COMMENT ON COLUMN parked_calls.worker_id IS 'The worker that took it up last.';
COMMENT ON COLUMN parked_calls.error_type IS 'Classification of its last failure.';
COMMENT ON COLUMN parked_calls.reason IS 'Its last failure, secrets masked.';
COMMENT ON COLUMN parked_calls.pipeline_id IS 'The pipeline in whose scope it was parked.';
COMMENT ON COLUMN parked_calls.run_id IS 'The run in whose scope it was parked.';
COMMENT ON COLUMN parked_calls.parked_at IS 'When it was parked first.';
COMMENT ON COLUMN parked_calls.updated_at IS 'Last change.';
CREATE UNIQUE INDEX parked_calls_key ON parked_calls (operation, idempotency_key);
CREATE INDEX parked_calls_due ON parked_calls (operation, not_before) WHERE status <> 'dead';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (4, '0004_pre_parking',
    '64d3fc8315e28d99ce23343962519527493322ffdf69f20151cdce552dc74eb6',
    '0.1.0');

-- 0005_pre_leases

-- Leases of checkpoints, batches that end in any order, the state of sinks, history.

CREATE TABLE checkpoint_leases (
    checkpoint_id uuid PRIMARY KEY REFERENCES checkpoints ON DELETE CASCADE,
    fence bigint NOT NULL,
    owner text NOT NULL,
    process text,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 70);  -- renewed again and again on the same page (HOT)
COMMENT ON TABLE checkpoint_leases IS 'Which worker has an open step, and until when it may be silent; beside checkpoints, so that renewing one never waits for a batch.';
COMMENT ON COLUMN checkpoint_leases.checkpoint_id IS 'The step''s checkpoint; goes with it.';
COMMENT ON COLUMN checkpoint_leases.fence IS 'The fence that the lease was taken with.';
COMMENT ON COLUMN checkpoint_leases.owner IS 'host:pid of the worker, for people.';
COMMENT ON COLUMN checkpoint_leases.process IS 'The same so that another process on its machine can tell whether it lives.';
COMMENT ON COLUMN checkpoint_leases.lease_until IS 'When it may be taken by another; one that is past was left by a worker that vanished.';

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

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (5, '0005_pre_leases',
    '1e5225df0eaa3aa048c3df015ef9f19a538f7f77b394a7b3a4f9652417a684e2',
    '0.1.0');

-- 0006_pre_quarantine_outcomes

-- Outcomes of quarantined records: their words, edits, purges, and figures of how they grow.

-- A record that waits is pending. None is marked as taken: its row lock says so.
ALTER TABLE quarantined_records DROP CONSTRAINT quarantined_records_status_check;
UPDATE quarantined_records SET status = 'pending' WHERE status IN ('quarantined', 'reprocessing');
ALTER TABLE quarantined_records ALTER COLUMN status SET DEFAULT 'pending';
ALTER TABLE quarantined_records ADD CONSTRAINT quarantined_records_status_check
    CHECK (status IN ('pending', 'reprocessed', 'failed', 'discarded'));
COMMENT ON COLUMN quarantined_records.status IS 'pending; reprocessed, failed, discarded: its outcome. A failed one can be tried again.';

-- Pages of a run's records come in the order of the key. A bad row costs no more than with
-- (run_id, step): 5.0 and 5.1 us, of which this index is 0.9.
DROP INDEX quarantined_records_run;
CREATE INDEX quarantined_records_run ON quarantined_records (run_id, record_id);

-- Checking the reference of each attempt was a quarter of a reprocessing's time (41 us a record, 31
-- without). The trigger on deletion below takes a record's attempts with it.
ALTER TABLE quarantine_attempts DROP CONSTRAINT quarantine_attempts_record_id_fkey;
ALTER TABLE quarantine_attempts ADD COLUMN sqlstate text;
COMMENT ON COLUMN quarantine_attempts.sqlstate IS 'The server''s code, where a database raised the error.';

CREATE TABLE quarantine_edits (
    edit_id uuid PRIMARY KEY,
    record_id uuid NOT NULL REFERENCES quarantined_records ON DELETE CASCADE,
    payload json NOT NULL,
    redacted boolean NOT NULL,
    actor text NOT NULL,
    why text NOT NULL,
    edited_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE quarantine_edits IS 'Payloads as they were before somebody edited them.';
COMMENT ON COLUMN quarantine_edits.edit_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN quarantine_edits.record_id IS 'The record that was edited; goes with it.';
COMMENT ON COLUMN quarantine_edits.payload IS 'The payload before the edit, stored as the record''s own is.';
COMMENT ON COLUMN quarantine_edits.redacted IS 'Whether that payload was stored masked.';
COMMENT ON COLUMN quarantine_edits.actor IS 'Who edited it.';
COMMENT ON COLUMN quarantine_edits.why IS 'Why, in the actor''s words.';
COMMENT ON COLUMN quarantine_edits.edited_at IS 'When it was edited.';
CREATE INDEX quarantine_edits_record ON quarantine_edits (record_id);

CREATE TABLE quarantine_purges (
    purge_id uuid PRIMARY KEY,
    actor text NOT NULL,
    which json NOT NULL,
    settled_before timestamptz NOT NULL,
    records bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
COMMENT ON TABLE quarantine_purges IS 'Deletions of settled records: who, when, which, how many.';
COMMENT ON COLUMN quarantine_purges.purge_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN quarantine_purges.actor IS 'Who ran it: a person, or the worker''s host:pid.';
COMMENT ON COLUMN quarantine_purges.which IS 'What was asked for: the filter, without what it left open.';
COMMENT ON COLUMN quarantine_purges.settled_before IS 'Records settled later were kept.';
COMMENT ON COLUMN quarantine_purges.records IS 'Records deleted so far; grows in the transaction that deletes them.';
COMMENT ON COLUMN quarantine_purges.started_at IS 'When it began.';
COMMENT ON COLUMN quarantine_purges.ended_at IS 'When it was done; NULL where it was cut off.';

-- Figures of growth come from here, so that reading them costs the same however many records there
-- are, and old days stay when their records are purged. Rows are only added by the triggers below
-- (a counter a day would be one row that all workers wait for) and folded by whoever reads them.
CREATE TABLE quarantine_counts (
    pipeline_id text NOT NULL,
    counted_on date NOT NULL,
    set_aside_on date NOT NULL,
    reason text NOT NULL,
    set_aside bigint NOT NULL,
    settled bigint NOT NULL
);
COMMENT ON TABLE quarantine_counts IS 'Records set aside and settled, to be summed: several rows may stand for one day.';
COMMENT ON COLUMN quarantine_counts.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN quarantine_counts.counted_on IS 'The day (UTC) on which this happened.';
COMMENT ON COLUMN quarantine_counts.set_aside_on IS 'The day (UTC) on which the records were set aside.';
COMMENT ON COLUMN quarantine_counts.reason IS 'Why they were set aside: the first 200 characters.';
COMMENT ON COLUMN quarantine_counts.set_aside IS 'Records set aside.';
COMMENT ON COLUMN quarantine_counts.settled IS 'Records reprocessed, discarded, or deleted while open; less those opened again.';
CREATE INDEX quarantine_counts_pipeline ON quarantine_counts (pipeline_id, counted_on);
INSERT INTO quarantine_counts
SELECT pipeline_id, (quarantined_at AT TIME ZONE 'UTC')::date,
       (quarantined_at AT TIME ZONE 'UTC')::date, left(reason, 200), count(*),
       count(*) FILTER (WHERE status IN ('reprocessed', 'discarded'))
FROM quarantined_records GROUP BY 1, 2, 3, 4;

-- Statement triggers: one more row a COPY and reason, 0.3 us a record.
CREATE FUNCTION quarantine_count_added() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO quarantine_counts
    SELECT pipeline_id, (quarantined_at AT TIME ZONE 'UTC')::date,
           (quarantined_at AT TIME ZONE 'UTC')::date, left(reason, 200), records, settled
    FROM (
        SELECT pipeline_id, reason, quarantined_at, count(*) AS records,
               count(*) FILTER (WHERE status IN ('reprocessed', 'discarded')) AS settled
        FROM added GROUP BY pipeline_id, reason, quarantined_at
    ) AS grouped;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_count_added AFTER INSERT ON quarantined_records
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_count_added();

CREATE FUNCTION quarantine_count_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO quarantine_counts
    SELECT pipeline_id, (clock_timestamp() AT TIME ZONE 'UTC')::date,
           (quarantined_at AT TIME ZONE 'UTC')::date, left(reason, 200), 0, sum(settled)
    FROM (
        SELECT pipeline_id, quarantined_at, reason, count(*) AS settled FROM after_it
        WHERE status IN ('reprocessed', 'discarded') GROUP BY 1, 2, 3
        UNION ALL
        SELECT pipeline_id, quarantined_at, reason, -count(*) FROM before_it
        WHERE status IN ('reprocessed', 'discarded') GROUP BY 1, 2, 3
    ) AS changed
    GROUP BY 1, 3, 4 HAVING sum(settled) <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_count_changed AFTER UPDATE ON quarantined_records
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_count_changed();

CREATE FUNCTION quarantine_records_removed() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO quarantine_counts
    SELECT pipeline_id, (clock_timestamp() AT TIME ZONE 'UTC')::date,
           (quarantined_at AT TIME ZONE 'UTC')::date, left(reason, 200), 0, count(*)
    FROM removed WHERE status IN ('pending', 'failed')
    GROUP BY 1, 3, 4;
    DELETE FROM quarantine_attempts a USING removed r WHERE a.record_id = r.record_id;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_records_removed AFTER DELETE ON quarantined_records
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_records_removed();

CREATE FUNCTION quarantine_records_emptied() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    TRUNCATE quarantine_counts, quarantine_attempts;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_records_emptied AFTER TRUNCATE ON quarantined_records
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_records_emptied();

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (6, '0006_pre_quarantine_outcomes',
    'bda32dd63bba9cb67510f05a06da9780945f2ed5864184a51ccc0c7355add9f5',
    '0.1.0');

-- 0007_pre_quarantine_payloads

-- Payloads of quarantined records: compressed, encrypted, in pieces.

ALTER TABLE quarantined_records
    ALTER COLUMN payload DROP NOT NULL,
    ADD COLUMN sealed bytea,
    ADD COLUMN key_id text,
    ADD CONSTRAINT quarantined_records_one_payload CHECK (num_nonnulls(payload, sealed) = 1);
-- It is compressed or encrypted already: the server's own try at it would be for nothing.
ALTER TABLE quarantined_records ALTER COLUMN sealed SET STORAGE EXTERNAL;
COMMENT ON COLUMN quarantined_records.payload IS 'The record, in seawall''s JSON with tags for what JSON lacks; NULL where it is sealed.';
COMMENT ON COLUMN quarantined_records.sealed IS 'The record compressed, encrypted or both: two bytes (version, how), then the data; or where its pieces are.';
COMMENT ON COLUMN quarantined_records.key_id IS 'The key that it is encrypted with; NULL where it is not encrypted.';
COMMENT ON COLUMN quarantined_records.reasons IS 'Every fault found, with the offending values; NULL where these are encrypted with the record.';

ALTER TABLE quarantine_edits
    ALTER COLUMN payload DROP NOT NULL,
    ADD COLUMN sealed bytea,
    ADD COLUMN key_id text,
    ADD CONSTRAINT quarantine_edits_one_payload CHECK (num_nonnulls(payload, sealed) = 1);
ALTER TABLE quarantine_edits ALTER COLUMN sealed SET STORAGE EXTERNAL;
COMMENT ON COLUMN quarantine_edits.sealed IS 'The payload before the edit, where it was sealed; whole, never in pieces.';
COMMENT ON COLUMN quarantine_edits.key_id IS 'The key that it is encrypted with; NULL where it is not encrypted.';

CREATE TABLE quarantine_payload_chunks (
    record_id uuid NOT NULL REFERENCES quarantined_records ON DELETE CASCADE,
    chunk int NOT NULL CHECK (chunk >= 0),
    data bytea NOT NULL,
    PRIMARY KEY (record_id, chunk)
);
ALTER TABLE quarantine_payload_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE quarantine_payload_chunks IS 'What is too large for one field: the sealed payload in pieces.';
COMMENT ON COLUMN quarantine_payload_chunks.record_id IS 'The record whose payload it is; goes with it.';
COMMENT ON COLUMN quarantine_payload_chunks.chunk IS 'Place of the piece, from 0.';
COMMENT ON COLUMN quarantine_payload_chunks.data IS 'The piece.';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (7, '0007_pre_quarantine_payloads',
    '2f95670f6e41d5bba8513bf1892da709be1ceb95fbe49ca626d5057bd2394f8a',
    '0.1.0');

-- 0008_pre_steps_outbox

-- Who is in a run, the steps of a run, and messages that commit with a batch. Times are of this
-- server's clock.

ALTER TABLE runs ADD COLUMN outcome text
    CHECK (outcome IN ('succeeded', 'failed', 'cancelled'));
ALTER TABLE runs ADD COLUMN outcome_entered_at timestamptz;
COMMENT ON COLUMN runs.outcome_entered_at IS 'When the worker entered that came last of those which have ended: it took up what others had left.';
COMMENT ON COLUMN runs.outcome IS 'The worst end of a worker in it since one entered last; its status once none is left.';

CREATE TABLE run_workers (
    worker_id uuid PRIMARY KEY,
    run_id text NOT NULL REFERENCES runs ON DELETE CASCADE,
    lease_until timestamptz NOT NULL,
    host text NOT NULL,
    pid int NOT NULL,
    process text NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70);
COMMENT ON TABLE run_workers IS 'Who is in a run now, a row each: deleted when it leaves, or when its lease ended.';
COMMENT ON COLUMN run_workers.worker_id IS 'Key, a UUIDv7 made by the client: one entering of the run.';
COMMENT ON COLUMN run_workers.run_id IS 'The run that it is in; goes with it.';
COMMENT ON COLUMN run_workers.lease_until IS 'Until when it may be silent; then it has vanished.';
COMMENT ON COLUMN run_workers.host IS 'Host of the worker.';
COMMENT ON COLUMN run_workers.pid IS 'Process id of the worker.';
COMMENT ON COLUMN run_workers.process IS 'The worker''s process, so that another on its machine can tell whether it lives.';
COMMENT ON COLUMN run_workers.entered_at IS 'When it entered.';
COMMENT ON COLUMN run_workers.renewed_at IS 'Its last sign of life.';
CREATE INDEX run_workers_run ON run_workers (run_id);

CREATE TABLE run_steps (
    run_id text NOT NULL REFERENCES runs ON DELETE CASCADE,
    step text NOT NULL CHECK (step <> ''),
    status text NOT NULL CHECK (status IN ('running', 'waiting', 'failed', 'done')),
    result json,
    function text NOT NULL,
    arguments_digest text,
    attempts int NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 1,
    owner text,
    lease_until timestamptz,
    error_type text,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, step)
) WITH (fillfactor = 70);
COMMENT ON TABLE run_steps IS 'Functions that a run calls once, and what they gave.';
COMMENT ON COLUMN run_steps.run_id IS 'The run; goes with it.';
COMMENT ON COLUMN run_steps.step IS 'The step''s name, unique in its run.';
COMMENT ON COLUMN run_steps.status IS 'running (until its lease ends), waiting to be run, failed at last, or done: its result is kept.';
COMMENT ON COLUMN run_steps.result IS 'What the function gave, in the codec''s form; NULL until it is done.';
COMMENT ON COLUMN run_steps.function IS 'Module and name of the function that was called last.';
COMMENT ON COLUMN run_steps.arguments_digest IS 'Of its arguments: tells a step called with others; NULL where they can''t be compared.';
COMMENT ON COLUMN run_steps.attempts IS 'How often the function was called.';
COMMENT ON COLUMN run_steps.fence IS 'Fencing token: grows with every taking; a result under an older one is refused.';
COMMENT ON COLUMN run_steps.owner IS 'The worker that took it last.';
COMMENT ON COLUMN run_steps.lease_until IS 'Until when the owner may be silent; NULL while nobody runs it.';
COMMENT ON COLUMN run_steps.error_type IS 'Classification of its last failure.';
COMMENT ON COLUMN run_steps.error_message IS 'Its last failure, secrets masked.';
COMMENT ON COLUMN run_steps.created_at IS 'First taking.';
COMMENT ON COLUMN run_steps.updated_at IS 'Last change.';

-- A row is inserted, taken, begun and deleted within moments: room on the page, few indexes, and a
-- vacuum that comes by the number of dead rows whatever the table's size was once.
CREATE TABLE outbox_messages (
    message_id uuid PRIMARY KEY,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    topic text NOT NULL CHECK (topic <> ''),
    message_key text,
    idempotency_key text,
    payload json NOT NULL,
    headers json,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
    not_before timestamptz,
    attempts int NOT NULL DEFAULT 0,
    lease_id uuid,
    worker_id text,
    error_type text,
    reason text,
    pipeline_id text,
    run_id text,
    published_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE outbox_messages IS 'Messages committed with the work that they tell of, until they are delivered.';
COMMENT ON COLUMN outbox_messages.message_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN outbox_messages.sequence IS 'Order of the messages of one key.';
COMMENT ON COLUMN outbox_messages.topic IS 'Where it is to go: a relay''s handler takes topics.';
COMMENT ON COLUMN outbox_messages.message_key IS 'Messages of one key are delivered in order; NULL: in any.';
COMMENT ON COLUMN outbox_messages.idempotency_key IS 'The same message published again under it, while it is here, is this row.';
COMMENT ON COLUMN outbox_messages.payload IS 'What it says, in the codec''s form.';
COMMENT ON COLUMN outbox_messages.headers IS 'Names and texts beside the payload.';
COMMENT ON COLUMN outbox_messages.status IS 'pending, delivered (where these are kept for a while), or dead: given up.';
COMMENT ON COLUMN outbox_messages.not_before IS 'When it may be taken: the end of a relay''s lease, or of a wait after a failure; NULL: now.';
COMMENT ON COLUMN outbox_messages.attempts IS 'How often a handler has begun with it.';
COMMENT ON COLUMN outbox_messages.lease_id IS 'The taking that is under way: only its holder reports.';
COMMENT ON COLUMN outbox_messages.worker_id IS 'The worker that took it last.';
COMMENT ON COLUMN outbox_messages.error_type IS 'Classification of its last failure.';
COMMENT ON COLUMN outbox_messages.reason IS 'Its last failure, secrets masked.';
COMMENT ON COLUMN outbox_messages.pipeline_id IS 'The pipeline in whose scope it was published.';
COMMENT ON COLUMN outbox_messages.run_id IS 'The run in whose scope it was published.';
COMMENT ON COLUMN outbox_messages.published_at IS 'Start of the transaction that published it.';
COMMENT ON COLUMN outbox_messages.ended_at IS 'When it was delivered or given up.';
CREATE UNIQUE INDEX outbox_messages_idempotency
    ON outbox_messages (topic, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX outbox_messages_due ON outbox_messages (topic, sequence) WHERE status = 'pending';
CREATE INDEX outbox_messages_lane
    ON outbox_messages (topic, message_key, sequence)
    WHERE status = 'pending' AND message_key IS NOT NULL;
-- Those taken or told to wait: few, and the ones that hold back their keys.
CREATE INDEX outbox_messages_held
    ON outbox_messages (topic, not_before) WHERE status = 'pending' AND not_before IS NOT NULL;
CREATE INDEX outbox_messages_ended
    ON outbox_messages (ended_at) WHERE status <> 'pending';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (8, '0008_pre_steps_outbox',
    'a01ce748a5efb8a24f3165d79abc242a8706ac7ec695afedd99e0e961e0c62db',
    '0.1.0');

-- 0009_pre_learned_outcomes

-- What retries have shown of failures that no table knows: counts that every worker adds to.

CREATE TABLE learned_outcomes (
    operation text NOT NULL CHECK (operation <> ''),
    fingerprint text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{16}$'),
    day date NOT NULL,
    exception_type text NOT NULL,
    code text NOT NULL,
    template text NOT NULL,
    recovered bigint NOT NULL DEFAULT 0 CHECK (recovered >= 0),
    lasting bigint NOT NULL DEFAULT 0 CHECK (lasting >= 0),
    last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (operation, fingerprint, day)
) WITH (fillfactor = 70);
COMMENT ON TABLE learned_outcomes IS 'Outcomes of retried calls, a row for each failure and day; may be deleted to forget.';
COMMENT ON COLUMN learned_outcomes.operation IS 'The operation that failed.';
COMMENT ON COLUMN learned_outcomes.fingerprint IS 'Hash of type, code and template: the same on every worker.';
COMMENT ON COLUMN learned_outcomes.day IS 'Day of the outcomes, in UTC: old ones stop counting.';
COMMENT ON COLUMN learned_outcomes.exception_type IS 'Qualified name of the exception''s type.';
COMMENT ON COLUMN learned_outcomes.code IS 'Code that the exception carried; empty where none.';
COMMENT ON COLUMN learned_outcomes.template IS 'Its message without values, secrets masked.';
COMMENT ON COLUMN learned_outcomes.recovered IS 'Calls that failed so and succeeded on a retry.';
COMMENT ON COLUMN learned_outcomes.lasting IS 'Calls that failed so through all their retries; one in ten minutes from each worker.';
COMMENT ON COLUMN learned_outcomes.last_seen IS 'When the last of them was written.';
CREATE INDEX learned_outcomes_day ON learned_outcomes (day);

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (9, '0009_pre_learned_outcomes',
    'f1466dd5d395a67c6dba17d93b9d6280b7355d73a61869b55eec3f962058bf06',
    '0.1.0');

-- 0010_pre_background_jobs

-- Background work of the whole fleet: whoever claims a job that is due does it, under a lease.

CREATE TABLE background_jobs (
    job text PRIMARY KEY CHECK (job <> ''),
    due_at timestamptz NOT NULL DEFAULT '-infinity',
    owner text,
    lease_until timestamptz,
    last_started_at timestamptz,
    last_finished_at timestamptz,
    last_seconds double precision,
    last_error text,
    failure_count int NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
COMMENT ON TABLE background_jobs IS 'Background work of the fleet: a row each, claimed by one worker at a time.';
COMMENT ON COLUMN background_jobs.job IS 'Its name, the same in every worker.';
COMMENT ON COLUMN background_jobs.due_at IS 'When it is to be done next.';
COMMENT ON COLUMN background_jobs.owner IS 'The worker that does it now; NULL for none.';
COMMENT ON COLUMN background_jobs.lease_until IS 'Until when nobody else may claim it.';
COMMENT ON COLUMN background_jobs.last_started_at IS 'When it was claimed last.';
COMMENT ON COLUMN background_jobs.last_finished_at IS 'When it last ended well.';
COMMENT ON COLUMN background_jobs.last_seconds IS 'How long it took then.';
COMMENT ON COLUMN background_jobs.last_error IS 'Why it failed last, secrets masked; NULL after it ended well.';
COMMENT ON COLUMN background_jobs.failure_count IS 'Failures since it last ended well.';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (10, '0010_pre_background_jobs',
    'c098b2954657d61d16db72dc0bb4d43b9ec97222ec341be8ee05de8f7a67e6cc',
    '0.1.0');

-- 0011_pre_alerts

-- Alerts of the fleet: what fires now, who was told, and what is silenced.

CREATE TABLE alerts (
    alert_key text PRIMARY KEY CHECK (alert_key <> ''),
    rule text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    pipeline_id text,
    title text NOT NULL,
    message text NOT NULL,
    labels json NOT NULL,
    state text NOT NULL CHECK (state IN ('firing', 'resolving', 'resolved')),
    episode bigint NOT NULL DEFAULT 1,
    sequence bigint NOT NULL DEFAULT 0,
    count bigint NOT NULL DEFAULT 1,
    fired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    quiet_at timestamptz,
    resolved_at timestamptz,
    repeat_at timestamptz
);
COMMENT ON TABLE alerts IS 'What is or was wrong: a row for each thing that can be, over all its episodes.';
COMMENT ON COLUMN alerts.alert_key IS 'The same for the same thing on every worker: what is told once.';
COMMENT ON COLUMN alerts.rule IS 'The rule that found it.';
COMMENT ON COLUMN alerts.severity IS 'How bad it is.';
COMMENT ON COLUMN alerts.pipeline_id IS 'The pipeline that it is about, where there is one.';
COMMENT ON COLUMN alerts.title IS 'One line.';
COMMENT ON COLUMN alerts.message IS 'What happened and what to do, secrets masked.';
COMMENT ON COLUMN alerts.labels IS 'What silences and receivers match: service, step, host, …';
COMMENT ON COLUMN alerts.state IS 'firing; resolving: well again, but not for long enough to say so; resolved.';
COMMENT ON COLUMN alerts.episode IS 'Which time it fires.';
COMMENT ON COLUMN alerts.sequence IS 'The cause''s own order, such as a breaker''s epoch: an older message changes nothing.';
COMMENT ON COLUMN alerts.count IS 'How often it was seen in this episode.';
COMMENT ON COLUMN alerts.fired_at IS 'Begin of this episode.';
COMMENT ON COLUMN alerts.last_at IS 'When it was seen last.';
COMMENT ON COLUMN alerts.quiet_at IS 'When it counts as over: set by the all-clear, or in advance where none will come.';
COMMENT ON COLUMN alerts.resolved_at IS 'End of the episode.';
COMMENT ON COLUMN alerts.repeat_at IS 'When the receivers are told again, should it still fire.';
CREATE INDEX alerts_open ON alerts (quiet_at) WHERE state <> 'resolved';
CREATE INDEX alerts_last ON alerts (last_at DESC);

CREATE TABLE alert_notifications (
    notification_id uuid PRIMARY KEY,
    alert_key text NOT NULL REFERENCES alerts ON DELETE CASCADE,
    episode bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('firing', 'repeated', 'resolved')),
    receiver text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'silenced', 'given_up')),
    attempts int NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,
    owner text,
    lease_until timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz
);
COMMENT ON TABLE alert_notifications IS 'Who is told of what: kept until it is delivered.';
COMMENT ON COLUMN alert_notifications.notification_id IS 'Key, a UUIDv7: the receiver''s de-duplication key with the alert''s.';
COMMENT ON COLUMN alert_notifications.alert_key IS 'The alert.';
COMMENT ON COLUMN alert_notifications.episode IS 'Its episode.';
COMMENT ON COLUMN alert_notifications.kind IS 'What is told.';
COMMENT ON COLUMN alert_notifications.receiver IS 'Name of the receiver that it is for.';
COMMENT ON COLUMN alert_notifications.status IS 'pending; sent; silenced: not sent on purpose; given_up: after too many attempts.';
COMMENT ON COLUMN alert_notifications.attempts IS 'Deliveries begun.';
COMMENT ON COLUMN alert_notifications.due_at IS 'When it is to be sent.';
COMMENT ON COLUMN alert_notifications.owner IS 'The worker that is sending it.';
COMMENT ON COLUMN alert_notifications.lease_until IS 'Until when no other worker takes it.';
COMMENT ON COLUMN alert_notifications.last_error IS 'Why it failed last, secrets masked.';
COMMENT ON COLUMN alert_notifications.created_at IS 'When it was decided.';
COMMENT ON COLUMN alert_notifications.sent_at IS 'When it was delivered.';
CREATE INDEX alert_notifications_due ON alert_notifications (due_at) WHERE status = 'pending';
CREATE INDEX alert_notifications_alert ON alert_notifications (alert_key, episode);

CREATE TABLE alert_silences (
    silence_id uuid PRIMARY KEY,
    matchers jsonb NOT NULL CHECK (jsonb_typeof(matchers) = 'object'),
    starts_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL
);
COMMENT ON TABLE alert_silences IS 'Alerts that nobody is to be told of for a while.';
COMMENT ON COLUMN alert_silences.silence_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN alert_silences.matchers IS 'Label values that an alert must have; rule and pipeline_id count as labels.';
COMMENT ON COLUMN alert_silences.starts_at IS 'From when.';
COMMENT ON COLUMN alert_silences.ends_at IS 'Until when.';
COMMENT ON COLUMN alert_silences.actor IS 'Who silenced them.';
COMMENT ON COLUMN alert_silences.reason IS 'Why.';
CREATE INDEX alert_silences_ends ON alert_silences (ends_at);

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (11, '0011_pre_alerts',
    '05e4dfbf36c1f5f4f04e3a6a55bd6ef4a8268537efd35517360564cc57f73bd1',
    '0.1.0');

-- 0012_pre_roles

-- What a role that only writes can't do by itself, it does by these functions of the owner: as far
-- as they go, and no further. Each has a search path of its own, with temporary tables last, so that
-- nobody's table of the same name stands in the way.

-- The next partition, by name and month alone: its bounds are reckoned here.
CREATE FUNCTION make_partition(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    keys constant jsonb := '{"error_details": "error_id", "retry_attempts": "attempt_id",
                             "system_health": "sample_id"}';
    own text := current_schema();
    key text := keys ->> parent;
    first date := date_trunc('month', month)::date;
    child text := parent || to_char(first, '_YYYY_MM');
    from_key uuid := uuid7_floor(first);
    to_key uuid := uuid7_floor((first + interval '1 month')::date);
BEGIN
    IF key IS NULL THEN
        RAISE EXCEPTION 'make_partition: % is not one of %', parent, keys
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF first < date '2020-01-01' OR first >= date '2100-01-01' THEN
        RAISE EXCEPTION 'make_partition: % is out of range', month
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('seawall partitions ' || own, 0));
    IF to_regclass(format('%I.%I', own, child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- A writer on its way to the default partition would make the attaching fail, or be refused
    -- after it: its row belongs into the new one. Held off at the parent, it looks anew. Reads go on.
    EXECUTE format('LOCK TABLE ONLY %I.%I IN SHARE ROW EXCLUSIVE MODE', own, parent);
    -- Made aside and attached: creating it in place would lock out the readers too.
    EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                   own, child, own, parent);
    -- A row that the default partition has already would refuse the attaching.
    EXECUTE format(
        'WITH moved AS (DELETE FROM %I.%I WHERE %I >= %L AND %I < %L RETURNING *) '
        'INSERT INTO %I.%I SELECT * FROM moved',
        own, parent || '_default', key, from_key, key, to_key, own, child);
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                   own, parent, own, child, from_key, to_key);
    RETURN true;
END $$;
COMMENT ON FUNCTION make_partition IS 'Make the partition of a month, unless it is there; whether it was made.';

-- The smallest UUIDv7 of a day: a bound between partitions.
CREATE FUNCTION uuid7_floor(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0')
            || '70008000000000000000')::uuid
$$;
COMMENT ON FUNCTION uuid7_floor IS 'The smallest UUIDv7 of a day, in UTC.';

DO $$
DECLARE
    each text;
BEGIN
    FOREACH each IN ARRAY ARRAY[
        'make_partition(text, date)', 'quarantine_count_added()', 'quarantine_count_changed()',
        'quarantine_records_removed()', 'quarantine_records_emptied()'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp',
                       each, current_schema());
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION make_partition FROM PUBLIC;

-- What was done by hand stays as it was written down, whoever asks.
CREATE FUNCTION audit_log_refuses() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is only ever added to'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuses();
CREATE INDEX audit_log_acted ON audit_log (acted_at DESC);

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (12, '0012_pre_roles',
    'a8be3d03e565df9dc441294c044d2b4c1bb32b23842ffe2239d5dbe99a8c3045',
    '0.1.0');

-- 0013_pre_failure_analysis

-- Failure analysis: recent counts by five minutes, older ones by hour, and the changes told of.

-- Nothing has ever written it: times to recovery come from the runs themselves.
ALTER TABLE failure_analysis DROP COLUMN recovery_seconds;
COMMENT ON TABLE failure_analysis IS 'Ends of work by hour and attribute, folded from failure_slots when a day old.';
COMMENT ON COLUMN failure_analysis.hour IS 'Start of the hour; of the day, in UTC, for single values after the eighth day.';
COMMENT ON COLUMN failure_analysis.dimension IS 'The attribute: total, run, step, host, release, partition, error_type, exception, operation, or a pair.';
COMMENT ON COLUMN failure_analysis.value IS 'The attribute''s value; empty for total and run, (other) for those beyond the bound.';
CREATE INDEX failure_analysis_totals ON failure_analysis (pipeline_id, dimension, hour) WHERE value = '';

CREATE TABLE failure_slots (
    pipeline_id text NOT NULL,
    slot timestamptz NOT NULL,
    dimension text NOT NULL,
    value text NOT NULL,
    failures bigint NOT NULL DEFAULT 0 CHECK (failures >= 0),
    successes bigint NOT NULL DEFAULT 0 CHECK (successes >= 0),
    PRIMARY KEY (pipeline_id, slot, dimension, value)
) WITH (fillfactor = 70);
COMMENT ON TABLE failure_slots IS 'Ends of work of the last day, by five minutes and attribute; every worker adds to it.';
COMMENT ON COLUMN failure_slots.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN failure_slots.slot IS 'Start of the five minutes.';
COMMENT ON COLUMN failure_slots.dimension IS 'The attribute, as in failure_analysis.';
COMMENT ON COLUMN failure_slots.value IS 'The attribute''s value, as in failure_analysis.';
COMMENT ON COLUMN failure_slots.failures IS 'Failures with that value.';
COMMENT ON COLUMN failure_slots.successes IS 'Successes with that value.';
CREATE INDEX failure_slots_totals ON failure_slots (pipeline_id, dimension, slot) WHERE value = '';
CREATE INDEX failure_slots_slot ON failure_slots (slot);
CREATE INDEX failure_slots_ends ON failure_slots (slot) WHERE value = '';

CREATE TABLE failure_changes (
    pipeline_id text NOT NULL,
    began_at timestamptz NOT NULL,
    detected_at timestamptz NOT NULL,
    failures_before bigint NOT NULL,
    total_before bigint NOT NULL,
    failures_after bigint NOT NULL,
    total_after bigint NOT NULL,
    subject text NOT NULL DEFAULT '',
    told_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline_id, began_at, subject)
);
COMMENT ON TABLE failure_changes IS 'Changes of failure rates that were told of: each once.';
COMMENT ON COLUMN failure_changes.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN failure_changes.began_at IS 'Start of the first slot with the new rate.';
COMMENT ON COLUMN failure_changes.detected_at IS 'Start of the slot in which it became certain.';
COMMENT ON COLUMN failure_changes.failures_before IS 'Failures before it, since the change before that.';
COMMENT ON COLUMN failure_changes.total_before IS 'Ends of work that they are of.';
COMMENT ON COLUMN failure_changes.failures_after IS 'Failures from began_at to detected_at.';
COMMENT ON COLUMN failure_changes.total_after IS 'Ends of work that they are of.';
COMMENT ON COLUMN failure_changes.subject IS 'The part whose rate it is, as "dimension: value"; empty for the whole.';
COMMENT ON COLUMN failure_changes.told_at IS 'When it was told of.';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (13, '0013_pre_failure_analysis',
    '87fd0318910603b742dcc9d9313baef7a6d12eba0b5480cbe249d23ea836f20a',
    '0.1.0');

-- 0014_pre_error_patterns

-- Error patterns of the whole fleet: shapes of messages, the patterns that they are, and counts.

ALTER TABLE error_details ADD COLUMN pattern_id text;
COMMENT ON COLUMN error_details.pattern_id IS 'The pattern of its message as known when it was logged; error_pattern_shapes has the one of now.';

ALTER TABLE error_patterns
    ADD COLUMN template json NOT NULL DEFAULT '{"tokens": []}',
    ADD COLUMN status_changed_at timestamptz,
    ADD COLUMN status_actor text,
    ADD COLUMN status_reason text,
    ADD COLUMN regressed_at timestamptz,
    ADD COLUMN regression_count int NOT NULL DEFAULT 0 CHECK (regression_count >= 0);
COMMENT ON COLUMN error_patterns.template IS 'The template''s tokens and, in hexadecimal, before which of them spaces are.';
COMMENT ON COLUMN error_patterns.status_changed_at IS 'When it was resolved, ignored, opened again, or regressed.';
COMMENT ON COLUMN error_patterns.status_actor IS 'Who did that; NULL where it was an error that came back.';
COMMENT ON COLUMN error_patterns.status_reason IS 'Why, in the actor''s words.';
COMMENT ON COLUMN error_patterns.regressed_at IS 'When it last came back after it had been resolved.';
COMMENT ON COLUMN error_patterns.regression_count IS 'How often it came back.';

CREATE TABLE error_pattern_shapes (
    shape_key text PRIMARY KEY CHECK (shape_key ~ '^[0-9a-f]{16}$'),
    pattern_id text NOT NULL,
    error_type text NOT NULL,
    tokens json NOT NULL,
    spaced text,
    absorbs boolean NOT NULL DEFAULT false,
    sequence bigint GENERATED ALWAYS AS IDENTITY
);
COMMENT ON TABLE error_pattern_shapes IS 'Shapes of messages that workers met: the pattern of each, also for ids of before.';
COMMENT ON COLUMN error_pattern_shapes.shape_key IS 'Made from error type and tokens.';
COMMENT ON COLUMN error_pattern_shapes.pattern_id IS 'The pattern that it belongs to now.';
COMMENT ON COLUMN error_pattern_shapes.error_type IS 'Classification shared by all its errors.';
COMMENT ON COLUMN error_pattern_shapes.tokens IS 'Constant words in order, <*> for each value.';
COMMENT ON COLUMN error_pattern_shapes.spaced IS 'Before which tokens spaces are, a bit each, in hexadecimal.';
COMMENT ON COLUMN error_pattern_shapes.absorbs IS 'It stands for shapes that a worker gave up for want of room.';
COMMENT ON COLUMN error_pattern_shapes.sequence IS 'Grows with each change: a worker reads what is above the last that it knows.';
CREATE INDEX error_pattern_shapes_sequence ON error_pattern_shapes (sequence);
CREATE INDEX error_pattern_shapes_pattern ON error_pattern_shapes (pattern_id);

CREATE TABLE error_pattern_counts (
    pipeline_id text NOT NULL,
    day date NOT NULL,
    pattern_id text NOT NULL REFERENCES error_patterns ON DELETE CASCADE,
    from_00 bigint NOT NULL DEFAULT 0 CHECK (from_00 >= 0),
    from_06 bigint NOT NULL DEFAULT 0 CHECK (from_06 >= 0),
    from_12 bigint NOT NULL DEFAULT 0 CHECK (from_12 >= 0),
    from_18 bigint NOT NULL DEFAULT 0 CHECK (from_18 >= 0),
    PRIMARY KEY (pipeline_id, day, pattern_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE error_pattern_counts IS 'Errors of each pattern and day: what analysis reads.';
COMMENT ON COLUMN error_pattern_counts.pipeline_id IS 'The pipeline; <all>: all of them together; <other>: those that are not kept apart.';
COMMENT ON COLUMN error_pattern_counts.day IS 'The day, in UTC.';
COMMENT ON COLUMN error_pattern_counts.pattern_id IS 'The pattern; goes with it.';
COMMENT ON COLUMN error_pattern_counts.from_00 IS 'Errors seen in the six hours from midnight.';
COMMENT ON COLUMN error_pattern_counts.from_06 IS 'Errors seen in the six hours from 6.';
COMMENT ON COLUMN error_pattern_counts.from_12 IS 'Errors seen in the six hours from 12.';
COMMENT ON COLUMN error_pattern_counts.from_18 IS 'Errors seen in the six hours from 18.';
CREATE INDEX error_pattern_counts_pattern ON error_pattern_counts (pattern_id, pipeline_id, day);
CREATE INDEX error_pattern_counts_day ON error_pattern_counts (day);

CREATE TABLE error_pattern_workers (
    worker text PRIMARY KEY,
    flush bigint NOT NULL,
    told json NOT NULL,
    flushed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE error_pattern_workers IS 'Each worker''s last flush of counts: a COMMIT whose answer was lost is not made twice.';
COMMENT ON COLUMN error_pattern_workers.worker IS 'The worker: a process.';
COMMENT ON COLUMN error_pattern_workers.flush IS 'Number of its last flush.';
COMMENT ON COLUMN error_pattern_workers.told IS 'Patterns that were new, or came back, in that flush.';
COMMENT ON COLUMN error_pattern_workers.flushed_at IS 'When it was.';
CREATE INDEX error_pattern_workers_flushed_at ON error_pattern_workers (flushed_at);

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (14, '0014_pre_error_patterns',
    'c0aafed355006d1e8fa4898eb60112d2bddbddabe3fcc16c22947aa1ac1d038d',
    '0.1.0');

-- 0015_pre_health

-- Workers of the fleet, what an error says of its machine, and runs that are stuck. Times are of this
-- server's clock.

CREATE TABLE workers (
    worker_id text PRIMARY KEY,
    host text NOT NULL,
    pid int NOT NULL,
    pipeline_id text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    interval_seconds double precision NOT NULL,
    status text NOT NULL CHECK (status IN ('ok', 'warn', 'critical')),
    readings json NOT NULL,
    problems text[] NOT NULL
) WITH (fillfactor = 70);  -- written again and again on the same page (HOT)
COMMENT ON TABLE workers IS 'The fleet''s workers, a row each while they live, with their latest sample.';
COMMENT ON COLUMN workers.worker_id IS 'Key: host, process id and a part of its own.';
COMMENT ON COLUMN workers.host IS 'Its host.';
COMMENT ON COLUMN workers.pid IS 'Its process id.';
COMMENT ON COLUMN workers.pipeline_id IS 'The pipeline of its manager.';
COMMENT ON COLUMN workers.version IS 'Its version of seawall.';
COMMENT ON COLUMN workers.started_at IS 'When it sent its first sample.';
COMMENT ON COLUMN workers.last_seen_at IS 'When it sent its latest.';
COMMENT ON COLUMN workers.interval_seconds IS 'How often it sends one: silent for three of these, it is taken for gone.';
COMMENT ON COLUMN workers.status IS 'The worst of its readings.';
COMMENT ON COLUMN workers.readings IS 'Its readings by name, a disk''s with its folder.';
COMMENT ON COLUMN workers.problems IS 'Those that are not ok, in words.';

ALTER TABLE system_health ADD COLUMN worker_id text;
COMMENT ON COLUMN system_health.worker_id IS 'The worker, as in workers, which keeps it while it lives.';

ALTER TABLE error_details ADD COLUMN health json;
COMMENT ON COLUMN error_details.health IS 'For a system error, the machine at its moment: summary, status, age_seconds, readings by name.';

ALTER TABLE runs ADD COLUMN stuck_at timestamptz;
COMMENT ON COLUMN runs.stuck_at IS 'When it was last found to save nothing though its workers live; older than its last save: it went on.';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (15, '0015_pre_health',
    '18f3cf24605b0851bf7a909450714b4926c078f84c09f2cca9e170b118775311',
    '0.1.0');

-- 0016_pre_error_budget

-- Error budgets: the minutes of error_budget are kept by the transaction that ends a run, folded
-- into hours when they are old, and each count stands in one of the two.

ALTER TABLE error_budget DROP COLUMN objective;  -- see error_budget_objectives
ALTER TABLE error_budget SET (fillfactor = 70);
CREATE INDEX error_budget_minute ON error_budget (minute);
COMMENT ON TABLE error_budget IS 'Good and bad outcomes a minute; what is older than some days is in error_budget_hours. A count may be negative: taken back from an hour, since its run was started again.';
COMMENT ON COLUMN error_budget.good_runs IS 'Runs whose last end was good and fell into it.';
COMMENT ON COLUMN error_budget.bad_runs IS 'Runs whose last end fell into it: they failed, or were abandoned. Cancelled ones count as neither.';
COMMENT ON COLUMN error_budget.good_rows IS 'Rows loaded, in the minute of their being written down here.';
COMMENT ON COLUMN error_budget.bad_rows IS 'Rows set aside, in the minute of their being written down here.';

CREATE TABLE error_budget_hours (
    pipeline_id text NOT NULL,
    hour timestamptz NOT NULL,
    good_runs bigint NOT NULL DEFAULT 0,
    bad_runs bigint NOT NULL DEFAULT 0,
    good_rows bigint NOT NULL DEFAULT 0,
    bad_rows bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (pipeline_id, hour)
);
CREATE INDEX error_budget_hours_hour ON error_budget_hours (hour);
COMMENT ON TABLE error_budget_hours IS 'What was folded out of error_budget: its sums an hour.';
COMMENT ON COLUMN error_budget_hours.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN error_budget_hours.hour IS 'Start of the hour, in UTC.';
COMMENT ON COLUMN error_budget_hours.good_runs IS 'Runs that ended well in it.';
COMMENT ON COLUMN error_budget_hours.bad_runs IS 'Runs that failed or were abandoned in it.';
COMMENT ON COLUMN error_budget_hours.good_rows IS 'Rows loaded in it.';
COMMENT ON COLUMN error_budget_hours.bad_rows IS 'Rows set aside in it.';

CREATE TABLE error_budget_objectives (
    pipeline_id text NOT NULL CHECK (pipeline_id <> ''),
    sli text NOT NULL CHECK (sli IN ('runs', 'rows')),
    objective double precision CHECK (objective > 0 AND objective < 1),
    counted_from timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline_id, sli)
);
COMMENT ON TABLE error_budget_objectives IS 'What was set for a pipeline by a call; the fleet agrees on it.';
COMMENT ON COLUMN error_budget_objectives.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN error_budget_objectives.sli IS 'What is counted: runs or rows.';
COMMENT ON COLUMN error_budget_objectives.objective IS 'Share of good ones that is aimed at; NULL: the worker''s configuration says it.';
COMMENT ON COLUMN error_budget_objectives.counted_from IS 'What was before is forgiven and doesn''t count; NULL for nothing.';
COMMENT ON COLUMN error_budget_objectives.changed_at IS 'When it was set last.';

CREATE TABLE error_budget_alerts (
    alert_id uuid PRIMARY KEY,
    pipeline_id text NOT NULL,
    sli text NOT NULL CHECK (sli IN ('runs', 'rows')),
    state text NOT NULL CHECK (state IN ('firing', 'resolved')),
    severity text NOT NULL CHECK (severity IN ('page', 'ticket')),
    rule text NOT NULL,
    objective double precision NOT NULL,
    long_burn_rate double precision NOT NULL,
    short_burn_rate double precision NOT NULL,
    bad bigint NOT NULL,
    total bigint NOT NULL,
    fired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    announced boolean NOT NULL DEFAULT false
);
-- One alert an outage, whoever evaluates it.
CREATE UNIQUE INDEX error_budget_alerts_firing ON error_budget_alerts (pipeline_id, sli)
    WHERE state = 'firing';
CREATE INDEX error_budget_alerts_resolved ON error_budget_alerts (pipeline_id, sli, resolved_at);
CREATE INDEX error_budget_alerts_unannounced ON error_budget_alerts (alert_id) WHERE NOT announced;
COMMENT ON TABLE error_budget_alerts IS 'Alerts on how fast error budgets go: a row an outage.';
COMMENT ON COLUMN error_budget_alerts.alert_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN error_budget_alerts.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN error_budget_alerts.sli IS 'What was counted: runs or rows.';
COMMENT ON COLUMN error_budget_alerts.state IS 'firing, or resolved.';
COMMENT ON COLUMN error_budget_alerts.severity IS 'page or ticket; a ticket may become a page, never the other way.';
COMMENT ON COLUMN error_budget_alerts.rule IS 'The rule that fired last: burn rate and windows.';
COMMENT ON COLUMN error_budget_alerts.objective IS 'What was aimed at then.';
COMMENT ON COLUMN error_budget_alerts.long_burn_rate IS 'Burn rate of its long window then.';
COMMENT ON COLUMN error_budget_alerts.short_burn_rate IS 'Burn rate of its short window then.';
COMMENT ON COLUMN error_budget_alerts.bad IS 'Bad ones in its long window then.';
COMMENT ON COLUMN error_budget_alerts.total IS 'All in its long window then.';
COMMENT ON COLUMN error_budget_alerts.fired_at IS 'When it began.';
COMMENT ON COLUMN error_budget_alerts.resolved_at IS 'When it was over; later windows begin there.';
COMMENT ON COLUMN error_budget_alerts.announced IS 'Whether its last change was told to the listeners.';

CREATE TABLE error_budget_exhausted (
    pipeline_id text NOT NULL,
    sli text NOT NULL CHECK (sli IN ('runs', 'rows')),
    exhausted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    bad bigint NOT NULL,
    total bigint NOT NULL,
    objective double precision NOT NULL,
    window_days double precision NOT NULL,
    PRIMARY KEY (pipeline_id, sli)
);
COMMENT ON TABLE error_budget_exhausted IS 'Pipelines whose error budget is gone now; what each worker''s policy reads.';
COMMENT ON COLUMN error_budget_exhausted.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN error_budget_exhausted.sli IS 'What is counted: runs or rows.';
COMMENT ON COLUMN error_budget_exhausted.exhausted_at IS 'When that was noticed.';
COMMENT ON COLUMN error_budget_exhausted.bad IS 'Bad ones in the window, at the last look.';
COMMENT ON COLUMN error_budget_exhausted.total IS 'All in the window, at the last look.';
COMMENT ON COLUMN error_budget_exhausted.objective IS 'What is aimed at.';
COMMENT ON COLUMN error_budget_exhausted.window_days IS 'Days of the window.';

-- A run counts by its last end, at the minute of that, and is taken back when it is entered again.
-- One statement adds in the order of the key, so that two workers never wait in a circle.
CREATE FUNCTION error_budget_runs_added() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO error_budget AS b (pipeline_id, minute, good_runs, bad_runs)
    SELECT pipeline_id, date_trunc('minute', ended_at, 'UTC'),
        count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status <> 'succeeded')
    FROM added
    WHERE status IN ('succeeded', 'failed', 'abandoned') AND ended_at IS NOT NULL
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (pipeline_id, minute) DO UPDATE SET
        good_runs = b.good_runs + excluded.good_runs, bad_runs = b.bad_runs + excluded.bad_runs;
    RETURN NULL;
END
$$;
CREATE TRIGGER error_budget_runs_added AFTER INSERT ON runs
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION error_budget_runs_added();

CREATE FUNCTION error_budget_runs_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO error_budget AS b (pipeline_id, minute, good_runs, bad_runs)
    SELECT pipeline_id, minute, sum(good), sum(bad)
    FROM (
        SELECT pipeline_id, date_trunc('minute', ended_at, 'UTC') AS minute,
            (status = 'succeeded')::int AS good, (status <> 'succeeded')::int AS bad
        FROM after_it WHERE status IN ('succeeded', 'failed', 'abandoned') AND ended_at IS NOT NULL
        UNION ALL
        SELECT pipeline_id, date_trunc('minute', ended_at, 'UTC'),
            -(status = 'succeeded')::int, -(status <> 'succeeded')::int
        FROM before_it WHERE status IN ('succeeded', 'failed', 'abandoned') AND ended_at IS NOT NULL
    ) changes
    GROUP BY 1, 2 HAVING sum(good) <> 0 OR sum(bad) <> 0 ORDER BY 1, 2
    ON CONFLICT (pipeline_id, minute) DO UPDATE SET
        good_runs = b.good_runs + excluded.good_runs, bad_runs = b.bad_runs + excluded.bad_runs;
    RETURN NULL;
END
$$;
CREATE TRIGGER error_budget_runs_changed AFTER UPDATE ON runs
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION error_budget_runs_changed();

-- Whoever may end a run need not have rights here; nobody's temporary table stands in the way.
DO $$
DECLARE
    each text;
BEGIN
    FOREACH each IN ARRAY ARRAY['error_budget_runs_added()', 'error_budget_runs_changed()'] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp',
                       each, current_schema());
    END LOOP;
END $$;

-- Runs that ended before there was this: their last state is all that is known of them.
INSERT INTO error_budget AS b (pipeline_id, minute, good_runs, bad_runs)
SELECT pipeline_id, date_trunc('minute', ended_at, 'UTC'),
    count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status <> 'succeeded')
FROM runs
WHERE status IN ('succeeded', 'failed', 'abandoned') AND ended_at IS NOT NULL
GROUP BY 1, 2
ON CONFLICT (pipeline_id, minute) DO UPDATE SET
    good_runs = excluded.good_runs, bad_runs = excluded.bad_runs;

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (16, '0016_pre_error_budget',
    '3b6096df12ba5444f86c9798c5c9708cab0b03c5f7b78b72731e32e408c29c30',
    '0.1.0');

-- 0017_pre_recovery_actions

-- Recovery actions with their outcomes counted, and retry policies that are tuned by what was seen.

ALTER TABLE runs ADD COLUMN resume_count int NOT NULL DEFAULT 0 CHECK (resume_count >= 0);
COMMENT ON COLUMN runs.resume_count IS 'How often it was entered again after it had failed, was cancelled or abandoned.';

ALTER TABLE recovery_actions
    ADD COLUMN operation text,
    ADD COLUMN automatic boolean NOT NULL DEFAULT false,
    ADD COLUMN actor text,
    ADD COLUMN summary text NOT NULL DEFAULT '',
    ADD COLUMN once text,
    ADD COLUMN settled_at timestamptz;
COMMENT ON TABLE recovery_actions IS 'Rare actions, a row each: resumed runs, opened breakers, automatic changes, escalations, what people did. The frequent ones are counted in recovery_action_counts.';
COMMENT ON COLUMN recovery_actions.action IS 'What was done: resume, breaker_opened, tune, escalate, or the name that a person gave.';
COMMENT ON COLUMN recovery_actions.operation IS 'The call, service or step that it is about.';
COMMENT ON COLUMN recovery_actions.automatic IS 'seawall did it by itself, under the cap per hour.';
COMMENT ON COLUMN recovery_actions.actor IS 'Who did it, where it was a person or a program of the user''s.';
COMMENT ON COLUMN recovery_actions.summary IS 'What was done and why, secrets masked.';
COMMENT ON COLUMN recovery_actions.once IS 'Names what all workers would tell of; kept once.';
COMMENT ON COLUMN recovery_actions.settled_at IS 'When its outcome was known; NULL before.';
CREATE UNIQUE INDEX recovery_actions_once ON recovery_actions (once) WHERE once IS NOT NULL;
CREATE INDEX recovery_actions_automatic ON recovery_actions (pipeline_id, taken_at) WHERE automatic;
CREATE INDEX recovery_actions_open ON recovery_actions (action, operation) WHERE outcome IS NULL;

CREATE TABLE recovery_action_counts (
    pipeline_id text NOT NULL,
    day date NOT NULL,
    operation text NOT NULL,
    pattern_id text NOT NULL,
    error_type text NOT NULL,
    action text NOT NULL,
    attempts int NOT NULL CHECK (attempts > 0),
    succeeded bigint NOT NULL DEFAULT 0 CHECK (succeeded >= 0),
    failed bigint NOT NULL DEFAULT 0 CHECK (failed >= 0),
    PRIMARY KEY (pipeline_id, day, error_type, pattern_id, operation, action, attempts)
) WITH (fillfactor = 70);
COMMENT ON TABLE recovery_action_counts IS 'What was done about errors and whether it helped, by day: every worker adds to it.';
COMMENT ON COLUMN recovery_action_counts.pipeline_id IS 'The pipeline; <all>: all of them together.';
COMMENT ON COLUMN recovery_action_counts.day IS 'The day, in UTC.';
COMMENT ON COLUMN recovery_action_counts.operation IS 'The call, step or service; empty for the whole fleet, (other) beyond 500 of a pipeline.';
COMMENT ON COLUMN recovery_action_counts.pattern_id IS 'The error pattern as known at that moment; empty where rows count all patterns.';
COMMENT ON COLUMN recovery_action_counts.error_type IS 'Classification of the error that it answers.';
COMMENT ON COLUMN recovery_action_counts.action IS 'What was done: retry, fallback, quarantine, or as in recovery_actions.';
COMMENT ON COLUMN recovery_action_counts.attempts IS 'Attempts that the call took, 10 for more; 1 for what isn''t retried.';
COMMENT ON COLUMN recovery_action_counts.succeeded IS 'How often it helped.';
COMMENT ON COLUMN recovery_action_counts.failed IS 'How often it didn''t.';
CREATE INDEX recovery_action_counts_pattern ON recovery_action_counts (pattern_id, day) WHERE pattern_id <> '';
CREATE INDEX recovery_action_counts_day ON recovery_action_counts (day);

CREATE TABLE retry_tuning (
    pipeline_id text NOT NULL,
    operation text NOT NULL,
    error_type text NOT NULL,
    revision int NOT NULL DEFAULT 0 CHECK (revision >= 0),
    timing json,
    timing_before json,
    changed_at timestamptz,
    held_until timestamptz,
    episodes int NOT NULL DEFAULT 0,
    last_slot timestamptz NOT NULL,
    PRIMARY KEY (pipeline_id, operation, error_type)
) WITH (fillfactor = 70);
COMMENT ON TABLE retry_tuning IS 'Retried operations by error type, and the numbers that their policies were tuned to.';
COMMENT ON COLUMN retry_tuning.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN retry_tuning.operation IS 'The call.';
COMMENT ON COLUMN retry_tuning.error_type IS 'Classification of its failures.';
COMMENT ON COLUMN retry_tuning.revision IS 'Grows with each change; 0 for the configured numbers.';
COMMENT ON COLUMN retry_tuning.timing IS 'Retries and waits (seconds) that hold; NULL for the configured ones.';
COMMENT ON COLUMN retry_tuning.timing_before IS 'Those before the last change, to go back to.';
COMMENT ON COLUMN retry_tuning.changed_at IS 'When they were changed last.';
COMMENT ON COLUMN retry_tuning.held_until IS 'Until when they stay, after a change was taken back.';
COMMENT ON COLUMN retry_tuning.episodes IS 'Stretches of ten minutes with retried calls, since the last change.';
COMMENT ON COLUMN retry_tuning.last_slot IS 'Start of the last of them.';

CREATE TABLE retry_timings (
    pipeline_id text NOT NULL,
    operation text NOT NULL,
    error_type text NOT NULL,
    day date NOT NULL,
    revision int NOT NULL,
    failed_until smallint NOT NULL,
    succeeded_at smallint NOT NULL,
    calls bigint NOT NULL CHECK (calls > 0),
    PRIMARY KEY (pipeline_id, operation, error_type, day, revision, failed_until, succeeded_at)
) WITH (fillfactor = 70);
COMMENT ON TABLE retry_timings IS 'Retried calls by when they recovered: what auto-tuning reads. Sampled: 20 calls in ten minutes from a worker.';
COMMENT ON COLUMN retry_timings.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN retry_timings.operation IS 'The call.';
COMMENT ON COLUMN retry_timings.error_type IS 'Classification of its last failure.';
COMMENT ON COLUMN retry_timings.day IS 'The day, in UTC.';
COMMENT ON COLUMN retry_timings.revision IS 'The revision of retry_tuning that it was retried under.';
COMMENT ON COLUMN retry_timings.failed_until IS 'Bucket of the seconds waited up to its last failed retry; -1 for none.';
COMMENT ON COLUMN retry_timings.succeeded_at IS 'Bucket of the seconds waited up to its success; 30 for none.';
COMMENT ON COLUMN retry_timings.calls IS 'How many.';
CREATE INDEX retry_timings_day ON retry_timings (day);

CREATE TABLE tuning_changes (
    change_id uuid PRIMARY KEY,
    pipeline_id text NOT NULL,
    operation text NOT NULL,
    error_type text NOT NULL,
    revision int NOT NULL,
    timing_before json NOT NULL,
    timing json NOT NULL,
    reason text NOT NULL,
    reverts boolean NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE tuning_changes IS 'Each change that auto-tuning made, with its evidence.';
COMMENT ON COLUMN tuning_changes.change_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN tuning_changes.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN tuning_changes.operation IS 'The call.';
COMMENT ON COLUMN tuning_changes.error_type IS 'Classification of the failures that the numbers are for.';
COMMENT ON COLUMN tuning_changes.revision IS 'The revision that it made.';
COMMENT ON COLUMN tuning_changes.timing_before IS 'Retries and waits (seconds) before.';
COMMENT ON COLUMN tuning_changes.timing IS 'Retries and waits (seconds) since.';
COMMENT ON COLUMN tuning_changes.reason IS 'One sentence with the evidence.';
COMMENT ON COLUMN tuning_changes.reverts IS 'It took back a change that did harm.';
COMMENT ON COLUMN tuning_changes.changed_at IS 'When it was made.';
CREATE INDEX tuning_changes_pipeline ON tuning_changes (pipeline_id, change_id DESC);

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (17, '0017_pre_recovery_actions',
    'f9eaa102c0f382aa03458e0733e0e349330eb3312c04d4901da763638a199d26',
    '0.1.0');

-- 0018_pre_dashboard

-- What people look through: runs and audit lines, the latest first. Both are written rarely.

CREATE INDEX runs_started ON runs (started_at DESC);
CREATE INDEX audit_log_subject ON audit_log (subject, acted_at DESC);
COMMENT ON TABLE quarantine_counts IS 'Records set aside and settled, to be summed: several rows may stand for one day, until a worker folds them.';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (18, '0018_pre_dashboard',
    '8cc9ef913945dc4841b96081702291985bc28e3506ee3a1c043fa3d42d91ae6a',
    '0.1.0');

-- 0019_pre_report_views

-- Views for Grafana and whoever else reads with SQL: a documented interface (docs/grafana.md), kept
-- when the tables behind it change. A view shows nobody more than the tables show them. All are cheap
-- however many errors and records there are: they read states and counts, never these themselves.

CREATE VIEW report_runs WITH (security_invoker = true) AS
SELECT run_id, pipeline_id, status, started_at, ended_at,
    extract(epoch FROM coalesce(ended_at, now()) - started_at)::float8 AS duration_seconds,
    start_count, release, host, error_type, error_message
FROM runs;
COMMENT ON VIEW report_runs IS 'Runs.';
COMMENT ON COLUMN report_runs.run_id IS 'The run.';
COMMENT ON COLUMN report_runs.pipeline_id IS 'Its pipeline.';
COMMENT ON COLUMN report_runs.status IS 'running, succeeded, failed, cancelled, or abandoned: its workers vanished.';
COMMENT ON COLUMN report_runs.started_at IS 'First start.';
COMMENT ON COLUMN report_runs.ended_at IS 'Last end; NULL while it runs.';
COMMENT ON COLUMN report_runs.duration_seconds IS 'From the first start to the last end, or to now.';
COMMENT ON COLUMN report_runs.start_count IS 'How often a worker has entered it.';
COMMENT ON COLUMN report_runs.release IS 'Version of the worker''s code.';
COMMENT ON COLUMN report_runs.host IS 'Host of the worker that entered it last.';
COMMENT ON COLUMN report_runs.error_type IS 'Classification of the error that ended it.';
COMMENT ON COLUMN report_runs.error_message IS 'Message of that error, secrets masked.';

CREATE VIEW report_steps WITH (security_invoker = true) AS
SELECT c.run_id, r.pipeline_id, c.step, c.partition, c.status, c.read_count, c.write_count,
    c.skip_count, c.batch_count, c.retry_count,
    c.read_count / nullif(extract(epoch FROM c.updated_at - c.created_at), 0)::float8
        AS rows_per_second,
    c.created_at AS started_at, c.updated_at AS saved_at
FROM checkpoints c JOIN runs r USING (run_id);
COMMENT ON VIEW report_steps IS 'How far streaming steps have come.';
COMMENT ON COLUMN report_steps.run_id IS 'The run.';
COMMENT ON COLUMN report_steps.pipeline_id IS 'Its pipeline.';
COMMENT ON COLUMN report_steps.step IS 'The step.';
COMMENT ON COLUMN report_steps.partition IS 'Which part of it; 0 where it is not split.';
COMMENT ON COLUMN report_steps.status IS 'running, or finished: its source was read to the end.';
COMMENT ON COLUMN report_steps.read_count IS 'Records read, over all restarts.';
COMMENT ON COLUMN report_steps.write_count IS 'Records loaded.';
COMMENT ON COLUMN report_steps.skip_count IS 'Records set aside.';
COMMENT ON COLUMN report_steps.batch_count IS 'Batches committed.';
COMMENT ON COLUMN report_steps.retry_count IS 'How often a batch was run again.';
COMMENT ON COLUMN report_steps.rows_per_second IS 'Records read, by the time from its first opening to its last save.';
COMMENT ON COLUMN report_steps.started_at IS 'First opening.';
COMMENT ON COLUMN report_steps.saved_at IS 'Last save.';

CREATE VIEW report_outcomes WITH (security_invoker = true) AS
SELECT pipeline_id, minute AS at, 60 AS width_seconds, good_runs, bad_runs, good_rows, bad_rows
FROM error_budget
UNION ALL
SELECT pipeline_id, hour, 3600, good_runs, bad_runs, good_rows, bad_rows FROM error_budget_hours;
COMMENT ON VIEW report_outcomes IS 'Good and bad runs and rows: what error budgets are made of. Each stands in a minute or, after four days, in an hour.';
COMMENT ON COLUMN report_outcomes.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_outcomes.at IS 'Start of the minute or hour.';
COMMENT ON COLUMN report_outcomes.width_seconds IS '60 or 3600.';
COMMENT ON COLUMN report_outcomes.good_runs IS 'Runs that succeeded.';
COMMENT ON COLUMN report_outcomes.bad_runs IS 'Runs that failed or were abandoned.';
COMMENT ON COLUMN report_outcomes.good_rows IS 'Rows loaded.';
COMMENT ON COLUMN report_outcomes.bad_rows IS 'Rows set aside.';

CREATE VIEW report_budgets WITH (security_invoker = true) AS
SELECT coalesce(o.pipeline_id, e.pipeline_id) AS pipeline_id, coalesce(o.sli, e.sli) AS sli,
    coalesce(o.objective, e.objective) AS objective, o.counted_from, e.exhausted_at
FROM error_budget_objectives o
FULL JOIN error_budget_exhausted e ON e.pipeline_id = o.pipeline_id AND e.sli = o.sli;
COMMENT ON VIEW report_budgets IS 'Error budgets that have an objective of their own, were forgiven, or are gone.';
COMMENT ON COLUMN report_budgets.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_budgets.sli IS 'What is counted: runs or rows.';
COMMENT ON COLUMN report_budgets.objective IS 'Share of good ones that is aimed at; NULL: the workers'' configuration says it.';
COMMENT ON COLUMN report_budgets.counted_from IS 'What was before is forgiven.';
COMMENT ON COLUMN report_budgets.exhausted_at IS 'Since when it is gone; NULL where it isn''t.';

CREATE VIEW report_budget_alerts WITH (security_invoker = true) AS
SELECT pipeline_id, sli, state, severity, rule, long_burn_rate, short_burn_rate, bad, total,
    fired_at, resolved_at
FROM error_budget_alerts;
COMMENT ON VIEW report_budget_alerts IS 'Alerts on how fast error budgets go.';
COMMENT ON COLUMN report_budget_alerts.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_budget_alerts.sli IS 'What was counted: runs or rows.';
COMMENT ON COLUMN report_budget_alerts.state IS 'firing or resolved.';
COMMENT ON COLUMN report_budget_alerts.severity IS 'page or ticket.';
COMMENT ON COLUMN report_budget_alerts.rule IS 'The rule that fired last.';
COMMENT ON COLUMN report_budget_alerts.long_burn_rate IS 'Burn rate of its long window then.';
COMMENT ON COLUMN report_budget_alerts.short_burn_rate IS 'Burn rate of its short window then.';
COMMENT ON COLUMN report_budget_alerts.bad IS 'Bad ones in its long window then.';
COMMENT ON COLUMN report_budget_alerts.total IS 'All in its long window then.';
COMMENT ON COLUMN report_budget_alerts.fired_at IS 'When it began.';
COMMENT ON COLUMN report_budget_alerts.resolved_at IS 'When it was over.';

CREATE VIEW report_errors WITH (security_invoker = true) AS
SELECT c.pipeline_id, (c.day + q.hour * interval '1 hour') AT TIME ZONE 'UTC' AS at,
    21600 AS width_seconds, p.error_type, c.pattern_id, q.errors
FROM error_pattern_counts c JOIN error_patterns p USING (pattern_id)
CROSS JOIN LATERAL (
    VALUES (0, c.from_00), (6, c.from_06), (12, c.from_12), (18, c.from_18)
) AS q (hour, errors)
WHERE c.pipeline_id <> '<all>' AND q.errors > 0;
COMMENT ON VIEW report_errors IS 'Errors by pipeline, pattern and six hours.';
COMMENT ON COLUMN report_errors.pipeline_id IS 'The pipeline; <other>: those that are not kept apart.';
COMMENT ON COLUMN report_errors.at IS 'Start of the six hours.';
COMMENT ON COLUMN report_errors.width_seconds IS '21600.';
COMMENT ON COLUMN report_errors.error_type IS 'Classification: transient, configuration, data, system or unknown.';
COMMENT ON COLUMN report_errors.pattern_id IS 'The error pattern.';
COMMENT ON COLUMN report_errors.errors IS 'How many.';

CREATE VIEW report_error_patterns WITH (security_invoker = true) AS
SELECT pattern_id, error_message_pattern, error_type, status, frequency, first_seen, last_seen,
    regressed_at, recommended_action
FROM error_patterns;
COMMENT ON VIEW report_error_patterns IS 'Error patterns: messages that differ in their values only.';
COMMENT ON COLUMN report_error_patterns.pattern_id IS 'The pattern.';
COMMENT ON COLUMN report_error_patterns.error_message_pattern IS 'The message, its variables masked.';
COMMENT ON COLUMN report_error_patterns.error_type IS 'Classification of all its errors.';
COMMENT ON COLUMN report_error_patterns.status IS 'open, resolved or ignored.';
COMMENT ON COLUMN report_error_patterns.frequency IS 'Errors seen, ever.';
COMMENT ON COLUMN report_error_patterns.first_seen IS 'The first.';
COMMENT ON COLUMN report_error_patterns.last_seen IS 'The last.';
COMMENT ON COLUMN report_error_patterns.regressed_at IS 'When it came back after it had been resolved.';
COMMENT ON COLUMN report_error_patterns.recommended_action IS 'What to do, where somebody wrote it down.';

CREATE VIEW report_failures WITH (security_invoker = true) AS
SELECT pipeline_id, slot AS at, 300 AS width_seconds, failures, successes
FROM failure_slots WHERE dimension = 'total' AND value = ''
UNION ALL
SELECT pipeline_id, hour, 3600, failures, successes
FROM failure_analysis WHERE dimension = 'total' AND value = '';
COMMENT ON VIEW report_failures IS 'Ends of work (batches and steps) by pipeline and five minutes or, after a day, hours.';
COMMENT ON COLUMN report_failures.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_failures.at IS 'Start of the five minutes or hour.';
COMMENT ON COLUMN report_failures.width_seconds IS '300 or 3600.';
COMMENT ON COLUMN report_failures.failures IS 'Work that failed.';
COMMENT ON COLUMN report_failures.successes IS 'Work that succeeded.';

CREATE VIEW report_breakers WITH (security_invoker = true) AS
SELECT service_name, state, reason, updated_at AS since, opened_count,
    CASE WHEN state = 'open'
         THEN greatest(0, extract(epoch FROM open_until - clock_timestamp()))::float8
    END AS open_seconds
FROM circuit_breaker_states;
COMMENT ON VIEW report_breakers IS 'The fleet''s circuit breakers now.';
COMMENT ON COLUMN report_breakers.service_name IS 'The breaker.';
COMMENT ON COLUMN report_breakers.state IS 'closed, open, half_open, forced_open, disabled or metrics_only.';
COMMENT ON COLUMN report_breakers.reason IS 'Why.';
COMMENT ON COLUMN report_breakers.since IS 'Last change.';
COMMENT ON COLUMN report_breakers.opened_count IS 'Openings since it was last closed.';
COMMENT ON COLUMN report_breakers.open_seconds IS 'How long an open one stays so.';

CREATE VIEW report_breaker_transitions WITH (security_invoker = true) AS
SELECT service_name, from_state, to_state, reason, host, occurred_at
FROM circuit_breaker_transitions;
COMMENT ON VIEW report_breaker_transitions IS 'What breakers did.';
COMMENT ON COLUMN report_breaker_transitions.service_name IS 'The breaker.';
COMMENT ON COLUMN report_breaker_transitions.from_state IS 'From this state.';
COMMENT ON COLUMN report_breaker_transitions.to_state IS 'To this state.';
COMMENT ON COLUMN report_breaker_transitions.reason IS 'Why.';
COMMENT ON COLUMN report_breaker_transitions.host IS 'Host of the worker that did it.';
COMMENT ON COLUMN report_breaker_transitions.occurred_at IS 'When.';

CREATE VIEW report_quarantine WITH (security_invoker = true) AS
SELECT pipeline_id, counted_on::timestamp AT TIME ZONE 'UTC' AS at, reason, set_aside, settled
FROM quarantine_counts;
COMMENT ON VIEW report_quarantine IS 'Records set aside and settled by day, to be summed; what was set aside less what was settled, over all days, is open.';
COMMENT ON COLUMN report_quarantine.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_quarantine.at IS 'Start of the day (UTC).';
COMMENT ON COLUMN report_quarantine.reason IS 'Why: the first 200 characters.';
COMMENT ON COLUMN report_quarantine.set_aside IS 'Records set aside.';
COMMENT ON COLUMN report_quarantine.settled IS 'Records reprocessed, given up or deleted.';

CREATE VIEW report_recoveries WITH (security_invoker = true) AS
SELECT pipeline_id, day::timestamp AT TIME ZONE 'UTC' AS at, error_type, action,
    sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed
FROM recovery_action_counts WHERE pipeline_id <> '<all>' AND pattern_id = ''
GROUP BY pipeline_id, day, error_type, action;
COMMENT ON VIEW report_recoveries IS 'What was done about failures, and whether it helped, by day.';
COMMENT ON COLUMN report_recoveries.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_recoveries.at IS 'Start of the day (UTC).';
COMMENT ON COLUMN report_recoveries.error_type IS 'Classification of the failure.';
COMMENT ON COLUMN report_recoveries.action IS 'retry, fallback, quarantine, resume, breaker_opened, or a person''s own name for it.';
COMMENT ON COLUMN report_recoveries.succeeded IS 'How often it helped.';
COMMENT ON COLUMN report_recoveries.failed IS 'How often it didn''t.';

CREATE VIEW report_alerts WITH (security_invoker = true) AS
SELECT alert_key, rule, severity, state, title, message, pipeline_id, count AS seen_count, fired_at,
    last_at, resolved_at
FROM alerts;
COMMENT ON VIEW report_alerts IS 'What is or was wrong.';
COMMENT ON COLUMN report_alerts.alert_key IS 'The same for the same thing.';
COMMENT ON COLUMN report_alerts.rule IS 'The rule that found it.';
COMMENT ON COLUMN report_alerts.severity IS 'info, warning or critical.';
COMMENT ON COLUMN report_alerts.state IS 'firing, resolving or resolved.';
COMMENT ON COLUMN report_alerts.title IS 'One line.';
COMMENT ON COLUMN report_alerts.message IS 'What happened, and what to do.';
COMMENT ON COLUMN report_alerts.pipeline_id IS 'The pipeline, where it is about one.';
COMMENT ON COLUMN report_alerts.seen_count IS 'How often it was seen.';
COMMENT ON COLUMN report_alerts.fired_at IS 'When it began.';
COMMENT ON COLUMN report_alerts.last_at IS 'When it was seen last.';
COMMENT ON COLUMN report_alerts.resolved_at IS 'When it was over.';

CREATE VIEW report_workers WITH (security_invoker = true) AS
SELECT host, pid, pipeline_id, version, status, problems, started_at, last_seen_at,
    last_seen_at > clock_timestamp() - make_interval(secs => 3 * interval_seconds) AS alive
FROM workers;
COMMENT ON VIEW report_workers IS 'The workers that report their health.';
COMMENT ON COLUMN report_workers.host IS 'Where it is.';
COMMENT ON COLUMN report_workers.pid IS 'Its process.';
COMMENT ON COLUMN report_workers.pipeline_id IS 'Its pipeline.';
COMMENT ON COLUMN report_workers.version IS 'Its seawall.';
COMMENT ON COLUMN report_workers.status IS 'ok, warn or critical.';
COMMENT ON COLUMN report_workers.problems IS 'What is not ok, in words.';
COMMENT ON COLUMN report_workers.started_at IS 'When it was first seen.';
COMMENT ON COLUMN report_workers.last_seen_at IS 'When it was last seen.';
COMMENT ON COLUMN report_workers.alive IS 'Whether that is within three of its intervals.';

INSERT INTO schema_migrations (number, name, checksum, library_version) VALUES
    (19, '0019_pre_report_views',
    '2c394e4a8d003781fbbf13ff4b37f3b7668dc7fcb9df4c64cbb5ce6862c2409b',
    '0.1.0');

COMMIT;
