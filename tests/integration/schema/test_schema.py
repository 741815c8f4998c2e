"""The tables themselves: described, keyed, and their hot queries planned as meant."""

import json
import uuid
from datetime import UTC, datetime

import asyncpg
import pytest

from seawall.postgres import (
    action_store,
    budget_alert_store,
    budget_store,
    checkpoint_store,
    health_store,
    lease,
    outbox_store,
    pattern_session,
    pattern_store,
    payload_store,
    quarantine_store,
    record_query_store,
    reprocess_store,
    step_session,
    step_store,
    tuning_store,
    upkeep_store,
)
from seawall.postgres.names import in_schema
from seawall.postgres.partitions import ensure_partitions
from seawall.postgres.record_filter import filtered
from seawall.quarantine.record import OPEN, RecordFilter

TABLES = {
    "error_details", "checkpoints", "quarantined_records", "circuit_breaker_states",
    "recovery_action_counts", "retry_timings", "retry_tuning", "tuning_changes",
    "error_patterns", "retry_attempts", "error_budget", "failure_analysis", "recovery_actions",
    "system_health", "runs", "quarantine_attempts", "circuit_breaker_transitions", "audit_log",
    "schema_migrations", "circuit_breaker_votes", "circuit_breaker_permits",
    "fleet_tokens", "fleet_token_holders", "parked_calls", "checkpoint_leases",
    "checkpoint_history", "run_workers", "run_steps", "outbox_messages",
    "quarantine_payload_chunks", "quarantine_edits", "quarantine_purges",
    "quarantine_counts", "learned_outcomes", "background_jobs",
    "workers",
    "quarantine_counts", "learned_outcomes", "background_jobs", "error_budget_hours",
    "error_budget_objectives", "error_budget_alerts", "error_budget_exhausted",
    "alerts", "alert_notifications", "alert_silences",
    "error_pattern_shapes", "error_pattern_counts", "error_pattern_workers",
    "failure_slots", "failure_changes",
}  # fmt: skip

COLUMNS = """
SELECT c.relname AS table, a.attname AS column, obj_description(c.oid, 'pg_class') AS about_table,
       col_description(c.oid, a.attnum) AS about_column
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = 'seawall' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""

# Foreign keys whose columns no index begins with: deleting the parent would read the whole child.
BARE_FOREIGN_KEYS = """
SELECT k.conname FROM pg_constraint k
WHERE k.contype = 'f' AND k.connamespace = 'seawall'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL
    AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] = k.conkey)
"""

# 2,000 runs of 20 pipelines with two steps, ten quarantined records and ten errors each, the
# errors spread over January and February 2026.
FILL = """
INSERT INTO seawall.runs (run_id, pipeline_id, status)
SELECT 'r' || n, 'p' || n % 20, 'succeeded' FROM generate_series(1, 2000) n;
INSERT INTO seawall.checkpoints (checkpoint_id, run_id, step)
SELECT gen_random_uuid(), 'r' || n, s FROM generate_series(1, 2000) n, unnest('{a,b}'::text[]) s;
INSERT INTO seawall.checkpoint_leases (checkpoint_id, fence, owner, lease_until)
SELECT checkpoint_id, 1, 'h:1', now() FROM seawall.checkpoints;
INSERT INTO seawall.quarantined_records
    (record_id, quarantine_id, run_id, pipeline_id, step, payload, error_type, reason)
SELECT gen_random_uuid(), gen_random_uuid(), 'r' || n % 2000, 'p', 'a', '{}', 'data', 'bad'
FROM generate_series(1, 20000) n;
INSERT INTO seawall.quarantine_attempts (attempt_id, record_id, outcome)
SELECT gen_random_uuid(), record_id, 'failed' FROM seawall.quarantined_records;
INSERT INTO seawall.error_details
    (error_id, occurred_at, pipeline_id, run_id, error_type, exception_type, message, fingerprint)
