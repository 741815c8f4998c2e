-- Views for Grafana and whoever else reads with SQL: a documented interface (docs/grafana.md), kept
-- when the tables behind it change. A view shows nobody more than the tables show them. All are cheap
-- however many errors and records there are: they read states and counts, never these themselves.

CREATE VIEW report_runs WITH (security_invoker = true) AS
SELECT run_id, pipeline_id, status, started_at, ended_at,
    extract(epoch FROM coalesce(ended_at, now()) - started_at)::float8 AS duration_seconds,
    start_count, release, host, error_type, error_message
FROM runs;
COMMENT ON VIEW report_runs IS 'Runs.';
COMMENT ON COLUMN report_runs.run_id IS 'The run.';
COMMENT ON COLUMN report_runs.pipeline_id IS 'Its pipeline.';
COMMENT ON COLUMN report_runs.status IS 'running, succeeded, failed, cancelled, or abandoned: its workers vanished.';
COMMENT ON COLUMN report_runs.started_at IS 'First start.';
COMMENT ON COLUMN report_runs.ended_at IS 'Last end; NULL while it runs.';
COMMENT ON COLUMN report_runs.duration_seconds IS 'From the first start to the last end, or to now.';
COMMENT ON COLUMN report_runs.start_count IS 'How often a worker has entered it.';
COMMENT ON COLUMN report_runs.release IS 'Version of the worker''s code.';
COMMENT ON COLUMN report_runs.host IS 'Host of the worker that entered it last.';
COMMENT ON COLUMN report_runs.error_type IS 'Classification of the error that ended it.';
COMMENT ON COLUMN report_runs.error_message IS 'Message of that error, secrets masked.';

CREATE VIEW report_steps WITH (security_invoker = true) AS
SELECT c.run_id, r.pipeline_id, c.step, c.partition, c.status, c.read_count, c.write_count,
    c.skip_count, c.batch_count, c.retry_count,
    c.read_count / nullif(extract(epoch FROM c.updated_at - c.created_at), 0)::float8
        AS rows_per_second,
    c.created_at AS started_at, c.updated_at AS saved_at
FROM checkpoints c JOIN runs r USING (run_id);
COMMENT ON VIEW report_steps IS 'How far streaming steps have come.';
COMMENT ON COLUMN report_steps.run_id IS 'The run.';
COMMENT ON COLUMN report_steps.pipeline_id IS 'Its pipeline.';
COMMENT ON COLUMN report_steps.step IS 'The step.';
COMMENT ON COLUMN report_steps.partition IS 'Which part of it; 0 where it is not split.';
COMMENT ON COLUMN report_steps.status IS 'running, or finished: its source was read to the end.';
COMMENT ON COLUMN report_steps.read_count IS 'Records read, over all restarts.';
COMMENT ON COLUMN report_steps.write_count IS 'Records loaded.';
COMMENT ON COLUMN report_steps.skip_count IS 'Records set aside.';
COMMENT ON COLUMN report_steps.batch_count IS 'Batches committed.';
COMMENT ON COLUMN report_steps.retry_count IS 'How often a batch was run again.';
COMMENT ON COLUMN report_steps.rows_per_second IS 'Records read, by the time from its first opening to its last save.';
COMMENT ON COLUMN report_steps.started_at IS 'First opening.';
COMMENT ON COLUMN report_steps.saved_at IS 'Last save.';

CREATE VIEW report_outcomes WITH (security_invoker = true) AS
SELECT pipeline_id, minute AS at, 60 AS width_seconds, good_runs, bad_runs, good_rows, bad_rows
FROM error_budget
UNION ALL
SELECT pipeline_id, hour, 3600, good_runs, bad_runs, good_rows, bad_rows FROM error_budget_hours;
COMMENT ON VIEW report_outcomes IS 'Good and bad runs and rows: what error budgets are made of. Each stands in a minute or, after four days, in an hour.';
COMMENT ON COLUMN report_outcomes.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_outcomes.at IS 'Start of the minute or hour.';
COMMENT ON COLUMN report_outcomes.width_seconds IS '60 or 3600.';
COMMENT ON COLUMN report_outcomes.good_runs IS 'Runs that succeeded.';
COMMENT ON COLUMN report_outcomes.bad_runs IS 'Runs that failed or were abandoned.';
COMMENT ON COLUMN report_outcomes.good_rows IS 'Rows loaded.';
COMMENT ON COLUMN report_outcomes.bad_rows IS 'Rows set aside.';

