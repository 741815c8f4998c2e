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
