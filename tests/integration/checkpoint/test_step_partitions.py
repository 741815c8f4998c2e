"""Partitions shared by plain processes: each worked on by one at a time, the dead ones' taken over."""

import asyncio

import pytest

from seawall import InvalidConfigError
from seawall.errors import StepHeldError


def work_of(log, size=10, total=40):
    async def work(cp):
        number = cp.key.partition
        log.append(("in", number))
        first = number * total + 1
        rows = [(n, "w") for n in range((cp.position or first - 1) + 1, first + total)]

        async def sink(tx, batch):
            await tx.load("numbers", batch.records)

        await cp.for_each(rows, sink, size=size, position=lambda row: row[0])
        log.append(("out", number))

    return work


async def test_partitions_each_is_worked_on_once_by_whoever_is_free(
    make_manager, connection, ledger
):
    logs = [[], [], []]
    async with make_manager() as one, make_manager() as two, make_manager() as three:
        reports = await asyncio.gather(
            *(
                manager.for_each_partition("r", "load", range(8), work_of(log), concurrency=2)
                for manager, log in zip((one, two, three), logs, strict=True)
            )
        )
    await ledger.check(320)
    assert set().union(*reports) == set(range(8))
    rows = {
        number: report.this_process.read_count
        for each in reports
        for number, report in each.items()
    }
    assert len(rows) == 8


async def test_partitions_again_load_what_is_new(make_manager, connection, ledger):
    async with make_manager() as manager:
        await manager.for_each_partition("r", "load", range(3), work_of([], total=40))
        reports = await manager.for_each_partition("r", "load", range(3), work_of([], total=40))
    assert {n: each.this_process.read_count for n, each in reports.items()} == {0: 0, 1: 0, 2: 0}
    await ledger.check(120)


async def test_partitions_failure_of_one_is_the_callers(make_manager, connection):
    async def work(cp):
        if cp.key.partition == 2:
            raise ZeroDivisionError("two")

    async with make_manager() as manager:
        with pytest.raises(ZeroDivisionError, match="two"):
            await manager.for_each_partition("r", "load", range(4), work, concurrency=2)
        assert (
            await connection.fetchval(
                "SELECT count(*) FROM seawall.checkpoint_leases WHERE lease_until > clock_timestamp()"
            )
            == 0
        )


async def test_partitions_stopped_finish_what_they_have_and_take_no_other(
    make_manager, connection, ledger
):
    """A stop is for each of them: none is cut off in the middle because another ended first."""
    from seawall.errors import ShutdownError

    steps, taken = [], []
    both = asyncio.Barrier(2)

    async def work(cp):
        number = cp.key.partition
        taken.append(number)
        steps.append(cp)

        async def sink(tx, batch):
            await tx.load("numbers", batch.records)
            await both.wait()
            for step in steps:
                step.stop("SIGTERM")
            await asyncio.sleep(0.3 * number)

        rows = [(n, "w") for n in range(number * 100 + 1, number * 100 + 101)]
        await cp.for_each(rows, sink, size=10, position=lambda row: row[0])

    async with make_manager() as manager:
        with pytest.raises(ShutdownError):
            await manager.for_each_partition("r", "load", [0, 1, 2], work, concurrency=2)
    assert len(taken) == 2
    assert len(await ledger.loaded()) == 20


@pytest.mark.parametrize("numbers", [[], [1, 1]])
async def test_partitions_that_are_none_or_twice_are_refused(make_manager, numbers):
    async with make_manager() as manager:
        with pytest.raises(InvalidConfigError, match="each once"):
            await manager.for_each_partition("r", "load", numbers, work_of([]))


async def test_partitions_of_a_killed_process_are_taken_over(connection, ledger, start_worker):
    doomed = await start_worker("partitions", 40, 10, 21)
    await doomed.until("partition 0")  # in the third batch of which it dies
    other = await start_worker("partitions", 40, 10, 0)
    assert (await doomed.end())[0] == -9
    assert (await other.end())[0] == 0
    assert "partition 0" in other.lines
    await ledger.check(240)


async def test_partitions_whose_work_finds_another_step_held_say_so(make_manager, connection):
    """It is no partition that somebody else has: waiting for it would never end."""

    async def work(cp):
        async with manager.checkpoint("r", "shared", when_held="fail"):
            pass

    async with make_manager() as manager:
        async with manager.checkpoint("r", "shared"):
            with pytest.raises(StepHeldError, match="'shared'"):
                async with asyncio.timeout(5):
                    await manager.for_each_partition("r", "load", [1, 2], work)


async def test_partitions_in_another_database_have_their_leases_there(
    make_manager, connection, database_dsn, test_server
):
    elsewhere = await asyncio.to_thread(test_server.create)
    try:
        async with make_manager() as manager:
            reports = await manager.for_each_partition(
                "r", "load", [0, 1, 2], counted, database=elsewhere, concurrency=2
            )
        assert {n: each.rows_read for n, each in reports.items()} == {0: 3, 1: 3, 2: 3}
        assert await connection.fetchval("SELECT count(*) FROM seawall.checkpoints") == 0
    finally:
        await asyncio.to_thread(test_server.drop, elsewhere)


async def counted(cp):
    async for batch in cp.batches([1, 2, 3]):
        async with batch.transaction():
            pass
