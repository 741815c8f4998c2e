"""Least privilege: workers do all their work as a writer, and neither role does anything else."""

import re
import uuid
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

import seawall
from seawall import CircuitState, ErrorRecoveryManager, RecordFilter
from seawall.clock import utc_now
from seawall.postgres.partitions import ensure_partitions
from seawall.postgres.roles import render_roles

DENIED = asyncpg.InsufficientPrivilegeError
PRIVATE = {
    "quarantined_records", "quarantine_edits", "quarantine_payload_chunks", "parked_calls",
    "outbox_messages", "run_steps",
}  # fmt: skip
# What no worker does: migrations and purges are the owner's.
OWNERS = {
    ("schema_migrations", "INSERT"), ("quarantined_records", "DELETE"),
    ("quarantine_purges", "INSERT"), ("quarantine_purges", "UPDATE"),
    ("runs", "DELETE"), ("circuit_breaker_transitions", "DELETE"),
}  # fmt: skip


@pytest.fixture
async def roles(database_dsn):
    """DSNs of a writer and a reader, by name, on a database of the owner's."""
    owner = await asyncpg.connect(database_dsn)
    names = {role: f"{role}_{uuid.uuid4().hex[:8]}" for role in ("writer", "reader")}
    password = uuid.uuid4().hex
    for name in names.values():
        await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    await owner.execute(render_roles(**names))
    parts = urlsplit(database_dsn)
    found = {}
    for role, name in names.items():
        host = parts.netloc.rpartition("@")[2]
        found[role] = urlunsplit(parts._replace(netloc=f"{name}:{password}@{host}"))
    await owner.execute(
        f"CREATE TABLE orders (id int PRIMARY KEY, total int CHECK (total >= 0));"
        f"GRANT SELECT, INSERT, UPDATE ON orders TO {names['writer']}"
    )
    yield found
    for name in names.values():
        await owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    await owner.close()


async def test_writer_does_all_that_workers_do(roles):
    async def once():
        return 1

    async def repair(tx, record):
        await tx.load("orders", [{**record, "total": 0}])

    sent = []

    async def deliver(message):
        sent.append(message.payload)

    async with ErrorRecoveryManager(roles["writer"], pipeline_id="p") as manager:
        async with manager.run("p", "r") as run:
            assert await run.step("once", once) == 1
            rows = [{"id": n, "total": n - 1} for n in range(5)]

            async def load(tx, batch):
                await tx.load("orders", batch.records, on_conflict="update")
                await tx.publish("loaded", batch.id)

            report = await manager.stream(lambda _: rows, load, run_id="r", size=2)
            assert (report.rows_loaded, report.rows_quarantined) == (4, 1)
            await manager.log_error_details("r", ValueError("x"))
            await manager.checkpoint_progress("r", "plain", {"page": 1})
        relay = manager.relay("loaded", deliver)
        await relay.deliver()
        assert len(sent) == 3
        (bad,) = await manager.list_quarantined_records(RecordFilter(run_id="r"))
        await manager.edit_quarantined_record(bad.record_id, bad.record, why="x")
        assert (await manager.reprocess_quarantined_records("r", processor=repair)).reprocessed == 1
        assert (await manager.quarantine_growth("p")).backlog == 0
        await manager.force_circuit_breaker("b", CircuitState.FORCED_OPEN, reason="x")
        history = await manager.checkpoint_history("r", "plain")
        await manager.rewind_checkpoint("r", "plain", history[-1].version, actor="a", reason="b")
        await manager.raise_alert("k", "t")
        await manager._services.analytics.jobs.run_due()
        async with manager.database.acquire() as connection:
            failed = await connection.fetch(
                "SELECT job, last_error FROM seawall.background_jobs WHERE last_error IS NOT NULL"
            )
    assert [tuple(row) for row in failed] == []


NEEDLESS = [
    "UPDATE seawall.error_details SET message = ''",
    "DELETE FROM seawall.error_details",
    "DELETE FROM seawall.audit_log",
    "UPDATE seawall.audit_log SET actor = 'x'",
    "DELETE FROM seawall.quarantined_records",
    "UPDATE seawall.quarantine_attempts SET outcome = 'reprocessed'",
    "DELETE FROM seawall.runs",
    "INSERT INTO seawall.schema_migrations VALUES (9999, 'x', 'x', now(), 'x')",
    "TRUNCATE seawall.error_details",
    "DROP TABLE seawall.error_details_default",
    "CREATE TABLE seawall.mine ()",
    "ALTER TABLE seawall.runs ADD COLUMN x int",
]