CREATE VIEW report_budgets WITH (security_invoker = true) AS
SELECT coalesce(o.pipeline_id, e.pipeline_id) AS pipeline_id, coalesce(o.sli, e.sli) AS sli,
    coalesce(o.objective, e.objective) AS objective, o.counted_from, e.exhausted_at
FROM error_budget_objectives o
FULL JOIN error_budget_exhausted e ON e.pipeline_id = o.pipeline_id AND e.sli = o.sli;
COMMENT ON VIEW report_budgets IS 'Error budgets that have an objective of their own, were forgiven, or are gone.';
COMMENT ON COLUMN report_budgets.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_budgets.sli IS 'What is counted: runs or rows.';
COMMENT ON COLUMN report_budgets.objective IS 'Share of good ones that is aimed at; NULL: the workers'' configuration says it.';
COMMENT ON COLUMN report_budgets.counted_from IS 'What was before is forgiven.';
COMMENT ON COLUMN report_budgets.exhausted_at IS 'Since when it is gone; NULL where it isn''t.';

CREATE VIEW report_budget_alerts WITH (security_invoker = true) AS
SELECT pipeline_id, sli, state, severity, rule, long_burn_rate, short_burn_rate, bad, total,
    fired_at, resolved_at
FROM error_budget_alerts;
COMMENT ON VIEW report_budget_alerts IS 'Alerts on how fast error budgets go.';
COMMENT ON COLUMN report_budget_alerts.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_budget_alerts.sli IS 'What was counted: runs or rows.';
COMMENT ON COLUMN report_budget_alerts.state IS 'firing or resolved.';
COMMENT ON COLUMN report_budget_alerts.severity IS 'page or ticket.';
COMMENT ON COLUMN report_budget_alerts.rule IS 'The rule that fired last.';
COMMENT ON COLUMN report_budget_alerts.long_burn_rate IS 'Burn rate of its long window then.';
COMMENT ON COLUMN report_budget_alerts.short_burn_rate IS 'Burn rate of its short window then.';
COMMENT ON COLUMN report_budget_alerts.bad IS 'Bad ones in its long window then.';
COMMENT ON COLUMN report_budget_alerts.total IS 'All in its long window then.';
COMMENT ON COLUMN report_budget_alerts.fired_at IS 'When it began.';
COMMENT ON COLUMN report_budget_alerts.resolved_at IS 'When it was over.';

CREATE VIEW report_errors WITH (security_invoker = true) AS
SELECT c.pipeline_id, (c.day + q.hour * interval '1 hour') AT TIME ZONE 'UTC' AS at,
    21600 AS width_seconds, p.error_type, c.pattern_id, q.errors
FROM error_pattern_counts c JOIN error_patterns p USING (pattern_id)
CROSS JOIN LATERAL (
    VALUES (0, c.from_00), (6, c.from_06), (12, c.from_12), (18, c.from_18)
) AS q (hour, errors)
WHERE c.pipeline_id <> '<all>' AND q.errors > 0;
COMMENT ON VIEW report_errors IS 'Errors by pipeline, pattern and six hours.';
COMMENT ON COLUMN report_errors.pipeline_id IS 'The pipeline; <other>: those that are not kept apart.';
COMMENT ON COLUMN report_errors.at IS 'Start of the six hours.';
COMMENT ON COLUMN report_errors.width_seconds IS '21600.';
COMMENT ON COLUMN report_errors.error_type IS 'Classification: transient, configuration, data, system or unknown.';
COMMENT ON COLUMN report_errors.pattern_id IS 'The error pattern.';
COMMENT ON COLUMN report_errors.errors IS 'How many.';

