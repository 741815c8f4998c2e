"""Monthly partitions by UUIDv7 key: made ahead, filled, dropped by age."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from seawall.clock import utc_now, uuid7
from seawall.postgres.partitions import drop_partitions, ensure_partitions, uuid7_floor

INSERT = """
INSERT INTO seawall.retry_attempts (attempt_id, occurred_at, operation, attempt, outcome)
VALUES ($1, now(), 'f', 1, 'scheduled') RETURNING tableoid::regclass::text
"""


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


def key(*moment):
    floor = uuid7_floor(datetime(*moment, tzinfo=UTC))
    return uuid.UUID(int=floor.int | 12345)


def test_uuid7_floor_is_below_every_id_of_its_moment():
    before, made = uuid7_floor(utc_now()), uuid7()
    assert before <= made < uuid7_floor(utc_now() + timedelta(milliseconds=2))
    assert (before.version, before.variant) == (7, "specified in RFC 4122")


async def test_partitions_migration_makes_them_for_new_rows(connection):
    now = utc_now()
    assert await connection.fetchval(INSERT, uuid7()) == f"seawall.retry_attempts_{now:%Y_%m}"


async def test_partitions_month_and_year_edges_go_where_they_belong(connection):
    made = await ensure_partitions(
        connection, "seawall", now=datetime(2031, 12, 31, tzinfo=UTC), ahead=1
    )
    assert "retry_attempts_2031_12" in made
    assert "retry_attempts_2032_01" in made
    assert len(made) == 6
    edges = {
        (2031, 12, 1): "2031_12", (2031, 12, 31, 23, 59, 59, 999000): "2031_12", (2032, 1, 1): "2032_01",
    }  # fmt: skip
    for moment, suffix in edges.items():
        assert await connection.fetchval(INSERT, key(*moment)) == f"seawall.retry_attempts_{suffix}"


async def test_partitions_rows_of_the_default_are_moved_when_theirs_is_made(connection):
    late = key(2040, 5, 5)
    assert await connection.fetchval(INSERT, late) == "seawall.retry_attempts_default"
    await ensure_partitions(connection, "seawall", now=datetime(2040, 5, 1, tzinfo=UTC), ahead=0)
    where = await connection.fetchval(
        "SELECT tableoid::regclass::text FROM seawall.retry_attempts WHERE attempt_id = $1", late
    )
    assert where == "seawall.retry_attempts_2040_05"


async def test_partitions_many_workers_at_once_make_each_once(connection, database_dsn):
    async def worker():
        own = await asyncpg.connect(database_dsn)
        try:
            return await ensure_partitions(own, "seawall", now=datetime(2050, 1, 1, tzinfo=UTC))
        finally:
            await own.close()

    made = await asyncio.gather(*(worker() for _ in range(10)))
    names = sum(made, [])
    assert len(names) == len(set(names)) == 9


async def test_partitions_table_that_is_locked_is_left_to_the_next_time(connection, database_dsn):
    now = datetime(2060, 1, 1, tzinfo=UTC)
    other = await asyncpg.connect(database_dsn)
    async with other.transaction():
        await other.execute("LOCK TABLE seawall.system_health IN ACCESS EXCLUSIVE MODE")
        made = await ensure_partitions(connection, "seawall", now=now, ahead=0)
        assert made == ["error_details_2060_01", "retry_attempts_2060_01"]
    await other.close()
    assert await ensure_partitions(connection, "seawall", now=now, ahead=0) == [
        "system_health_2060_01"
    ]


async def test_partitions_dropped_by_age_take_their_rows(connection):
    for month in (1, 2, 3):
        await ensure_partitions(
            connection, "seawall", now=datetime(2020, month, 1, tzinfo=UTC), ahead=0
        )
    await connection.fetchval(INSERT, key(2020, 1, 15))
    await connection.fetchval(INSERT, key(2020, 3, 15))
    dropped = await drop_partitions(
        connection, "seawall", keep=timedelta(days=31), now=datetime(2020, 4, 2, tzinfo=UTC)
    )
    assert {name for name in dropped if name.startswith("retry")} == {
        "retry_attempts_2020_01", "retry_attempts_2020_02",
    }  # fmt: skip
    assert await connection.fetchval("SELECT count(*) FROM seawall.retry_attempts") == 1


PLANS = {
    "position": (
        "SELECT position FROM seawall.checkpoints WHERE run_id = 'r' AND step = 's' AND partition = 0",
        "checkpoints_step",
    ),
    "quarantine": (
        "SELECT reason, count(*) FROM seawall.quarantined_records WHERE run_id = 'r' AND step = 's' "
        "GROUP BY reason",
        "quarantined_records_run",
    ),
    "latest errors": (
        "SELECT * FROM seawall.error_details WHERE pipeline_id = 'p' ORDER BY error_id DESC LIMIT 20",
        "pipeline_id_error_id_idx",
    ),
    "transitions": (
        "SELECT * FROM seawall.circuit_breaker_transitions WHERE run_id = 'r'",
        "circuit_breaker_transitions_run",
    ),
}


@pytest.mark.parametrize("name", PLANS)
async def test_plan_of_a_hot_query_uses_its_index(connection, name):
    query, index = PLANS[name]
    await connection.execute("SET enable_seqscan = off")
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}"))
    assert index in plan
    assert "Seq Scan" not in plan


async def test_checkpoint_updates_stay_on_their_page(connection):
    """HOT: no index is touched by the update of every batch."""
    await connection.execute(
        "INSERT INTO seawall.runs (run_id, pipeline_id, status) VALUES ('r', 'p', 'running'); "
        "INSERT INTO seawall.checkpoints (checkpoint_id, run_id, step) VALUES (gen_random_uuid(), 'r', 's')"
    )
    for n in range(50):
        await connection.execute(
            "UPDATE seawall.checkpoints SET position = $1, version = version + 1, read_count = $2, "
            "updated_at = clock_timestamp()", str(n), n,
        )  # fmt: skip
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    row = await connection.fetchrow(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'checkpoints'"
    )
    assert row["n_tup_upd"] == 50
    assert row["n_tup_hot_upd"] >= 45