async def test_writer_is_denied_what_it_does_not_need(roles):
    connection = await asyncpg.connect(roles["writer"])
    for statement in NEEDLESS:
        with pytest.raises(DENIED):
            await connection.execute(statement)
    await connection.close()


async def test_reader_sees_what_happened_but_no_payload(roles, database_dsn):
    async with ErrorRecoveryManager(database_dsn) as manager:
        await manager.quarantine_bad_records("r", [{"secret": 1}], "why")
    connection = await asyncpg.connect(roles["reader"])
    assert await connection.fetchval("SELECT reason FROM seawall.quarantined_records") == "why"
    for statement in (
        "SELECT payload FROM seawall.quarantined_records",
        "SELECT reasons FROM seawall.quarantined_records",
        "SELECT arguments FROM seawall.parked_calls",
        "SELECT result FROM seawall.run_steps",
        "SELECT payload FROM seawall.outbox_messages",
        "INSERT INTO seawall.runs (run_id, pipeline_id, status) VALUES ('x', 'x', 'running')",
        "SELECT seawall.make_partition('error_details', '2040-01-01')",
        "SELECT seawall.circuit_breaker_force('b', 'open', 1, 'x')",
    ):
        with pytest.raises(DENIED):
            await connection.fetch(statement)
    await connection.close()


async def test_writer_makes_partitions_and_only_those(roles):
    connection = await asyncpg.connect(roles["writer"])
    later = utc_now() + timedelta(days=500)
    made = await ensure_partitions(connection, "seawall", now=later, ahead=0)
    assert len(made) == 3
    for parent, month in (("runs", "2040-01-01"), ("error_details", "2999-01-01")):
        with pytest.raises(asyncpg.InvalidParameterValueError, match="make_partition"):
            await connection.fetchval(
                "SELECT seawall.make_partition($1, $2::text::date)", parent, month
            )
    await connection.close()


async def test_owners_functions_never_touch_a_writers_temporary_tables(roles):
    """A table of the same name with a trigger of its own would run as the owner."""
    connection = await asyncpg.connect(roles["writer"])
    await connection.execute(
        """
        CREATE TEMP TABLE quarantine_counts (LIKE seawall.quarantine_counts);
        CREATE TEMP TABLE error_details (LIKE seawall.error_details);
        INSERT INTO seawall.quarantined_records
            (record_id, quarantine_id, run_id, pipeline_id, step, payload, error_type, reason)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'r', 'p', 's', '1', 'data', 'why');
        SELECT seawall.make_partition('error_details', '2041-01-01');
        """
    )
    assert await connection.fetchval("SELECT count(*) FROM pg_temp.quarantine_counts") == 0
    assert await connection.fetchval("SELECT count(*) FROM seawall.quarantine_counts") == 1
    await connection.close()


def statements():
    """Which table the program's statements change, and how."""
    found = defaultdict(set)
    for path in Path(seawall.__file__).parent.rglob("*.py"):
        text = path.read_text("utf-8")
        for verb, words in (
            ("INSERT", "INSERT INTO"),
            ("UPDATE", "UPDATE"),
            ("DELETE", "DELETE FROM"),
        ):
            for table in re.findall(rf"{words} \{{schema\}}\.(\w+)", text):
                found[table].add(verb)
    return found


async def test_roles_name_every_table_and_what_is_done_with_it(roles, database_dsn):
    connection = await asyncpg.connect(database_dsn)
    users = {role: urlsplit(dsn).username for role, dsn in roles.items()}
    tables = await connection.fetch(
        "SELECT c.relname, has_table_privilege($1, c.oid, 'SELECT') AS whole, "
        "has_any_column_privilege($1, c.oid, 'SELECT') AS some FROM pg_class c "
        "WHERE relnamespace = 'seawall'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition",
        users["reader"],
    )
    assert {row["relname"] for row in tables if not row["whole"]} == PRIVATE
    assert all(row["some"] for row in tables)
    missing = [
        (table, verb)
        for table, verbs in statements().items()
        for verb in sorted(verbs)
        if (table, verb) not in OWNERS
        and not await connection.fetchval(
            "SELECT has_table_privilege($1, $2, $3)", users["writer"], f"seawall.{table}", verb
        )
    ]
    assert missing == []
    await connection.close()
