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
