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
