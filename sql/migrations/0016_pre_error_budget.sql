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
