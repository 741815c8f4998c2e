"""Earlier states: kept to a bound, looked at, gone back to; other formats."""

import asyncio
from dataclasses import replace

import pytest

from seawall import CheckpointError, StaleRunError
from seawall.errors import ShutdownError, StepHeldError

JOB = {"run_id": "r", "step": "load", "size": 10, "position": lambda row: row[0]}
WHO = {"actor": "ann", "reason": "wrong mapping"}


@pytest.fixture
async def manager(make_manager, connection):
    async with make_manager(checkpoint_history=3, checkpoint_history_seconds=0) as manager:
        yield manager


async def test_history_is_kept_to_its_bound_the_newest_first(manager, numbers):
    await manager.stream(numbers(60), "numbers", **JOB)
    kept = await manager.checkpoint_history("r", "load")
    assert [each.position for each in kept] == [60, 50, 40]
    assert [each.counters.read_count for each in kept] == [60, 50, 40]
    assert kept[0].version > kept[1].version
    assert await manager.checkpoint_history("r", "other") == []


async def test_history_of_the_plain_form(manager):
    for n in range(5):
        await manager.checkpoint_progress("r", "fetch", {"page": n})
    kept = await manager.checkpoint_history("r", "fetch")
    assert [each.checkpoint_data for each in kept] == [{"page": n} for n in (4, 3, 2)]
    await manager.rewind_checkpoint("r", "fetch", kept[-1].version, **WHO)
    assert (await manager.resume_from_checkpoint("r", "fetch")).checkpoint_data == {"page": 2}


async def test_rewind_goes_on_from_the_earlier_state(manager, connection, ledger, numbers):
    await manager.stream(numbers(60), "numbers", **JOB)
    kept = await manager.checkpoint_history("r", "load")
    await connection.execute("DELETE FROM numbers WHERE n > 40")
    await manager.rewind_checkpoint("r", "load", kept[-1].version, **WHO)
    report = await manager.stream(numbers(60), "numbers", **JOB)
    assert report.resumed_from == 40
    assert report.rows_read == 60
    await ledger.check(60)
    line = await connection.fetchrow("SELECT * FROM seawall.audit_log")
    assert (line["actor"], line["reason"]) == ("ann", "wrong mapping")
    assert '"to_version"' in line["details"]


async def test_rewind_to_what_is_not_kept_is_an_error(manager, numbers):
    await manager.stream(numbers(60), "numbers", **JOB)
    with pytest.raises(CheckpointError, match="version 1 of step 'load' is not kept"):
        await manager.rewind_checkpoint("r", "load", 1, **WHO)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        await manager.rewind_checkpoint("r", "none", 1, **WHO)
    assert (await manager.resume_from_checkpoint("r", "load")).position == 60


async def test_rewind_of_a_step_at_work_is_refused_unless_forced(
    manager, connection, ledger, numbers
):
    """Forced, the worker that was at it can commit nothing more."""
    with pytest.raises(StaleRunError):
        async with manager.checkpoint("r", "load") as cp:
            batches = cp.batches(numbers(60)(None), size=10, position=lambda row: row[0])
            async for batch in batches:
                async with batch.transaction() as tx:
                    await tx.load("numbers", batch.records)
                if batch.first_position == 21:
                    version = (await manager.checkpoint_history("r", "load"))[-1].version
                    with pytest.raises(StepHeldError, match="at work in"):
                        await manager.rewind_checkpoint("r", "load", version, **WHO)
                    await manager.rewind_checkpoint("r", "load", version, force=True, **WHO)
    assert (await manager.resume_from_checkpoint("r", "load")).position == 10
    await connection.execute("DELETE FROM numbers WHERE n > 10")
    await manager.stream(numbers(60), "numbers", **JOB)
    await ledger.check(60)


async def test_rewind_forgets_what_was_suspected(manager, connection, numbers):
    await manager.stream(numbers(20), "numbers", **JOB)
    await connection.execute(
        "UPDATE seawall.checkpoints SET suspect_size = 1, suspect_rows = 5, suspect_deaths = 2"
    )
    version = (await manager.checkpoint_history("r", "load"))[-1].version
    await manager.rewind_checkpoint("r", "load", version, **WHO)
    row = await connection.fetchrow(
        "SELECT suspect_size, suspect_rows, suspect_deaths FROM seawall.checkpoints"
    )
    assert tuple(row) == (None, None, 0)


