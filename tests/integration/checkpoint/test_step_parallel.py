"""Batches side by side on a real server: connections cut, pools too small, restarts."""

import asyncio
import contextlib
import gc
import random

import pytest

from seawall import InvalidConfigError, TooManyBadRecordsError
from seawall.checkpoint import Batch
from seawall.records import Malformed
from support.proxy import Proxy, target_of, through

JOB = {"run_id": "r", "step": "load", "size": 10, "position": lambda row: row[0]}


class Numbers:
    """A ``RecordSource``: numbers to ``total``, some of which could not be read."""

    def __init__(self, total, torn=()):
        self._total, self._torn = total, torn

    async def chunks(self, after):
        for start in range((after or 0) + 1, self._total + 1, 7):
            yield [
                (n, Malformed(b"\xff%d" % n, "torn") if n in self._torn else (n, "w"))
                for n in range(start, min(start + 7, self._total + 1))
            ]

    def fraction(self, position):
        return (position or 0) / self._total


@pytest.mark.parametrize("concurrency", [2, 5])
async def test_stream_parallel_loads_each_row_once(
    make_manager, connection, ledger, numbers, concurrency
):
    bad = {3, 14, 15, 92, 93, 195}
    async with make_manager() as manager:
        report = await manager.stream(numbers(200, bad), "numbers", concurrency=concurrency, **JOB)
    await ledger.check(200, bad)
    assert (report.rows_read, report.rows_quarantined, report.position) == (200, 6, 200)
    assert await connection.fetchval("SELECT ahead FROM seawall.checkpoints") is None


async def test_stream_parallel_from_a_record_source(make_manager, connection, ledger):
    job = {"run_id": "r", "step": "load", "size": 10, "concurrency": 3}
    async with make_manager() as manager:
        for total in (95, 140):
            report = await manager.stream(Numbers(total, {5, 77}), "numbers", **job)
    await ledger.check(140, {5, 77})
    assert report.quarantined_by_reason == {"torn": 2}
    assert report.resumed_from == 95


@pytest.mark.parametrize("seed", range(6))
async def test_stream_parallel_dies_at_random_moments_and_loses_nothing(
    make_manager, connection, ledger, numbers, seed
):
    """Cancelled again and again, with other sizes and numbers of lanes each time."""
    rng = random.Random(seed)
    bad = {7, 8, 111, 250}

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        await asyncio.sleep(rng.random() * 0.02)

    async with make_manager() as manager:
        for _ in range(6):
            options = {**JOB, "size": rng.choice([1, 7, 10]), "concurrency": rng.randint(1, 5)}
            task = asyncio.create_task(manager.stream(numbers(300, bad), sink, **options))
            await asyncio.wait([task], timeout=rng.random() * 0.15)
            task.cancel()
            await asyncio.wait([task])
            saved = await manager.resume_from_checkpoint("r", "load")
            done = len(await ledger.loaded()) + len(await ledger.quarantined())
            assert done == (saved.counters.read_count if saved else 0)
        await manager.stream(numbers(300, bad), "numbers", concurrency=4, **JOB)
    await ledger.check(300, bad)


@pytest.mark.parametrize("how", ["commit-answer", "commit-lost", "copy"])
async def test_stream_parallel_connection_cut_with_others_in_flight(
    make_manager, connection, ledger, numbers, database_dsn, how
):
    async with Proxy(target_of(database_dsn)) as proxy:
        async with make_manager(through(database_dsn, proxy.port)) as manager:
            to_cut = {21, 61}

            async def sink(tx, batch):
                await tx.load("numbers", batch.records)
                if batch.first_position in to_cut:
                    to_cut.discard(batch.first_position)
                    proxy.cut_on = how

            report = await manager.stream(numbers(100, {33}), sink, concurrency=3, **JOB)
            assert proxy.cuts == 2
    await ledger.check(100, {33})
    assert report.rows_read == 100


