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
