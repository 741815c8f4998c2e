"""Monthly partitions by UUIDv7 key: made ahead, filled, dropped by age."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.clock import utc_now, uuid7
from seawall.errors import InvalidConfigError
from seawall.postgres.partitions import drop_partitions, ensure_partitions, uuid7_floor

INSERT = """
INSERT INTO seawall.retry_attempts (attempt_id, occurred_at, operation, attempt, outcome)
VALUES ($1, now(), 'f', 1, 'scheduled') RETURNING tableoid::regclass::text
"""

WHERE = "SELECT tableoid::regclass::text FROM seawall.retry_attempts WHERE attempt_id = $1"

# Of this database only: other tests may share the server.
WAITING = """
SELECT count(DISTINCT pid) FROM pg_locks
WHERE NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
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


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_uuid7_floor_is_exact_to_the_millisecond(moment):
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert uuid7_floor(moment).int >> 80 == milliseconds


def test_uuid7_floor_before_1970_is_the_smallest_key_and_without_a_zone_refused():
    assert uuid7_floor(datetime(1944, 1, 1, tzinfo=UTC)).int >> 80 == 0
    with pytest.raises(TypeError, match="naive"):
        uuid7_floor(datetime(2026, 1, 1))


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
    assert await connection.fetchval(WHERE, late) == "seawall.retry_attempts_2040_05"


async def test_partitions_writer_that_comes_in_meanwhile_is_not_refused(connection, database_dsn):
    """It waits before it has chosen the default partition, and then finds the new one."""
    first, second = key(2042, 3, 3), key(2042, 3, 4)
    writer, later = await asyncpg.connect(database_dsn), await asyncpg.connect(database_dsn)
    async with writer.transaction():
        await writer.fetchval(INSERT, first)
        making = asyncio.ensure_future(
            ensure_partitions(connection, "seawall", now=datetime(2042, 3, 1, tzinfo=UTC), ahead=0)
        )
        while await writer.fetchval(WAITING) < 1:
            pass
        writing = asyncio.ensure_future(later.fetchval(INSERT, second))
        while await writer.fetchval(WAITING) < 2:
            pass
    assert "retry_attempts_2042_03" in await making
    assert await writing == "seawall.retry_attempts_2042_03"
    await writer.close()
    await later.close()


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
async def test_partitions_row_that_comes_in_meanwhile_is_moved_too(
    connection, database_dsn, isolation
):
    """A writer's uncommitted row in the default partition is waited for, then moved."""
    late, february = key(2041, 3, 3), datetime(2041, 2, 1, tzinfo=UTC)
    await ensure_partitions(connection, "seawall", now=february, ahead=0)
    await connection.execute(f"SET default_transaction_isolation = '{isolation}'")
    writer = await asyncpg.connect(database_dsn)
    async with writer.transaction():
        await writer.fetchval(INSERT, late)
        making = asyncio.ensure_future(
            ensure_partitions(connection, "seawall", now=february, ahead=1)
        )
        while not await writer.fetchval(WAITING):
            pass
    assert "retry_attempts_2041_03" in await making
    assert await writer.fetchval(WHERE, late) == "seawall.retry_attempts_2041_03"
    await writer.close()


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


async def test_partitions_dropped_by_many_workers_at_once_are_named_by_one_each(
    connection, database_dsn
):
    for month in range(1, 5):
        await ensure_partitions(
            connection, "seawall", now=datetime(2020, month, 1, tzinfo=UTC), ahead=0
        )

    async def worker():
        own = await asyncpg.connect(database_dsn)
        try:
            return await drop_partitions(
                own, "seawall", keep=timedelta(days=31), now=datetime(2020, 6, 2, tzinfo=UTC)
            )
        finally:
            await own.close()

    names = sum(await asyncio.gather(*(worker() for _ in range(6))), [])
    assert len(names) == len(set(names)) == 12


async def test_partitions_old_rows_of_the_default_are_deleted_younger_ones_stay(connection):
    now = datetime(2020, 4, 2, tzinfo=UTC)
    old, young, future = key(2019, 5, 5), key(2020, 3, 15), key(2045, 1, 1)
    for each in (old, young, future):
        assert await connection.fetchval(INSERT, each) == "seawall.retry_attempts_default"
    assert await drop_partitions(connection, "seawall", keep=timedelta(days=31), now=now) == []
    left = await connection.fetch("SELECT attempt_id FROM seawall.retry_attempts ORDER BY 1")
    assert [row[0] for row in left] == [young, future]


@pytest.mark.parametrize(
    "name", ["retry_attempts_archive", "archive_2001_01", "retry_attempts_2001_13"]
)
async def test_partitions_one_that_a_user_attached_is_never_dropped(connection, name):
    start, end = (
        uuid7_floor(datetime(2001, 1, 1, tzinfo=UTC)),
        uuid7_floor(datetime(2002, 1, 1, tzinfo=UTC)),
    )
    await connection.execute(
        f"CREATE TABLE seawall.{name} PARTITION OF seawall.retry_attempts "
        f"FOR VALUES FROM ('{start}') TO ('{end}')"
    )
    assert await drop_partitions(connection, "seawall", keep=timedelta(days=1)) == []
    assert await connection.fetchval("SELECT to_regclass($1)", f"seawall.{name}") is not None


async def test_partitions_keep_out_of_range_drops_nothing(connection):
    for keep in (timedelta(0), timedelta(days=-1)):
        with pytest.raises(InvalidConfigError, match="keep=.* must be positive"):
            await drop_partitions(connection, "seawall", keep=keep)
    assert await drop_partitions(connection, "seawall", keep=timedelta.max) == []
