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