async def test_stream_parallel_server_away_for_a_while(
    make_manager, connection, ledger, numbers, database_dsn
):
    async with Proxy(target_of(database_dsn)) as proxy:
        async with make_manager(through(database_dsn, proxy.port), max_retries=30) as manager:

            async def sink(tx, batch):
                await tx.load("numbers", batch.records)
                if batch.first_position == 31 and not proxy.refusing and not proxy.cuts:
                    proxy.refusing, proxy.cuts = True, 1
                    asyncio.get_running_loop().call_later(0.5, back)
                    proxy.cut_all()

            def back():
                proxy.refusing = False

            await manager.stream(numbers(100), sink, concurrency=3, **JOB)
    await ledger.check(100)


async def test_stream_parallel_pool_too_small_says_what_is_needed(
    make_manager, connection, numbers
):
    async with make_manager(pool_size=3) as manager:
        with pytest.raises(InvalidConfigError, match="needs a pool of 4 connections"):
            await manager.stream(numbers(30), "numbers", concurrency=3, **JOB)
        await manager.stream(numbers(30), "numbers", concurrency=2, **JOB)


async def test_stream_parallel_gives_its_connections_back(make_manager, connection, numbers):
    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position == 51:
            raise KeyError("boom")

    async with make_manager() as manager:
        with pytest.raises(KeyError):
            await manager.stream(numbers(100), sink, concurrency=4, **JOB)
        pool = manager._services.database._pool
        assert pool.get_idle_size() == pool.get_size()


async def test_stream_parallel_tolerance_is_never_passed(make_manager, connection, ledger, numbers):
    """By batches that commit side by side, each within it alone."""
    bad = {5, 15, 25, 35, 45}
    gate = asyncio.Barrier(4)

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position < 40:
            await gate.wait()

    from seawall.checkpoint import Tolerance

    async with make_manager() as manager:
        with pytest.raises(TooManyBadRecordsError, match="more than the tolerated 2"):
            await manager.stream(
                numbers(100, bad), sink, concurrency=4, tolerance=Tolerance(count=2), **JOB
            )
        assert len(await ledger.quarantined()) == 2
        await manager.stream(numbers(100), "numbers", concurrency=4, **JOB)
    loaded, quarantined = await ledger.loaded(), await ledger.quarantined()
    assert sorted(loaded + quarantined) == list(range(1, 101))


async def test_stream_commit_answer_lost_and_taken_over_is_stale(
    make_manager, connection, ledger, numbers, database_dsn
):
    from seawall import StaleRunError

    async with Proxy(target_of(database_dsn)) as proxy:
        async with make_manager(through(database_dsn, proxy.port)) as manager:

            async def sink(tx, batch):
                await tx.load("numbers", batch.records)
                if batch.first_position == 21:
                    proxy.cut_on = "commit-answer"
                    asyncio.get_running_loop().call_later(0.1, take)

            takers = []

            def take():
                takers.append(asyncio.create_task(taken()))

            async def taken():
                await connection.execute("UPDATE seawall.checkpoints SET fence = fence + 1")

            with pytest.raises(StaleRunError):
                await manager.stream(numbers(100), sink, concurrency=2, **JOB)
            await takers[0]
        async with make_manager() as manager:
            await manager.stream(numbers(100), "numbers", concurrency=2, when_held="take", **JOB)
    await ledger.check(100)


