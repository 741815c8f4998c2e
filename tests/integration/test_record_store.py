"""Rows that come back from the journal, into the real tables."""

import json

import asyncpg
import pytest

from seawall import RecoveryConfig
from seawall.clock import utc_now, uuid7
from seawall.error_details import COLUMNS
from seawall.postgres.database import Database
from seawall.postgres.record_store import PostgresRecordStore

MORE = {
    "dropped_since": ("id",),
    "samples": ("id", "at", "text", "number", "share", "good", "raw", "notes"),
    "error_details": COLUMNS,
}


def error(**given):
    row = dict.fromkeys(COLUMNS) | {
        "error_id": uuid7(), "occurred_at": utc_now(), "error_type": "data", "exception_type": "X",
        "message": "m", "fingerprint": "f", **given,
    }  # fmt: skip
    return "error_details", tuple(row[name] for name in COLUMNS)


async def own_codecs(connection):
    await connection.set_type_codec(
        "json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )


@pytest.fixture
async def store(database_dsn):
    async with asyncpg.create_pool(database_dsn, min_size=1, max_size=2, init=own_codecs) as pool:
        database = Database(pool, config=RecoveryConfig())
        await database.start()
        yield PostgresRecordStore(database, MORE)
        await database.aclose()


async def test_replayed_values_are_what_they_were_past_the_users_own_codecs(store, database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        "CREATE TABLE seawall.samples (id uuid PRIMARY KEY, at timestamptz, text text, number int, "
        "share double precision, good boolean, raw bytea, notes json)"
    )
    rows = [
        (uuid7(), utc_now(), 'a\\b\t"c",{d}\nNULL', -5, 0.1, True, b"\x00\xff", '{"a": [1, null]}'),
        (uuid7(), utc_now(), "", 0, float("inf"), False, b"", None),
        (uuid7(), None, "null", None, None, None, None, '"text"'),
    ]  # fmt: skip
    assert await store.replay([("samples", row) for row in rows]) == []
    assert await store.replay([("samples", row) for row in rows]) == []
    found = await connection.fetch("SELECT * FROM seawall.samples ORDER BY id")
    await connection.close()
    assert [tuple(row) for row in found] == rows


async def test_replay_keeps_what_is_there_and_refuses_single_rows(store, database_dsn):
    first, second = error(), error()
    await store.replay([first])
    changed = ("error_details", (*first[1][:9], "another", *first[1][10:]))
    bad, unknown = error(message=None), ("no_such_table", (1, 2))
    dropped = ("dropped_since", (1,))
    wide = ("error_details", (*second[1], "of a later release"))
    assert await store.replay([changed, bad, second, unknown, dropped, wide]) == [
        bad,
        unknown,
        dropped,
        wide,
    ]
    connection = await asyncpg.connect(database_dsn)
    found = await connection.fetch("SELECT message FROM seawall.error_details")
    await connection.close()
    assert [row["message"] for row in found] == ["m", "m"]


async def test_replay_takes_rows_of_the_release_before(store, database_dsn):
    table, row = error()
    assert await store.replay([(table, row[:-1]), error()]) == []
    connection = await asyncpg.connect(database_dsn)
    assert await connection.fetchval("SELECT count(*) FROM seawall.error_details") == 2
    await connection.close()


async def test_store_that_takes_nothing_now_is_out_of_reach(store, database_dsn):
    connection = await asyncpg.connect(database_dsn)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await connection.close()
    for connection in range(2):
        await store._database._pool.expire_connections()
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as caught:
        await store.write([error()])
    assert store.is_out_of_reach(caught.value)
    assert not store.is_about_a_row(caught.value)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await store.replay([error()])
    assert store.is_out_of_reach(asyncpg.DiskFullError("full"))
    assert not store.is_out_of_reach(asyncpg.UndefinedTableError("x"))
    assert not store.is_out_of_reach(asyncpg.UniqueViolationError("x"))
