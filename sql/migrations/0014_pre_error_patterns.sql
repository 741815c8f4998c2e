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