CREATE VIEW report_error_patterns WITH (security_invoker = true) AS
SELECT pattern_id, error_message_pattern, error_type, status, frequency, first_seen, last_seen,
    regressed_at, recommended_action
FROM error_patterns;
COMMENT ON VIEW report_error_patterns IS 'Error patterns: messages that differ in their values only.';
COMMENT ON COLUMN report_error_patterns.pattern_id IS 'The pattern.';
COMMENT ON COLUMN report_error_patterns.error_message_pattern IS 'The message, its variables masked.';
COMMENT ON COLUMN report_error_patterns.error_type IS 'Classification of all its errors.';
COMMENT ON COLUMN report_error_patterns.status IS 'open, resolved or ignored.';
COMMENT ON COLUMN report_error_patterns.frequency IS 'Errors seen, ever.';
COMMENT ON COLUMN report_error_patterns.first_seen IS 'The first.';
COMMENT ON COLUMN report_error_patterns.last_seen IS 'The last.';
COMMENT ON COLUMN report_error_patterns.regressed_at IS 'When it came back after it had been resolved.';
COMMENT ON COLUMN report_error_patterns.recommended_action IS 'What to do, where somebody wrote it down.';

CREATE VIEW report_failures WITH (security_invoker = true) AS
SELECT pipeline_id, slot AS at, 300 AS width_seconds, failures, successes
FROM failure_slots WHERE dimension = 'total' AND value = ''
UNION ALL
SELECT pipeline_id, hour, 3600, failures, successes
FROM failure_analysis WHERE dimension = 'total' AND value = '';
COMMENT ON VIEW report_failures IS 'Ends of work (batches and steps) by pipeline and five minutes or, after a day, hours.';
COMMENT ON COLUMN report_failures.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_failures.at IS 'Start of the five minutes or hour.';
COMMENT ON COLUMN report_failures.width_seconds IS '300 or 3600.';
COMMENT ON COLUMN report_failures.failures IS 'Work that failed.';
COMMENT ON COLUMN report_failures.successes IS 'Work that succeeded.';

CREATE VIEW report_breakers WITH (security_invoker = true) AS
SELECT service_name, state, reason, updated_at AS since, opened_count,
    CASE WHEN state = 'open'
         THEN greatest(0, extract(epoch FROM open_until - clock_timestamp()))::float8
    END AS open_seconds
FROM circuit_breaker_states;
COMMENT ON VIEW report_breakers IS 'The fleet''s circuit breakers now.';
COMMENT ON COLUMN report_breakers.service_name IS 'The breaker.';
COMMENT ON COLUMN report_breakers.state IS 'closed, open, half_open, forced_open, disabled or metrics_only.';
COMMENT ON COLUMN report_breakers.reason IS 'Why.';
COMMENT ON COLUMN report_breakers.since IS 'Last change.';
COMMENT ON COLUMN report_breakers.opened_count IS 'Openings since it was last closed.';
COMMENT ON COLUMN report_breakers.open_seconds IS 'How long an open one stays so.';

CREATE VIEW report_breaker_transitions WITH (security_invoker = true) AS
SELECT service_name, from_state, to_state, reason, host, occurred_at
FROM circuit_breaker_transitions;
COMMENT ON VIEW report_breaker_transitions IS 'What breakers did.';
COMMENT ON COLUMN report_breaker_transitions.service_name IS 'The breaker.';
COMMENT ON COLUMN report_breaker_transitions.from_state IS 'From this state.';
COMMENT ON COLUMN report_breaker_transitions.to_state IS 'To this state.';
COMMENT ON COLUMN report_breaker_transitions.reason IS 'Why.';
COMMENT ON COLUMN report_breaker_transitions.host IS 'Host of the worker that did it.';
COMMENT ON COLUMN report_breaker_transitions.occurred_at IS 'When.';