SELECT (lpad(to_hex(1767225600000 + n * 250000), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid,
       now(), 'p' || n % 20, 'r' || n % 2000, 'data', 'E', 'm', 'f'
FROM generate_series(1::bigint, 20000) n;
INSERT INTO seawall.circuit_breaker_transitions
    (transition_id, service_name, from_state, to_state, epoch, run_id, occurred_at)
SELECT gen_random_uuid(), 's' || n % 50, 'closed', 'open', 1, 'r' || n % 2000, now()
FROM generate_series(1, 20000) n;
INSERT INTO seawall.outbox_messages (message_id, topic, message_key, payload)
SELECT gen_random_uuid(), 't' || n % 20, 'k' || n % 100, '{}' FROM generate_series(1, 20000) n;
INSERT INTO seawall.error_pattern_shapes (shape_key, pattern_id, error_type, tokens)
SELECT lpad(to_hex(n), 16, '0'), lpad(to_hex(n), 16, '0'), 'data', '[]'
FROM generate_series(1, 5000) n;
INSERT INTO seawall.error_patterns
    (pattern_id, error_message_pattern, error_type, first_seen, last_seen)
SELECT pattern_id, '', 'data', now(), now() FROM seawall.error_pattern_shapes;
INSERT INTO seawall.run_steps (run_id, step, status, function)
SELECT 'r' || n, s, 'waiting', 'f' FROM generate_series(1, 2000) n, unnest('{a,b}'::text[]) s;
INSERT INTO seawall.recovery_action_counts
SELECT 'p' || n % 20, current_date - n % 100, 'f' || n, '', 'transient', 'retry', 2, 1, 1
FROM generate_series(1, 20000) n;
INSERT INTO seawall.recovery_actions (action_id, pipeline_id, action, operation, automatic, outcome)
SELECT gen_random_uuid(), 'p' || n % 2000, 'tune', 's' || n % 50, true, 'failed'
FROM generate_series(1, 20000) n;
INSERT INTO seawall.retry_tuning (pipeline_id, operation, error_type, last_slot)
SELECT 'p' || n % 200, 'f' || n, 'transient', now() FROM generate_series(1, 20000) n;
INSERT INTO seawall.retry_timings
SELECT 'p' || n % 200, 'f' || n, 'transient', current_date, 0, 1, 2, 1
FROM generate_series(1, 20000) n;
INSERT INTO seawall.workers
    (worker_id, host, pid, pipeline_id, version, interval_seconds, status, readings, problems)
SELECT 'w' || n, 'h', n, 'p', '0', 30, 'ok', '{}', '{}' FROM generate_series(1, 2000) n;
INSERT INTO seawall.error_budget (pipeline_id, minute, good_runs)
SELECT 'p' || n % 20, now() - n * interval '1 minute', 1 FROM generate_series(1, 20000) n;
INSERT INTO seawall.error_budget_hours (pipeline_id, hour, good_runs)
SELECT 'p' || n % 20, now() - n * interval '1 hour', 1 FROM generate_series(1, 20000) n;
INSERT INTO seawall.error_budget_objectives (pipeline_id, sli, objective)
SELECT 'p' || n, 'runs', 0.9 FROM generate_series(1, 2000) n;
INSERT INTO seawall.error_budget_alerts (alert_id, pipeline_id, sli, state, severity, rule,
    objective, long_burn_rate, short_burn_rate, bad, total, resolved_at, announced)
SELECT gen_random_uuid(), 'p' || n, 'runs', 'resolved', 'page', 'r', 0.9, 9, 9, 9, 9, now(), true
FROM generate_series(1, 2000) n;
ANALYZE;
"""

# A query, its arguments, and how the name of each index ends that it may use. The program's own
# queries, where it has them already.
KEY = uuid.UUID(int=1)
PLANS = {
    "position of a step": (checkpoint_store._LOAD, ("r7", "a", 0), "checkpoints_step"),
    "save of a batch": (
        step_session._SAVE,
        (KEY, 1, 1, "1", 0, 0, 0, 0, 0, None, None, None, None, 1), "checkpoints_pkey",
    ),
    "renewal of a lease": (lease.RENEW, (KEY, 1, 30.0), "checkpoint_leases_pkey"),
    "who holds a step": (
        checkpoint_store._HOLDER, ("r7", "a", 0), ("checkpoints_step", "checkpoint_leases_pkey"),
    ),
    "settling of a commit": (step_session._SETTLE, (KEY,), "checkpoints_pkey"),
    "quarantine of a step": (
        quarantine_store.BY_REASON, ("r7", "a", 0), "quarantined_records_run",
    ),
    "taking of messages": (
        outbox_store._TAKE_BY_KEY, ("w", "t7", 100, 30.0, KEY),
        ("outbox_messages_due", "outbox_messages_held", "outbox_messages_pkey"),
    ),
    "report of a relay": (
        outbox_store._REPORT,
        ([KEY], [KEY], False, [KEY], [KEY], [1.0], ["x"], ["x"], [False], [KEY], [KEY], [0], [KEY],
         [KEY], [0], 30.0, True, [KEY]),
        ("outbox_messages_pkey", "outbox_messages_lane"),
    ),
    "look at a step": (step_store._LOOK, ("r7", "a"), "run_steps_pkey"),
    "quarantined records to encrypt": (
        payload_store._TO_ENCRYPT, ("new", KEY, 100), "quarantined_records_pkey",
    ),
    "records to reprocess": (
        *filtered(
            reprocess_store._TAKE, "seawall", RecordFilter(run_id="r7", status=OPEN), KEY, 100
        ),
        "quarantined_records_run",
    ),
    "page of a run's records": (
        *filtered(record_query_store._LIST, "seawall", RecordFilter(run_id="r7"), None, 100),
        "quarantined_records_run",
    ),
    "next page of all records": (
        *filtered(record_query_store._LIST, "seawall", RecordFilter(), KEY, 100),
        "quarantined_records_pkey",
    ),
    "one record of a page": (
        record_query_store._HISTORY, ([KEY],), "quarantine_attempts_record",
    ),
    "oldest open record": (
        record_query_store._OLDEST, ("p", KEY), "quarantined_records_pkey",
    ),
    "patterns of a flush": (pattern_session._ROWS, (["0" * 16],), "error_patterns_pkey"),
    "shapes that are news": (
        pattern_session._SHAPES, (4_990,), "error_pattern_shapes_sequence",
    ),
    "an id of before": (
        pattern_store._SET_STATUS, ("0" * 16, "open", "a", "b"),
        ("error_patterns_pkey", "error_pattern_shapes_pkey"),
    ),
    "what worked in a pipeline": (
        action_store._COUNTS, ("p7", ["transient"], 30), "recovery_action_counts_pkey",
    ),
    "automatic actions lately": (
        action_store._TAKEN_LATELY, ("p7",), "recovery_actions_automatic",
    ),
    "breaker to settle": (
        action_store._SETTLE, ("breaker_opened", "s7", "succeeded"),
        ("recovery_actions_open", "recovery_actions_pkey"),
    ),
    "what is known of retries": (
        tuning_store.STATES, ("p7", 14, 100), ("retry_tuning_pkey", "retry_timings_pkey"),
    ),
    "latest errors of a pipeline": (
        "SELECT * FROM {schema}.error_details WHERE pipeline_id = $1 "
        "ORDER BY error_id DESC LIMIT 20",
        ("p7",), "_pipeline_id_error_id_idx",
    ),
    "sample of a worker": (
        health_store._LEAVE, ("w7",), "workers_pkey",
    ),
    "transitions that are old": (
        upkeep_store._OLD_TRANSITIONS, (KEY, 2000), "circuit_breaker_transitions_pkey",
    ),
    "status of an error budget": (
        budget_store._MEASURE, ("p7", "runs", 86_400.0, [3600.0, 86_400.0]),
        ("error_budget_pkey", "error_budget_hours_pkey", "error_budget_objectives_pkey"),
    ),
    "changes of alerts to be told": (
        budget_alert_store._UNANNOUNCED, (), "error_budget_alerts_unannounced",
    ),
    "breakers of a run": (
        "SELECT * FROM {schema}.circuit_breaker_transitions WHERE run_id = $1",
        ("r7",), "circuit_breaker_transitions_run",
    ),
}  # fmt: skip


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


async def test_schema_every_table_is_there_and_it_and_each_column_is_described(connection):
    rows = await connection.fetch(COLUMNS)
    assert {row["table"] for row in rows} == TABLES
    assert [row["table"] for row in rows if not row["about_table"]] == []
    bare = [f"{row['table']}.{row['column']}" for row in rows if not row["about_column"]]
    assert bare == []


async def test_schema_every_foreign_key_has_an_index(connection):
    assert await connection.fetch(BARE_FOREIGN_KEYS) == []


def _nodes(plan):
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


async def test_plans_of_the_hot_queries_at_volume_read_their_index_alone(connection):
    await ensure_partitions(connection, "seawall", now=datetime(2026, 1, 1, tzinfo=UTC), ahead=1)
    await connection.execute(FILL)
    for name, (query, arguments, index) in PLANS.items():
        explain = in_schema(f"EXPLAIN (FORMAT JSON) {query}", "seawall")
        plan = json.loads(await connection.fetchval(explain, *arguments))[0]["Plan"]
        nodes = list(_nodes(plan))
        used = {node["Index Name"] for node in nodes if "Index Name" in node}
        assert used, name
        assert all(each.endswith(index) for each in used), (name, used)
        assert "Seq Scan" not in {node["Node Type"] for node in nodes}, name


async def test_plan_of_the_latest_errors_stops_at_its_limit(connection):
    """Merged from the partitions in the order of their indexes: nothing is sorted."""
    await ensure_partitions(connection, "seawall", now=datetime(2026, 1, 1, tzinfo=UTC), ahead=1)
    await connection.execute(FILL)
    query, arguments, _ = PLANS["latest errors of a pipeline"]
    explain = in_schema(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", "seawall")
    nodes = list(_nodes(json.loads(await connection.fetchval(explain, *arguments))[0]["Plan"]))
    assert "Sort" not in {node["Node Type"] for node in nodes}
    assert sum(node["Actual Rows"] for node in nodes if "Relation Name" in node) <= 22


async def test_checkpoint_saves_stay_on_their_page(connection):
    """HOT, on full pages too: no index is touched, and the page keeps room for the new version."""
    await connection.execute(
        "INSERT INTO seawall.runs (run_id, pipeline_id, status) VALUES ('r', 'p', 'running')"
    )
    keys = await connection.fetch(
        "INSERT INTO seawall.checkpoints (checkpoint_id, run_id, step, partition) "
        "SELECT gen_random_uuid(), 'r', 's', n FROM generate_series(1, 300) n "
        "RETURNING checkpoint_id"
    )
    save = in_schema(step_session._SAVE, "seawall")
    for n, row in enumerate(keys):
        await connection.execute(
            save, row["checkpoint_id"], 0, 0, str(n), n, n, 0, 1, 0, None, None, None, None, 1
        )
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    row = await connection.fetchrow(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'checkpoints'"
    )
    assert row["n_tup_upd"] == 300
    assert row["n_tup_hot_upd"] == 300
