"""What records are run through: functions, threads, tables; and what these may answer."""

import asyncio
import functools
import threading
from dataclasses import dataclass

import pytest

from seawall import (
    Discard,
    DiscardRecordError,
    InvalidConfigError,
    MissingProcessorError,
    MissingTableError,
)
from seawall.quarantine.codec import register


def records(count):
    return [{"n": n} for n in range(count)]


async def test_plain_processor_runs_in_a_thread_with_a_transaction_that_waits(
    manager, outcomes, loaded
):
    await manager.quarantine_bad_records("r", records(5), "why", step="load")
    threads = set()

    def processor(tx, record):
        threads.add(threading.current_thread())
        assert tx.fetchval("SELECT $1::int", record["n"]) == record["n"]
        tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        if record["n"] == 3:
            raise ValueError("three")

    metrics = await manager.reprocess_quarantined_records("r", processor=processor)
    assert (metrics.reprocessed, metrics.failed) == (4, 1)
    assert threading.current_thread() not in threads
    assert await loaded() == [0, 1, 2, 4]
    assert await outcomes() == {"reprocessed": 4, "failed": 1}


async def test_late_thread_can_do_nothing_with_the_transaction(manager, loaded, outcomes):
    """Its record failed by its time; what the thread then tries is refused."""
    await manager.quarantine_bad_records("r", records(1), "why", step="load")
    go, seen = threading.Event(), []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def processor(tx, record):
        go.wait(10)
        try:
            tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        except BaseException as error:
            seen.append(error)
        loop.call_soon_threadsafe(done.set)

    metrics = await manager.reprocess_quarantined_records(
        "r", processor=processor, attempt_timeout=0.05
    )
    go.set()
    await done.wait()
    assert metrics.failed == 1
    assert "attempt_timeout=0.05" in next(iter(metrics.failures))
    assert seen
    assert await loaded() == []


async def test_table_as_processor_loads_and_fails_the_bad_ones_one_by_one(
    manager, connection, outcomes, loaded
):
    await connection.execute("ALTER TABLE loaded ADD CONSTRAINT small CHECK (n < 90)")
    await connection.execute("ALTER TABLE loaded ADD UNIQUE (n)")
    bad = [*records(100), {"n": 5}, {"n": "no number"}, {"m": 1}, {"n": 7, "worker": "w"}, b"raw"]
    await manager.quarantine_bad_records("r", bad, "why", step="load")
    metrics = await manager.reprocess_quarantined_records("r", processor="loaded", size=40)
    assert await loaded() == list(range(90))
    assert (metrics.taken, metrics.reprocessed, metrics.failed) == (105, 90, 15)
    assert await outcomes() == {"reprocessed": 90, "failed": 15}
    rows = await connection.fetch(
        "SELECT sqlstate, count(*) AS n FROM seawall.quarantine_attempts "
        "WHERE outcome = 'failed' GROUP BY 1 ORDER BY 1"
    )
    codes = {row["sqlstate"]: row["n"] for row in rows}
    assert (codes["23514"], codes["23505"]) == (10, 2)


async def test_missing_table_as_processor_says_so_and_touches_no_record(manager, outcomes):
    await manager.quarantine_bad_records("r", records(2), "why", step="load")
    with pytest.raises(MissingTableError, match="nowhere"):
        await manager.reprocess_quarantined_records("r", processor="nowhere")
    assert await outcomes() == {"pending": 2}


async def test_field_without_a_column_fails_the_records_that_have_it(manager, outcomes, loaded):
    await manager.quarantine_bad_records("r", [{"n": 1}, {"m": 1}], "why", step="load")
    metrics = await manager.reprocess_quarantined_records("r", processor="loaded")
    assert (metrics.reprocessed, metrics.failed) == (1, 1)
    assert "no column 'm'" in next(iter(metrics.failures))
    assert await loaded() == [1]


@register
@dataclass
class Row:
    n: int
    worker: str


async def test_table_takes_tuples_and_registered_dataclasses(manager, connection, loaded):
    await manager.quarantine_bad_records("r", [(1, "a"), Row(2, "b")], "why", step="load")
    metrics = await manager.reprocess_quarantined_records("r", processor="loaded")
    assert metrics.reprocessed == 2
    assert await loaded() == [1, 2]


