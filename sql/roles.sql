-- Three roles, each with what it needs and no more. `seawall roles` prints this with your names;
-- run it as the owner of the schema (or a superuser) after each `seawall migrate`. The roles are
-- yours to make first: CREATE ROLE seawall_writer LOGIN …
--
--   owner   has the schema: migrates it (`seawall migrate`), drops old partitions (`seawall prune`),
--           purges quarantined records. No worker needs it.
--   writer  the workers. Adds errors and audit lines, but changes and deletes none; makes the next
--           partitions through a function of the owner's.
--   reader  people and dashboards. Sees what happened, but no payload.
--
-- A role is given the tables by name: a table that a later migration brings is nobody's until this is
-- run again.

BEGIN;

REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {writer}, {reader};
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC, {reader};
GRANT USAGE ON SCHEMA {schema} TO {writer}, {reader};

-- The writer: all is read, what is history is only added.
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {writer};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {writer};
GRANT INSERT ON
    {schema}.audit_log, {schema}.circuit_breaker_transitions, {schema}.error_details,
    {schema}.quarantine_attempts, {schema}.retry_attempts, {schema}.system_health,
    {schema}.tuning_changes
TO {writer};
GRANT INSERT, UPDATE ON
    {schema}.alert_notifications, {schema}.alert_silences, {schema}.background_jobs,
    {schema}.checkpoints, {schema}.circuit_breaker_states, {schema}.error_budget_objectives,
    {schema}.quarantine_edits, {schema}.quarantined_records, {schema}.run_steps, {schema}.runs
TO {writer};
GRANT INSERT, UPDATE, DELETE ON
    {schema}.alerts, {schema}.checkpoint_history, {schema}.checkpoint_leases,
    {schema}.circuit_breaker_permits, {schema}.circuit_breaker_votes,
    {schema}.error_budget, {schema}.error_budget_alerts, {schema}.error_budget_exhausted,
    {schema}.error_budget_hours,
    {schema}.error_pattern_counts, {schema}.error_pattern_shapes,
    {schema}.error_pattern_workers, {schema}.error_patterns, {schema}.failure_analysis,
    {schema}.failure_changes, {schema}.failure_slots, {schema}.fleet_token_holders,
    {schema}.fleet_tokens, {schema}.learned_outcomes, {schema}.outbox_messages,
    {schema}.parked_calls, {schema}.quarantine_counts, {schema}.quarantine_payload_chunks,
    {schema}.recovery_action_counts, {schema}.recovery_actions, {schema}.retry_timings,
    {schema}.retry_tuning, {schema}.run_workers, {schema}.workers
TO {writer};

-- The reader: tables without payloads whole, the others without their payloads.
GRANT SELECT ON
    {schema}.alert_notifications, {schema}.alert_silences, {schema}.alerts, {schema}.audit_log,
    {schema}.background_jobs, {schema}.checkpoint_history, {schema}.checkpoint_leases,
    {schema}.checkpoints, {schema}.circuit_breaker_permits, {schema}.circuit_breaker_states,
    {schema}.circuit_breaker_transitions, {schema}.circuit_breaker_votes, {schema}.error_budget,
    {schema}.error_budget_alerts, {schema}.error_budget_exhausted, {schema}.error_budget_hours,
    {schema}.error_budget_objectives, {schema}.error_details, {schema}.error_pattern_counts, {schema}.error_pattern_shapes,
    {schema}.error_pattern_workers, {schema}.error_patterns, {schema}.failure_analysis,
    {schema}.failure_changes, {schema}.failure_slots, {schema}.fleet_token_holders,
    {schema}.fleet_tokens, {schema}.learned_outcomes, {schema}.quarantine_attempts,
    {schema}.quarantine_counts, {schema}.quarantine_purges, {schema}.recovery_actions,
    {schema}.recovery_action_counts, {schema}.retry_attempts, {schema}.retry_timings,
    {schema}.retry_tuning, {schema}.run_workers, {schema}.runs, {schema}.schema_migrations,
    {schema}.system_health, {schema}.tuning_changes,
    {schema}.workers
TO {reader};
-- The views for Grafana: each shows a role what the tables behind it show that role.
GRANT SELECT ON
    {schema}.report_runs, {schema}.report_steps, {schema}.report_outcomes,
    {schema}.report_budgets, {schema}.report_budget_alerts, {schema}.report_errors,
    {schema}.report_error_patterns, {schema}.report_failures, {schema}.report_breakers,
    {schema}.report_breaker_transitions, {schema}.report_quarantine, {schema}.report_recoveries,
    {schema}.report_alerts, {schema}.report_workers
TO {reader};
GRANT SELECT (
    record_id, quarantine_id, run_id, pipeline_id, step, partition, batch_id, position, redacted,
    error_type, reason, sqlstate, constraint_name, column_name, exception_type, traceback_digest,
    status, attempts, quarantined_at, updated_at, key_id
) ON {schema}.quarantined_records TO {reader};
GRANT SELECT (edit_id, record_id, redacted, actor, why, edited_at, key_id)
    ON {schema}.quarantine_edits TO {reader};
GRANT SELECT (record_id, chunk) ON {schema}.quarantine_payload_chunks TO {reader};
GRANT SELECT (
    call_id, operation, idempotency_key, not_before, status, attempts, lease_id, lease_until,
    worker_id, error_type, reason, pipeline_id, run_id, parked_at, updated_at
) ON {schema}.parked_calls TO {reader};
GRANT SELECT (
    message_id, sequence, topic, message_key, idempotency_key, status, not_before, attempts,
    lease_id, worker_id, error_type, reason, pipeline_id, run_id, published_at, ended_at
) ON {schema}.outbox_messages TO {reader};
GRANT SELECT (
    run_id, step, status, function, arguments_digest, attempts, fence, owner, lease_until,
    error_type, error_message, created_at, updated_at
) ON {schema}.run_steps TO {reader};

COMMIT;
