"""TableSource on a real server: order, resuming, outages, and what it refuses."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from seawall import RecordSource, TableSource
from seawall.config import RecoveryConfig
from seawall.errors import InvalidConfigError, MissingTableError, SourceError
from seawall.postgres.database import Database
from seawall.postgres.paging import RESOLVE, Paging
from seawall.postgres.table_source import is_passing
from seawall.quarantine import codec
from seawall.retry import RetryPolicy
from support.proxy import Proxy, target_of, through
from support.sources import read

QUICK_LOST = RetryPolicy(max_retries=4, initial_delay=0.01, max_delay=0.05, retry_on=is_passing)


@pytest.fixture
async def connection(empty_database_dsn):
    connection = await asyncpg.connect(empty_database_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def numbers(connection):
    await connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, word text)")
    await connection.execute(
        "INSERT INTO numbers SELECT n * 2, 'w' || n FROM generate_series(1, 100) n"
    )
    return [(n * 2, {"id": n * 2, "word": f"w{n}"}) for n in range(1, 101)]


@pytest.mark.parametrize("page", [1, 7, 99, 100, 101, 10_000])
@pytest.mark.parametrize("snapshot", [False, True])
async def test_table_source_any_page_size_gives_every_row_once(
    empty_database_dsn, numbers, page, snapshot
):
    source = TableSource(empty_database_dsn, "numbers", page=page, snapshot=snapshot)
    assert isinstance(source, RecordSource)
    assert await read(source) == numbers


@pytest.mark.parametrize("snapshot", [False, True])
async def test_table_source_after_a_row_begins_behind_it(empty_database_dsn, numbers, snapshot):
    source = TableSource(empty_database_dsn, "numbers", page=13, snapshot=snapshot)
    for taken in (1, 12, 13, 14, 99, 100):
        assert await read(source, numbers[taken - 1][0]) == numbers[taken:]
    assert await read(source, 3) == numbers[1:]  # a row that was deleted meanwhile


async def test_table_source_takes_pool_and_database(empty_database_dsn, numbers):
    async with asyncpg.create_pool(empty_database_dsn, min_size=1, max_size=1) as pool:
        source = TableSource(pool, "numbers", page=30)
        assert await read(source) == numbers
        assert await read(source, limit=31) == numbers[:31]
        assert pool.get_idle_size() == 1  # left early, it gave its connection back
    database = Database(empty_database_dsn, config=RecoveryConfig())
    await database.start(migrated=False)
    try:
        assert await read(TableSource(database, "numbers", page=30)) == numbers
    finally:
        await database.aclose()


async def test_table_source_left_early_closes_its_connection(
    empty_database_dsn, numbers, connection
):
    await read(TableSource(empty_database_dsn, "numbers", page=5), limit=6)
    await read(TableSource(empty_database_dsn, "numbers", page=5, snapshot=True), limit=6)
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seawall source'"
    for _ in range(100):
        if await connection.fetchval(open_ones) == 0:
            return
    raise AssertionError("a connection is left open")


KEYS = {
    "bigint": [1, 2**62],
    "text": ["a", 'q"uote', "z\u2028", "é"],
    "numeric": [Decimal("-1.50"), Decimal("0.1"), Decimal("12345678901234567890.123")],
    "timestamptz": [datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, 0, 0, 0, 1, tzinfo=UTC)],
    "timestamp": [datetime(1999, 1, 1), datetime(2013, 1, 1, 0, 0, 0, 999999)],
    "date": [date(1, 1, 1), date(2026, 2, 28)],
    "uuid": [UUID(int=5), UUID(int=2**127)],
    "bytea": [b"\x00", b"\x00\xff"],
    "float8": [-1.5, 0.1, float("inf")],
    "char(5)": ["ab   ", "b    "],
}


@pytest.mark.parametrize("sql_type", KEYS)
async def test_table_source_key_of_any_type_comes_back_from_its_stored_position(
    empty_database_dsn, connection, sql_type
):
    await connection.execute(f'CREATE TABLE "odd ""name" ("the ""Key" {sql_type} PRIMARY KEY)')
    values = KEYS[sql_type]
    await connection.executemany('INSERT INTO "odd ""name" VALUES ($1)', [(v,) for v in values])
    source = TableSource(empty_database_dsn, '"odd ""name"', key=['the "Key'], page=1)
    found = await read(source)
    assert sorted(p for p, _ in found) == sorted(values)
    for taken, (position, record) in enumerate(found, 1):
        assert record == {'the "Key': position}
        assert codec.decode(codec.encode(record)) == record
        restored = codec.decode(codec.encode(position))
        assert type(restored) is type(position)
        assert await read(source, restored) == found[taken:]


async def test_table_source_composite_key_is_compared_as_a_row(empty_database_dsn, connection):
    await connection.execute("CREATE TABLE t (a date, b uuid, PRIMARY KEY (a, b))")
    await connection.execute(
        "INSERT INTO t SELECT date '2020-01-01' + n / 10, gen_random_uuid() FROM generate_series(0, 99) n"
    )
    source = TableSource(empty_database_dsn, "t", key=("a", "b"), page=7)
    found = await read(source)
    assert [record for _, record in found] == [
        {"a": row["a"], "b": UUID(int=row["b"].int)}
        for row in await connection.fetch("SELECT * FROM t ORDER BY a, b")
    ]
    after = codec.decode(codec.encode(found[49][0]))
    assert after == [date(2020, 1, 5), found[49][1]["b"]]
    assert await read(source, after) == found[50:]


async def test_table_source_reads_a_query_with_arguments(empty_database_dsn, numbers):
    source = TableSource(
        empty_database_dsn,
        query="SELECT id / 2 AS half, word FROM numbers WHERE id > $1 AND word <> $2 -- the rest",
        args=(100, "w60"),
        key=["half"],
        page=7,
    )
    expected = [n for n in range(51, 101) if n != 60]
    assert [position for position, _ in await read(source)] == expected
    assert [position for position, _ in await read(source, 90)] == list(range(91, 101))


async def test_table_source_rows_inserted_behind_the_key_are_read_those_before_are_not(
    empty_database_dsn, numbers, connection
):
    seen = []
    async for chunk in TableSource(empty_database_dsn, "numbers", page=50).chunks(None):
        if not seen:
            await connection.execute("INSERT INTO numbers VALUES (1, 'late'), (201, 'new')")
        seen += [position for position, _ in chunk]
    assert seen == [position for position, _ in numbers] + [201]


async def test_table_source_snapshot_sees_nothing_that_came_after_its_start(
    empty_database_dsn, numbers, connection
):
    seen = []
    async for chunk in TableSource(empty_database_dsn, "numbers", page=50, snapshot=True).chunks(
        None
    ):
        await connection.execute(f"INSERT INTO numbers VALUES ({1000 + len(seen)}, 'new')")
        seen += chunk
    assert seen == numbers


async def test_table_source_finished_goes_on_with_new_rows(empty_database_dsn, numbers, connection):
    source = TableSource(empty_database_dsn, "numbers")
    assert await read(source, 200) == []
    await connection.execute("INSERT INTO numbers VALUES (201, 'new')")
    assert await read(source, 200) == [(201, {"id": 201, "word": "new"})]


@pytest.mark.parametrize("key", [("id",), ("word", "id"), ("id", "word")])
@pytest.mark.parametrize("page", [1, 3, 100])
async def test_table_source_null_in_the_key_is_an_error_before_any_row(
    empty_database_dsn, connection, key, page
):
    await connection.execute("CREATE TABLE t (id int, word text)")
    await connection.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL), (NULL, 'd')")
    for source in (
        TableSource(empty_database_dsn, "t", key=key, page=page),
        TableSource(empty_database_dsn, query="SELECT * FROM t", key=key, page=page),
    ):
        with pytest.raises(SourceError, match="NULL in the key"):
            await anext(source.chunks(None))
    whole = TableSource(
        empty_database_dsn,
        query="SELECT * FROM t WHERE id IS NOT NULL AND word IS NOT NULL",
        key=key,
    )
    assert len(await read(whole)) == 2


async def test_table_source_null_that_comes_while_it_is_read_is_an_error(
    empty_database_dsn, connection
):
    await connection.execute("CREATE TABLE t (a int, b int)")
    await connection.execute("INSERT INTO t SELECT n, n FROM generate_series(1, 9) n")
    chunks = TableSource(empty_database_dsn, "t", key=("a", "b"), page=3).chunks(None)
    await anext(chunks)
    await connection.execute("INSERT INTO t VALUES (5, NULL)")
    with pytest.raises(SourceError, match="NULL in the key"):
        async for _ in chunks:
            pass


@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize("page", [1, 2, 3, 4, 100])
async def test_table_source_key_that_is_not_unique_is_an_error_wherever_the_page_ends(
    empty_database_dsn, connection, page, snapshot
):
    """The second of two rows with one key would never be behind the first."""
    await connection.execute("CREATE TABLE t (id int NOT NULL, n int)")
    await connection.execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3), (3, 4), (5, 5)")
    with pytest.raises(SourceError, match=r"two rows have the key \['id'\] = 3"):
        await read(TableSource(empty_database_dsn, "t", page=page, snapshot=snapshot))
    both = TableSource(empty_database_dsn, "t", key=("id", "n"), page=page, snapshot=snapshot)
    await connection.execute("ALTER TABLE t ALTER n SET NOT NULL")
    assert len(await read(both)) == 5


async def test_table_source_page_query_reads_the_keys_index(connection):
    await connection.execute("CREATE TABLE big (a int, b int, rest text, PRIMARY KEY (a, b))")
    await connection.execute(
        "INSERT INTO big SELECT n / 100, n, repeat('x', 50) FROM generate_series(1, 50000) n"
    )
    await connection.execute("ANALYZE big")
    row = await connection.fetchrow(RESOLVE, "big", ["a", "b"])
    assert (row["name"], row["nullable"]) == ("public.big", [])
    for paging in (
        Paging(row["name"], ("a", "b")),
        Paging.of_query("SELECT * FROM big WHERE rest <> ''", ("a", "b"), 0),
    ):
        for behind, args in ((False, ()), (True, (250, 25_000))):
            lines = await connection.fetch(
                "EXPLAIN " + paging.rows(behind=behind, limit=1001), *args
            )
            plan = "\n".join(line[0] for line in lines)
            assert "Index Scan using big_pkey" in plan, plan
            assert "Sort" not in plan, plan
            assert ("Index Cond: (ROW(" in plan) == behind, plan


@pytest.mark.parametrize("message", range(1, 40, 3))
async def test_table_source_connection_cut_anywhere_goes_on_from_the_last_key(
    empty_database_dsn, numbers, message
):
    async with Proxy(target_of(empty_database_dsn)) as proxy:
        proxy.cut_at = message
        source = TableSource(
            through(empty_database_dsn, proxy.port), "numbers", page=20, retry=QUICK_LOST
        )
        assert await read(source) == numbers
        assert proxy.cuts == 1


async def test_table_source_server_that_stays_away_is_an_error_after_bounded_retries(
    empty_database_dsn, numbers
):
    async with Proxy(target_of(empty_database_dsn)) as proxy:
        source = TableSource(
            through(empty_database_dsn, proxy.port), "numbers", page=20, retry=QUICK_LOST
        )
        chunks = source.chunks(None)
        first = await anext(chunks)
        proxy.refusing = True
        proxy.cut_all()
        with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
            await anext(chunks)
        proxy.refusing = False
        assert first + await read(source, first[-1][0]) == numbers


async def test_table_source_backend_terminated_between_pages_is_replaced(
    empty_database_dsn, numbers, connection
):
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'seawall source'"
    found = []
    async for chunk in TableSource(empty_database_dsn, "numbers", page=30, retry=QUICK_LOST).chunks(
        None
    ):
        found += chunk
        await connection.execute(end)
    assert found == numbers


async def test_table_source_snapshot_cut_says_what_to_do(empty_database_dsn, numbers):
    async with Proxy(target_of(empty_database_dsn)) as proxy:
        source = TableSource(
            through(empty_database_dsn, proxy.port), "numbers", page=20, snapshot=True
        )
        chunks = source.chunks(None)
        first = await anext(chunks)
        proxy.cut_all()
        with pytest.raises(SourceError, match="snapshot"):
            await anext(chunks)
        assert first + await read(source, first[-1][0]) == numbers


async def test_table_source_slow_page_times_out(empty_database_dsn, connection):
    source = TableSource(
        empty_database_dsn, query="SELECT 1 AS id, pg_sleep(1);", page_timeout=0.05,
        retry=RetryPolicy(max_retries=1, initial_delay=0.01),
    )  # fmt: skip
    with pytest.raises(TimeoutError):
        await read(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "t", "query": "SELECT 1"}, "give one of them"),
        ({}, "give one of them"),
        ({"table": "t", "args": [1]}, "a table takes none"),
        ({"table": "t", "key": "id"}, "list of columns"),
        ({"table": "t", "key": []}, "list of columns"),
        ({"table": "t", "key": ["id DESC"]}, "ascending"),
        ({"table": "t", "key": ["a", "a"]}, "twice"),
        ({"table": "t", "page": 0}, "page=0"),
        ({"table": "t", "page_timeout": 0}, "page_timeout=0"),
    ],
)
def test_table_source_wrong_options_are_named(options, message):
    with pytest.raises(InvalidConfigError, match=message):
        TableSource("postgresql://host/db", **options)


def test_table_source_wrong_database_is_named_without_its_secrets():
    with pytest.raises(InvalidConfigError, match="DSN") as caught:
        TableSource("mysql://user:secret@host/db", "t")
    assert "secret" not in str(caught.value)


async def test_table_source_wrong_table_key_or_position_is_named(
    empty_database_dsn, numbers, connection
):
    dsn = empty_database_dsn
    with pytest.raises(MissingTableError, match="'nmbers'"):
        await read(TableSource(dsn, "nmbers"))
    with pytest.raises(asyncpg.UndefinedColumnError, match="idx"):
        await read(TableSource(dsn, "numbers", key=["idx"]))
    with pytest.raises(InvalidConfigError, match="value each for"):
        await read(TableSource(dsn, "numbers"), [1, 2])
    with pytest.raises(InvalidConfigError, match=r"\['id'\] twice"):
        await read(
            TableSource(
                dsn, query="SELECT a.id, b.id, a.word FROM numbers a, numbers b", key=["word"]
            )
        )
    await connection.execute("CREATE TABLE spans (length interval PRIMARY KEY)")
    await connection.execute("INSERT INTO spans VALUES ('1 month')")
    with pytest.raises(InvalidConfigError, match="cast it in a query"):
        await read(TableSource(dsn, "spans", key=["length"]))


async def test_table_source_whose_connection_refuses_the_farewell_has_been_read(
    empty_database_dsn, numbers, monkeypatch
):
    """The server may have ended it by then: the records are there all the same."""

    async def close(connection, **_):
        raise BrokenPipeError

    monkeypatch.setattr(asyncpg.Connection, "close", close)
    found = []
    async for chunk in TableSource(empty_database_dsn, "numbers", page=30).chunks(None):
        found += chunk
    assert found == numbers