@pytest.mark.parametrize("commits", [True, False])
async def test_transaction_commit_that_hangs_is_settled(
    make_manager, connection, ledger, numbers, commits
):
    """A COMMIT held up by a deferred trigger, beyond its limit: what became of it is asked for."""
    await connection.execute(f"""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_sleep(1); ASSERT {commits}; RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON numbers DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.n = 21) EXECUTE FUNCTION slow();
    """)
    from seawall.checkpoint import StepOptions

    async def sink(tx, batch):
        await tx.execute("SET CONSTRAINTS ALL DEFERRED")
        await tx.load("numbers", batch.records)

    async with make_manager() as manager:
        step = manager.checkpoint("r", "load")
        step._options = StepOptions(size=10, commit_seconds=0.3)
        failure = contextlib.nullcontext() if commits else pytest.raises(TimeoutError)
        with failure:
            async with step:
                await step.for_each(
                    numbers(40)(None), sink, position=lambda row: row[0], concurrency=2, size=10
                )
        saved = await manager.resume_from_checkpoint("r", "load")
        assert saved.status == ("finished" if commits else "running")
        await connection.execute("DROP TRIGGER slow ON numbers")
        await manager.stream(numbers(40), "numbers", **JOB)
    await ledger.check(40)


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_stream_batches_are_freed_without_the_garbage_collector(
    make_manager, connection, numbers, concurrency
):
    """C4: no more of them than are in flight, also where some were retried or had bad records."""
    most = 0
    failures = {31, 91}

    async def sink(tx, batch):
        nonlocal most
        await tx.load("numbers", batch.records)
        most = max(most, sum(isinstance(each, Batch) for each in gc.get_objects()))
        if batch.first_position in failures:
            failures.discard(batch.first_position)
            raise OSError("again")

    async with make_manager() as manager:
        gc.collect()
        gc.disable()
        try:
            await manager.stream(numbers(400, {5, 155}), sink, concurrency=concurrency, **JOB)
        finally:
            gc.enable()
    assert 1 <= most <= 2 * concurrency


async def test_acknowledged_batches_are_freed_without_the_garbage_collector(
    make_manager, connection, numbers
):
    most = 0
    async with make_manager() as manager:
        gc.collect()
        gc.disable()
        try:
            async with manager.checkpoint("r", "load") as cp:
                rows = numbers(300)(None)
                async for batch in cp.batches(rows, size=10, position=lambda row: row[0]):
                    async with batch.acknowledge() as ack:
                        ack.reject(3, "refused")
                    most = max(most, sum(isinstance(each, Batch) for each in gc.get_objects()))
        finally:
            gc.enable()
    assert 1 <= most <= 2


async def test_stream_parallel_is_worth_it_where_the_database_is_waited_for(
    make_manager, connection, numbers
):
    """Sixteen batches of 50 ms each, four at a time."""

    async def sink(tx, batch):
        await tx.execute("SELECT pg_sleep(0.05)")
        await tx.load("numbers", batch.records)

    seconds = {}
    async with make_manager() as manager:
        for concurrency in (1, 4):
            job = {**JOB, "step": f"by {concurrency}", "concurrency": concurrency}
            start = (concurrency == 4) * 160
            report = await manager.stream(
                lambda after, start=start: [(start + n, "w") for n in range(1, 161)], sink, **job
            )
            seconds[concurrency] = report.seconds
    assert seconds[4] < 0.7 * seconds[1]


async def test_stream_parallel_retries_whole_batches_and_counts_them(
    make_manager, connection, ledger, numbers
):
    failures = {11, 41, 71}

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position in failures:
            failures.discard(batch.first_position)
            raise ConnectionResetError("the network hiccuped")

    async with make_manager() as manager:
        report = await manager.stream(numbers(100, {15}), sink, concurrency=4, **JOB)
    await ledger.check(100, {15})
    assert report.retries == 3


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("deliver", [True, False])
async def test_stream_parallel_cut_at_any_message_neither_fails_nor_loses_a_row(
    make_manager, connection, ledger, numbers, database_dsn, deliver
):
    """One connection is cut, with the message delivered or not: opening, batches, report, end."""
    bad, job = {7, 8}, {**JOB, "size": 5, "concurrency": 3}
    for at in [1, 5, *range(12, 250, 31), 238, 240, 243, 246]:
        await connection.execute(
            "TRUNCATE numbers; DELETE FROM seawall.quarantined_records; DELETE FROM seawall.runs"
        )
        async with Proxy(target_of(database_dsn)) as proxy:
            async with make_manager(through(database_dsn, proxy.port)) as manager:
                proxy.messages, proxy.cut_at, proxy.deliver = 0, at, deliver
                report = await manager.stream(numbers(30, bad), "numbers", **job)
        assert report.rows_quarantined == 2
        await ledger.check(30, bad)