async def test_rewind_restores_spans_beyond_the_position(make_manager, connection, ledger, numbers):
    others = asyncio.Event()

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position == 11:
            await others.wait()
            raise OSError("the slow one fails")
        if batch.first_position == 41:
            others.set()

    job = {**JOB, "concurrency": 3, "retry_options": {"max_retries": 0}}
    async with make_manager(checkpoint_history=50, checkpoint_history_seconds=0) as manager:
        with pytest.raises(OSError):
            await manager.stream(numbers(60), sink, **job)
        kept = (await manager.checkpoint_history("r", "load"))[0]
        loaded = await ledger.loaded()
        assert kept.position == 10
        assert len(loaded) > 10
        await manager.stream(numbers(60), "numbers", **JOB)
        await connection.execute("DELETE FROM numbers WHERE NOT n = ANY($1)", loaded)
        await manager.rewind_checkpoint("r", "load", kept.version, **WHO)
        await manager.stream(numbers(60), "numbers", **JOB)
    await ledger.check(60)


async def test_state_version_older_is_upgraded(manager, ledger, numbers):
    await manager.stream(numbers(30), "numbers", **JOB)
    asked = []

    def upgrade(version, progress):
        asked.append((version, progress.position))
        return replace(progress, position=[progress.position])

    job = {**JOB, "position": lambda row: [row[0]], "state_version": 2, "upgrade": upgrade}
    for _ in range(2):
        report = await manager.stream(
            lambda after: numbers(50)(after[0] if after else None), "numbers", **job
        )
    assert asked == [(1, 30)]
    assert report.position == [50]
    await ledger.check(50)
    assert (await manager.resume_from_checkpoint("r", "load")).state_version == 2


async def test_state_version_without_a_way_is_an_error(manager, numbers):
    await manager.stream(numbers(30), "numbers", **JOB, state_version=2)
    with pytest.raises(CheckpointError, match="state_version 2, newer than this worker's 1"):
        await manager.stream(numbers(30), "numbers", **JOB)
    with pytest.raises(CheckpointError, match="pass upgrade="):
        await manager.stream(numbers(30), "numbers", **JOB, state_version=3)
    with pytest.raises(CheckpointError, match="upgrade returned None"):
        await manager.stream(
            numbers(30), "numbers", **JOB, state_version=3, upgrade=lambda version, progress: None
        )
    await manager.stream(numbers(30), "numbers", when_held="fail", **JOB, state_version=2)


async def test_checkpoint_data_above_its_limit_is_an_error(make_manager, connection):
    async with make_manager(checkpoint_data_limit=1000) as manager:
        first = await manager.checkpoint_progress("r", "s", {"text": "x" * 900})
        with pytest.raises(CheckpointError, match="1,012 bytes, more than the 1,000"):
            await manager.checkpoint_progress("r", "s", {"text": "x" * 1001})
        saved = await manager.resume_from_checkpoint("r", "s")
    assert saved.checkpoint_id == first
    assert len(saved.checkpoint_data["text"]) == 900


async def test_history_of_a_short_step_holds_its_start_and_its_end(
    make_manager, connection, ledger, numbers
):
    async with make_manager() as manager:
        await manager.stream(numbers(20), "numbers", **JOB)
        kept = await manager.checkpoint_history("r", "load")
        assert [each.position for each in kept] == [20, None]
        await connection.execute("DELETE FROM numbers")
        await manager.rewind_checkpoint("r", "load", kept[-1].version, **WHO)
        report = await manager.stream(numbers(20), "numbers", **JOB)
    assert report.resumed_from is None
    await ledger.check(20)


async def test_run_whose_step_is_stopped_is_cancelled(make_manager, connection, numbers):
    async with make_manager() as manager:
        with pytest.raises(ShutdownError):
            async with manager.run("p", "r"), manager.checkpoint("r", "load") as cp:
                cp.stop()
                await anext(cp.batches(numbers(5)(None)))
    assert await connection.fetchval("SELECT status FROM seawall.runs") == "cancelled"
