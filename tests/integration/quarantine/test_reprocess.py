"""Quarantined records run again: none by two at a time, each with one outcome, all with a trace."""

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal

import pytest

from seawall import ErrorRecoveryManager, ErrorType, InvalidConfigError
from seawall.retry import retry


async def put(tx, record):
    await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])


async def test_records_come_back_equal_and_commit_with_their_outcome(manager, connection, outcomes):
    records = [{"n": n, "price": Decimal("1.10"), "raw": b"\x00"} for n in range(250)]
    await manager.quarantine_bad_records("r", records, "price too low", step="load")
    seen = []

    async def processor(tx, record):
        seen.append(record)
        await put(tx, record)

    metrics = await manager.reprocess_quarantined_records("r", processor=processor)
    assert seen == records
    assert (metrics.taken, metrics.reprocessed, metrics.failed) == (250, 250, 0)
    assert await outcomes() == {"reprocessed": 250}
    assert await connection.fetchval("SELECT count(*) FROM loaded") == 250
    again = await manager.reprocess_quarantined_records("r", processor=processor)
    assert again.taken == 0


async def test_record_that_fails_again_leaves_nothing_and_a_trace(manager, connection, outcomes):
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(4)], "why", step="load")

    async def processor(tx, record):
        await put(tx, record)
        if record["n"] == 2:
            raise ValueError("password=hunter2 is wrong")

    metrics = await manager.reprocess_quarantined_records(
        "r", processor=processor, size=3, actor="ann"
    )
    assert (metrics.taken, metrics.reprocessed, metrics.failed) == (4, 3, 1)
    assert "hunter2" not in str(metrics.failures)
    assert await outcomes() == {"reprocessed": 3, "failed": 1}
    assert [r["n"] for r in await connection.fetch("SELECT n FROM loaded ORDER BY n")] == [0, 1, 3]
    (trace,) = await connection.fetch(
        "SELECT * FROM seawall.quarantine_attempts WHERE outcome = 'failed'"
    )
    assert (trace["exception_type"], trace["actor"]) == ("ValueError", "ann")
    assert "hunter2" not in trace["message"]
    fixed = await manager.reprocess_quarantined_records("r", processor=put)
    assert (fixed.taken, fixed.reprocessed) == (1, 1)
    attempts = await connection.fetchval("SELECT max(attempts) FROM seawall.quarantined_records")
    assert attempts == 2


async def test_error_of_the_database_fails_its_record_only(manager, connection, outcomes):
    await connection.execute("ALTER TABLE loaded ADD CONSTRAINT small CHECK (n < 3)")
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(5)], "why", step="load")
    metrics = await manager.reprocess_quarantined_records("r", processor=put)
    assert (metrics.reprocessed, metrics.failed) == (3, 2)
    rows = await connection.fetch("SELECT error_type FROM seawall.quarantine_attempts")
    assert sorted(filter(None, (row["error_type"] for row in rows))) == ["data", "data"]


async def test_reprocessors_side_by_side_never_take_the_same_record(
    manager, connection, database_dsn
):
    """Q2: four managers, 400 records, each once."""
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(400)], "why", step="load")

    async def slowly(tx, record):
        await put(tx, record)
        await asyncio.sleep(0.001)

    async with AsyncExitStack() as stack:
        managers = [
            await stack.enter_async_context(ErrorRecoveryManager(database_dsn)) for _ in range(4)
        ]
        found = await asyncio.gather(
            *(
                each.reprocess_quarantined_records("r", processor=slowly, size=10)
                for each in managers
            )
        )
    assert sum(each.taken for each in found) == 400
    rows = await connection.fetch("SELECT n FROM loaded ORDER BY n")
    assert [row["n"] for row in rows] == list(range(400))


async def test_cancelled_in_the_middle_leaves_whole_transactions(manager, connection, outcomes):
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(20)], "why", step="load")
    began = asyncio.Event()

    async def processor(tx, record):
        await put(tx, record)
        if record["n"] == 12:
            began.set()
            await asyncio.sleep(60)

    task = asyncio.ensure_future(
        manager.reprocess_quarantined_records("r", processor=processor, size=5)
    )
    await began.wait()
    task.cancel()
    await asyncio.wait([task])
    assert await connection.fetchval("SELECT count(*) FROM loaded") == 10
    assert await outcomes() == {"reprocessed": 10, "pending": 10}
    rest = await manager.reprocess_quarantined_records("r", processor=put)
    assert rest.reprocessed == 10


async def test_filters_choose_the_records(manager, connection, outcomes):
    first = await manager.quarantine_bad_records("r", [{"n": 1}], "early", step="load")
    await manager.quarantine_bad_records("r", [{"n": 2}], "late", ErrorType.SYSTEM, step="load")
    await manager.quarantine_bad_records("r", [{"n": 3}], "late", step="clean")
    await manager.quarantine_bad_records("other", [{"n": 4}], "late", step="load")

    async def taken(**which):
        async def keep(tx, record):
            seen.append(record["n"])
            raise ValueError

        seen = []
        await manager.reprocess_quarantined_records("r", processor=keep, **which)
        return seen

    assert await taken() == [1, 2, 3]
    assert await taken(quarantine_id=first) == [1]
    assert await taken(step="clean") == [3]
    assert await taken(reason="late") == [2, 3]
    assert await taken(error_type=ErrorType.SYSTEM) == [2]
    assert await taken(sqlstate="23505") == []
    assert await taken(limit=2, size=1) == [1, 2]


async def test_registered_processor_is_found_by_step(manager, connection, outcomes):
    await manager.quarantine_bad_records("r", [{"n": 1}], "why", step="load")
    with pytest.raises(InvalidConfigError, match="step 'load' \\(1 record\\) has no processor"):
        await manager.reprocess_quarantined_records("r")
    assert await outcomes() == {"pending": 1}
    manager.register_processor("load", retry(put))
    assert (await manager.reprocess_quarantined_records("r")).reprocessed == 1


async def test_redacted_records_are_left_alone(manager, connection, outcomes):
    await manager.quarantine_bad_records("r", [{"n": 1}, {"n": 2}], "why", step="load")
    await connection.execute(
        "UPDATE seawall.quarantined_records SET redacted = true WHERE payload ->> 'n' = '1'"
    )
    metrics = await manager.reprocess_quarantined_records("r", processor=put)
    assert (metrics.reprocessed, metrics.redacted) == (1, 1)


async def test_payload_that_cannot_be_read_fails_with_its_reason(manager, connection, outcomes):
    await manager.quarantine_bad_records("r", [{"n": 1}], "why", step="load")
    await connection.execute(
        """UPDATE seawall.quarantined_records SET payload = '{"$type": "gone.Class"}'"""
    )
    metrics = await manager.reprocess_quarantined_records("r", processor=put)
    assert (metrics.failed, metrics.reprocessed) == (1, 0)


async def test_discarded_records_stay_with_who_and_why(manager, connection, outcomes):
    await manager.quarantine_bad_records("r", [{"n": 1}, {"n": 2}], "why", step="load")
    count = await manager.discard_quarantined_records("r", why="test data", actor="ann")
    assert count == 2
    assert await outcomes() == {"discarded": 2}
    rows = await connection.fetch("SELECT outcome, message, actor FROM seawall.quarantine_attempts")
    assert [tuple(row) for row in rows] == [("discarded", "test data", "ann")] * 2
    assert (await manager.reprocess_quarantined_records("r", processor=put)).taken == 0
