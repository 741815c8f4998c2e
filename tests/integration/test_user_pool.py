"""A pool of the user's own, whose connections take JSON as Python values and prepare nothing."""

import json
from datetime import date, timedelta

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, RecordFilter, TableSource
from support.sources import read

SCHEMA = 'o"dd Schema'
ALL = RecordFilter()
LONG = {"tab": "a\tb\\\r\n\\N", "parts": (1, None, b"\x00\xff")}


@pytest.fixture
async def pool(empty_database_dsn):
    async def prepare(connection):
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )

    async with asyncpg.create_pool(
        empty_database_dsn,
        min_size=1,
        max_size=6,
        init=prepare,
        statement_cache_size=0,
        server_settings={"default_transaction_isolation": "serializable", "DateStyle": "German"},
    ) as pool:
        await pool.execute(
            "CREATE TABLE orders (n int PRIMARY KEY, word text CHECK (word <> 'bad'), extra jsonb)"
        )
        yield pool


@pytest.fixture
async def manager(pool):
    config = {"initial_delay": 0.01, "max_retries": 1}
    async with ErrorRecoveryManager(pool, schema=SCHEMA, config=config) as manager:
        yield manager


def orders(after):
    first = 0 if after is None else after + 1
    return [
        {"n": n, "word": "bad" if n % 10 == 3 else "w", "extra": {"n": [n]}}
        for n in range(first, 40)
    ]


@pytest.mark.parametrize("options", [{}, {"on_conflict": "update"}, {"concurrency": 2}])
async def test_stream_takes_values_as_the_users_codecs_do(manager, pool, options):
    job = {"run_id": "r", "size": 7, "position": lambda row: row["n"], **options}
    for _ in range(2):
        report = await manager.stream(orders, "orders", **job)
        assert (report.rows_loaded, report.rows_quarantined, report.position) == (36, 4, 39)
    assert await pool.fetchval("SELECT sum((extra -> 'n' ->> 0)::int) FROM orders WHERE n < 5") == 7
    page = await manager.list_quarantined_records(ALL)
    aside = {each.position: each.record for each in page}  # lanes set aside in any order
    assert aside == {row["n"]: row for row in orders(None) if row["word"] == "bad"}
    assert len(page) == len(aside)
    assert (await manager.checkpoint_history("r", "stream"))[0].position is not None


async def test_load_with_a_misfit_first_loads_the_rest(manager, pool):
    rows = [{"n": 1, "word": "w", "extra": {}}, {"n": 2}, {"n": 3, "word": "bad", "extra": {}}]
    report = await manager.stream(lambda _: rows, "orders", run_id="r", position=lambda r: r["n"])
    assert (report.rows_loaded, report.rows_quarantined) == (1, 2)


async def test_quarantine_keeps_records_equal_through_every_door(manager, pool, tmp_path):
    await manager.quarantine_bad_records("r", [LONG, None, "a\tb"], "why\t\\", positions=[1, 2, 3])
    first, second, _ = page = await manager.list_quarantined_records(ALL)
    assert [(each.record, each.position, each.reason) for each in page] == [
        (LONG, 1, "why\t\\"), (None, 2, "why\t\\"), ("a\tb", 3, "why\t\\")
    ]  # fmt: skip
    await manager.edit_quarantined_record(second.record_id, {"n": 2}, why="typo")

    async def refuse(tx, record):
        raise ValueError(record)

    assert (await manager.reprocess_quarantined_records("r", processor=refuse)).failed == 3
    before = await manager.list_quarantined_records(ALL)
    assert await manager.export_quarantined_records(tmp_path / "all.jsonl", ALL) == 3
    await pool.execute('TRUNCATE "o""dd Schema".quarantined_records CASCADE')
    assert (await manager.import_quarantined_records(tmp_path / "all.jsonl")).added == 3
    assert await manager.list_quarantined_records(ALL) == before
    assert await manager.discard_quarantined_records("r", why="done") == 3
    assert await manager.purge_quarantined_records(older_than=timedelta()) == 3
    assert first.record_id == before[0].record_id


async def test_runs_steps_and_messages_keep_their_values(manager, pool):
    heard = []

    async def hear(message):
        heard.append((message.payload, dict(message.headers)))

    async def publish(tx, batch):
        await tx.publish("t", {"parts": (1, "é")}, headers={"h": "1"})

    one = {"run_id": "r", "position": lambda row: row["n"]}
    await manager.stream(orders, publish, **one)
    await manager.relay("t", hear).deliver()
    assert heard == [({"parts": (1, "é")}, {"h": "1"})]
    async with manager.run("p", "run", tags={"a": [1]}) as run:
        assert await run.step("day", lambda: {"day": date(2013, 1, 1)}) == {"day": date(2013, 1, 1)}
    assert await pool.fetchval('SELECT tags FROM "o""dd Schema".runs WHERE run_id = $$run$$') == {
        "a": [1]
    }
    await manager.checkpoint_progress("r", "plain", {"a": [1, "x"]})
    assert (await manager.resume_from_checkpoint("r", "plain")).checkpoint_data == {"a": [1, "x"]}
    assert await manager.log_error_details("run", ValueError("x"), {"a": 1})


async def test_table_source_gives_uuids_as_the_pool_does(empty_database_dsn):
    async def prepare(connection):
        await connection.set_type_codec("uuid", encoder=str, decoder=str, schema="pg_catalog")

    async with asyncpg.create_pool(
        empty_database_dsn, min_size=1, max_size=2, init=prepare
    ) as pool:
        await pool.execute(
            "CREATE TABLE k AS SELECT gen_random_uuid() AS id FROM generate_series(1, 5)"
        )
        rows = await read(TableSource(pool, "k", page=2))
        assert len(rows) == 5
        assert await read(TableSource(pool, "k", page=2), rows[2][0]) == rows[3:]