async def test_load_within_a_processor_fails_the_record_that_the_table_refuses(
    manager, connection, loaded, outcomes
):
    await connection.execute("ALTER TABLE loaded ADD CONSTRAINT small CHECK (n < 3)")
    await manager.quarantine_bad_records("r", records(5), "why", step="load")

    async def processor(tx, record):
        async with tx.transaction():
            await tx.load("loaded", [record])

    metrics = await manager.reprocess_quarantined_records("r", processor=processor)
    assert (metrics.reprocessed, metrics.failed) == (3, 2)
    assert await loaded() == [0, 1, 2]
    trace = await connection.fetchrow(
        "SELECT * FROM seawall.quarantine_attempts WHERE outcome = 'failed'"
    )
    assert (trace["sqlstate"], trace["error_type"]) == ("23514", "data")


async def test_processor_gives_records_up_by_answer_and_by_exception(
    manager, connection, loaded, outcomes
):
    """What was written before a returned Discard stays; before an exception it goes."""
    await manager.quarantine_bad_records("r", records(4), "why", step="load")

    async def processor(tx, record):
        await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        if record["n"] == 1:
            return Discard("a test record, password=hunter2")
        if record["n"] == 2:
            raise DiscardRecordError("nobody wants it")

    metrics = await manager.reprocess_quarantined_records("r", processor=processor)
    assert (metrics.taken, metrics.reprocessed, metrics.discarded) == (4, 2, 2)
    assert await loaded() == [0, 1, 3]
    assert await outcomes() == {"reprocessed": 2, "discarded": 2}
    rows = await connection.fetch(
        "SELECT message FROM seawall.quarantine_attempts WHERE outcome = 'discarded' ORDER BY 1"
    )
    assert "hunter2" not in rows[0]["message"]
    assert rows[1]["message"] == "nobody wants it"


async def test_max_attempts_leaves_hopeless_records_alone_and_counts_them(manager, outcomes):
    await manager.quarantine_bad_records("r", records(2), "why", step="load")

    async def never(tx, record):
        raise ValueError("no")

    run = functools.partial(
        manager.reprocess_quarantined_records, "r", processor=never, max_attempts=2
    )
    assert [(await run()).taken for _ in range(4)] == [2, 2, 0, 0]
    assert (await run()).exhausted == 2
    assert (await manager.reprocess_quarantined_records("r", processor=never)).taken == 2


async def test_processor_missing_for_some_steps_leaves_only_theirs(manager, loaded, put):
    """The other steps' records are done, and the error says which are left and what was done."""
    await manager.quarantine_bad_records("r", [{"n": 1}], "why", step="load")
    await manager.quarantine_bad_records("r", [{"n": 2}, {"n": 3}], "why", step="clean")
    await manager.quarantine_bad_records("r", [{"n": 4}], "why", step="send")
    manager.register_processor("load", put)
    manager.register_processor("send", "loaded")
    with pytest.raises(MissingProcessorError, match=r"'clean' \(2 records\)") as caught:
        await manager.reprocess_quarantined_records("r")
    assert caught.value.steps == {"clean": 2}
    assert caught.value.metrics.reprocessed == 2
    assert await loaded() == [1, 4]
    assert (await manager.reprocess_quarantined_records("r", step="load")).taken == 0


@pytest.mark.parametrize("processor", [3, "", str, lambda: (yield)])
async def test_what_is_no_processor_is_refused(manager, processor):
    with pytest.raises(InvalidConfigError, match="processor"):
        await manager.reprocess_quarantined_records("r", processor=processor)
    with pytest.raises(InvalidConfigError, match="processor"):
        manager.register_processor("load", processor)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"size": 0}, "size"),
        ({"limit": -1}, "limit"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"attempt_timeout": 0}, "attempt_timeout"),
        ({"status": "reprocessed"}, "only pending and failed"),
        ({"status": "lost"}, "pending, reprocessed, failed, discarded"),
    ],
)
async def test_option_out_of_range_is_refused(manager, put, options, word):
    with pytest.raises(InvalidConfigError, match=word):
        await manager.reprocess_quarantined_records("r", processor=put, **options)


async def test_limit_counts_over_all_steps(manager, loaded, put):
    for step in ("a", "b"):
        await manager.quarantine_bad_records("r", records(3), "why", step=step)
        manager.register_processor(step, put)
    assert (await manager.reprocess_quarantined_records("r", limit=4)).taken == 4
    assert len(await loaded()) == 4
