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
