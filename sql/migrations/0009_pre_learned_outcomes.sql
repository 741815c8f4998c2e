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