CREATE VIEW report_quarantine WITH (security_invoker = true) AS
SELECT pipeline_id, counted_on::timestamp AT TIME ZONE 'UTC' AS at, reason, set_aside, settled
FROM quarantine_counts;
COMMENT ON VIEW report_quarantine IS 'Records set aside and settled by day, to be summed; what was set aside less what was settled, over all days, is open.';
COMMENT ON COLUMN report_quarantine.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_quarantine.at IS 'Start of the day (UTC).';
COMMENT ON COLUMN report_quarantine.reason IS 'Why: the first 200 characters.';
COMMENT ON COLUMN report_quarantine.set_aside IS 'Records set aside.';
COMMENT ON COLUMN report_quarantine.settled IS 'Records reprocessed, given up or deleted.';

CREATE VIEW report_recoveries WITH (security_invoker = true) AS
SELECT pipeline_id, day::timestamp AT TIME ZONE 'UTC' AS at, error_type, action,
    sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed
FROM recovery_action_counts WHERE pipeline_id <> '<all>' AND pattern_id = ''
GROUP BY pipeline_id, day, error_type, action;
COMMENT ON VIEW report_recoveries IS 'What was done about failures, and whether it helped, by day.';
COMMENT ON COLUMN report_recoveries.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN report_recoveries.at IS 'Start of the day (UTC).';
COMMENT ON COLUMN report_recoveries.error_type IS 'Classification of the failure.';
COMMENT ON COLUMN report_recoveries.action IS 'retry, fallback, quarantine, resume, breaker_opened, or a person''s own name for it.';
COMMENT ON COLUMN report_recoveries.succeeded IS 'How often it helped.';
COMMENT ON COLUMN report_recoveries.failed IS 'How often it didn''t.';

CREATE VIEW report_alerts WITH (security_invoker = true) AS
SELECT alert_key, rule, severity, state, title, message, pipeline_id, count AS seen_count, fired_at,
    last_at, resolved_at
FROM alerts;
COMMENT ON VIEW report_alerts IS 'What is or was wrong.';
COMMENT ON COLUMN report_alerts.alert_key IS 'The same for the same thing.';
COMMENT ON COLUMN report_alerts.rule IS 'The rule that found it.';
COMMENT ON COLUMN report_alerts.severity IS 'info, warning or critical.';
COMMENT ON COLUMN report_alerts.state IS 'firing, resolving or resolved.';
COMMENT ON COLUMN report_alerts.title IS 'One line.';
COMMENT ON COLUMN report_alerts.message IS 'What happened, and what to do.';
COMMENT ON COLUMN report_alerts.pipeline_id IS 'The pipeline, where it is about one.';
COMMENT ON COLUMN report_alerts.seen_count IS 'How often it was seen.';
COMMENT ON COLUMN report_alerts.fired_at IS 'When it began.';
COMMENT ON COLUMN report_alerts.last_at IS 'When it was seen last.';
COMMENT ON COLUMN report_alerts.resolved_at IS 'When it was over.';

CREATE VIEW report_workers WITH (security_invoker = true) AS
SELECT host, pid, pipeline_id, version, status, problems, started_at, last_seen_at,
    last_seen_at > clock_timestamp() - make_interval(secs => 3 * interval_seconds) AS alive
FROM workers;
COMMENT ON VIEW report_workers IS 'The workers that report their health.';
COMMENT ON COLUMN report_workers.host IS 'Where it is.';
COMMENT ON COLUMN report_workers.pid IS 'Its process.';
COMMENT ON COLUMN report_workers.pipeline_id IS 'Its pipeline.';
COMMENT ON COLUMN report_workers.version IS 'Its seawall.';
COMMENT ON COLUMN report_workers.status IS 'ok, warn or critical.';
COMMENT ON COLUMN report_workers.problems IS 'What is not ok, in words.';
COMMENT ON COLUMN report_workers.started_at IS 'When it was first seen.';
COMMENT ON COLUMN report_workers.last_seen_at IS 'When it was last seen.';
COMMENT ON COLUMN report_workers.alive IS 'Whether that is within three of its intervals.';
