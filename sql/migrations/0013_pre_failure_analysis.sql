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
