"""Leases: who has a step, who waits for it, who takes it, who finds it free."""

import asyncio
import os
import signal

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, StaleRunError, process
from seawall.errors import DatabaseUnavailableError, StepHeldError
from seawall.postgres import lease
from support.proxy import Proxy, target_of, through

JOB = {"run_id": "r", "step": "load", "size": 10, "position": lambda row: row[0]}
HOLDER = "SELECT owner, lease_until > clock_timestamp() AS held FROM seawall.checkpoint_leases"


@pytest.fixture(autouse=True)
def processes_apart(monkeypatch):
    """Two managers of one process stand for two workers: none knows that the other is alive."""
    monkeypatch.setattr(process, "is_dead", lambda other: False)


def steal(monkeypatch, name):
    """From here on this process is another one to the database."""
    monkeypatch.setattr(process, "identity", lambda: f"elsewhere|1|{name}")


async def test_lease_is_taken_at_opening_and_given_back_at_the_end(make_manager, connection):
    async with make_manager() as manager:
        async with manager.checkpoint("r", "load"):
            row = await connection.fetchrow(HOLDER)
            assert row["held"]
            assert str(os.getpid()) in row["owner"]
        assert await connection.fetchrow(HOLDER) is None


async def test_lease_held_fails_where_asked_and_says_by_whom(make_manager, connection):
    async with make_manager() as manager:
        async with manager.checkpoint("r", "load"):
            with pytest.raises(StepHeldError, match=f"held by .*{os.getpid()}, .* another .* s"):
                async with manager.checkpoint("r", "load", when_held="fail"):
                    pass
            async with manager.checkpoint("r", "load", partition=1, when_held="fail"):
                pass
        async with manager.checkpoint("r", "load", when_held="fail"):
            pass


async def test_lease_waited_for_is_had_when_it_is_released(make_manager, connection):
    order = []

    async def second(manager):
        async with manager.checkpoint("r", "load"):
            order.append("second in")

    async with make_manager() as manager:
        async with manager.checkpoint("r", "load"):
            task = asyncio.create_task(second(manager))
            await asyncio.sleep(0.3)
            order.append("first out")
        await task
    assert order == ["first out", "second in"]


async def test_lease_is_waited_for_no_longer_than_asked(make_manager, connection):
    loop = asyncio.get_running_loop()
    async with make_manager() as manager:
        async with manager.checkpoint("r", "load"):
            started = loop.time()
            with pytest.raises(StepHeldError):
                async with manager.checkpoint("r", "load", wait_seconds=0.3):
                    pass
            assert 0.3 <= loop.time() - started < 1.5


async def test_lease_that_ran_out_is_free(make_manager, connection):
    async with make_manager() as manager:
        async with manager.checkpoint("r", "load"):
            await connection.execute(
                "UPDATE seawall.checkpoint_leases SET lease_until = now() - interval '1 s'"
            )
            async with manager.checkpoint("r", "load", when_held="fail") as other:
                assert other.position is None


@pytest.mark.parametrize("when_held", ["take"])
async def test_lease_taken_over_leaves_the_first_worker_with_nothing(
    make_manager, connection, ledger, numbers, when_held
):
    """C2: what was begun before is rolled back; so it is at its next batch."""
    async with make_manager() as manager:
        async with manager.checkpoint("r", "load") as first:
            batches = first.batches(numbers(40)(None), size=10, position=lambda row: row[0])
            batch = await anext(batches)
            with pytest.raises(StaleRunError, match="taken over"):
                async with batch.transaction() as tx:
                    await tx.load("numbers", batch.records)
                    report = await asyncio.wait_for(
                        manager.stream(lambda after: iter(()), "numbers", when_held="take", **JOB),
                        5,
                    )
            with pytest.raises(StaleRunError):
                await anext(batches)
            assert report.rows_read == 0
        await ledger.check(0)
        await manager.stream(numbers(40), "numbers", when_held="fail", **JOB)
    await ledger.check(40)


async def test_lease_of_a_killed_process_is_free_at_once(
    make_manager, connection, ledger, numbers, start_worker, monkeypatch
):
    monkeypatch.undo()
    worker = await start_worker("hold", 100, 10, 1000)
    await worker.until("in batch")
    async with make_manager() as manager:
        with pytest.raises(StepHeldError):
            async with manager.checkpoint("r", "load", when_held="fail"):
                pass
        worker.send(signal.SIGKILL)
        await worker.end()
        report = await asyncio.wait_for(manager.stream(numbers(100), "numbers", **JOB), 5)
    assert report.resumed_from == 10
    await ledger.check(100)


async def test_lease_of_a_frozen_process_is_taken_and_once_thawed_it_commits_nothing(
    make_manager, connection, ledger, numbers, start_worker, monkeypatch
):
    """It holds its batch's locks meanwhile: taking over does not wait for them."""
    monkeypatch.undo()
    worker = await start_worker("hold", 100, 10, 1)
    await worker.until("in batch")
    worker.send(signal.SIGSTOP)
    async with make_manager() as manager:
        async with manager.checkpoint("r", "load", when_held="take") as cp:
            assert cp.position == 10
            worker.send(signal.SIGCONT)
            code, errors = await worker.end()
            assert code == 1
            assert "StaleRunError" in errors
            await ledger.check(10)
        await manager.stream(numbers(100), "numbers", **JOB)
    await ledger.check(100)


async def test_lease_left_behind_by_this_process_is_free(make_manager, connection, monkeypatch):
    """It has the lease's name, but no such step: its opening was cut off, say."""
    forge = (
        "INSERT INTO seawall.checkpoint_leases (checkpoint_id, fence, owner, process, lease_until) "
        "SELECT checkpoint_id, fence, 'h:1', $1, now() + interval '1 hour' FROM seawall.checkpoints"
    )
    async with make_manager() as manager:
        async with manager.checkpoint("r", "load"):
            pass
        await connection.execute(forge, process.identity())
        async with manager.checkpoint("r", "load", when_held="fail"):
            pass
        await connection.execute(forge, process.identity())
        steal(monkeypatch, "other")
        with pytest.raises(StepHeldError):
            async with manager.checkpoint("r", "load", when_held="fail"):
                pass


async def test_lease_forgets_every_step_that_was_closed(make_manager, connection):
    async with make_manager() as manager:
        for _ in range(3):
            async with manager.checkpoint("r", "load"):
                assert len(lease.open_here) == 1
    assert lease.open_here == set()


@pytest.mark.parametrize("deliver", [True, False])
async def test_lease_opening_cut_off_at_its_commit_is_done_again(
    make_manager, connection, database_dsn, deliver
):
    """Whether or not it was taken: it is not in its own way, and no connection is kept."""
    async with Proxy(target_of(database_dsn)) as proxy:
        async with make_manager(through(database_dsn, proxy.port), pool_size=2) as manager:
            for _ in range(3):
                proxy.cut_on = "commit-answer" if deliver else "commit-lost"
                async with manager.checkpoint("r", "load", when_held="fail") as cp:
                    assert cp.position is None
                    assert len(lease.open_here) == 1
            assert proxy.cuts == 3
            assert lease.open_here == set()
            pool = manager.database._pool
            assert pool.get_idle_size() == pool.get_size()


async def test_lease_is_renewed_while_a_long_batch_works(make_manager, connection):
    async with make_manager(lease_seconds=1) as manager, make_manager() as other:
        async with manager.checkpoint("r", "load") as cp:
            batch = await anext(cp.batches([(1, "w")]))
            async with batch.transaction() as tx:
                await tx.load("numbers", batch.records)
                for _ in range(8):
                    await tx.execute("SELECT pg_sleep(0.2)")
                with pytest.raises(StepHeldError):
                    async with other.checkpoint("r", "load", when_held="fail"):
                        pass
    assert await connection.fetchval("SELECT count(*) FROM numbers") == 1


async def test_lease_is_renewed_though_all_of_the_pool_is_at_work(make_manager, connection):
    async with make_manager(lease_seconds=1, pool_size=2) as manager, make_manager() as other:
        async with manager.checkpoint("r", "a") as a, manager.checkpoint("r", "b") as b:
            for step in (a, b):
                batch = await anext(step.batches([(1, "w")]))
                await batch.transaction().__aenter__()
            for _ in range(3):
                await asyncio.sleep(0.5)
                assert (await a.report()).batches == 0
            for name in ("a", "b"):
                with pytest.raises(StepHeldError):
                    async with other.checkpoint("r", name, when_held="fail"):
                        pass


async def test_lease_release_with_the_server_away_says_so(make_manager, connection, database_dsn):
    async with Proxy(target_of(database_dsn)) as proxy:
        async with make_manager(through(database_dsn, proxy.port), connect_timeout=1) as manager:
            with pytest.raises(DatabaseUnavailableError):
                async with manager.checkpoint("r", "load"):
                    proxy.refusing = True
                    proxy.cut_all()
            assert lease.open_here == set()
            with pytest.raises(KeyError):  # the block's own error says more
                proxy.refusing = False
                async with manager.checkpoint("r", "load", when_held="fail"):
                    proxy.refusing = True
                    proxy.cut_all()
                    raise KeyError
            proxy.refusing = False
            async with manager.checkpoint("r", "load", when_held="fail"):
                pass


@pytest.mark.parametrize("size", [1, 2])
async def test_lease_and_batches_work_with_a_small_pool_of_the_users(
    database_dsn, connection, ledger, numbers, size
):
    async with asyncpg.create_pool(database_dsn, min_size=1, max_size=size) as pool:
        async with ErrorRecoveryManager(
            pool, config={"connect_timeout": 0.5}, pipeline_id="numbers"
        ) as manager:
            report = await manager.stream(numbers(30, {7}), "numbers", **JOB)
            assert report.rows_quarantined == 1
        assert pool.get_idle_size() == pool.get_size()
    await ledger.check(30, {7})


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("level", ["serializable", "repeatable read"])
async def test_step_works_whatever_the_default_isolation(
    database_dsn, make_manager, connection, ledger, numbers, level, concurrency
):
    await connection.execute(
        f"ALTER DATABASE {database_dsn.rpartition('/')[2].partition('?')[0]}"
        f" SET default_transaction_isolation = '{level}'"
    )
    async with make_manager(max_retries=0) as manager:
        report = await manager.stream(numbers(200, {7}), "numbers", concurrency=concurrency, **JOB)
        assert report.retries == 0
        await manager.checkpoint_progress("r", "other", {"a": 1})
    await ledger.check(200, {7})


async def test_step_survives_a_statement_timeout(
    database_dsn, make_manager, connection, ledger, numbers
):
    await connection.execute(
        f"ALTER DATABASE {database_dsn.rpartition('/')[2].partition('?')[0]}"
        " SET statement_timeout = '100ms'"
    )
    slow = iter([True, False])

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position == 11 and next(slow):
            await tx.execute("SELECT pg_sleep(5)")

    async with make_manager() as manager:
        with pytest.raises(asyncpg.QueryCanceledError):
            await manager.stream(numbers(30), sink, retry_options={"max_retries": 0}, **JOB)
        await ledger.check(10)
        await manager.stream(numbers(30), sink, **JOB)
    await ledger.check(30)


async def test_report_inside_a_batch_leaves_its_transaction_alone(
    make_manager, connection, ledger, numbers
):
    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        assert (await step.report()).rows_read == batch.first_position - 1

    async with make_manager() as manager:
        async with manager.checkpoint("r", "load") as step:
            await step.for_each(numbers(30)(None), sink, size=10, position=lambda row: row[0])
    await ledger.check(30)


async def test_lease_and_connections_are_given_back_whenever_an_opening_is_cancelled(
    make_manager, connection
):
    async def work(manager):
        async with manager.checkpoint("r", "load", when_held="fail") as cp:
            await cp.report()

    async with make_manager(pool_size=2) as manager:
        pool = manager.database._pool
        ended = 0
        for number in range(60):
            task = asyncio.create_task(work(manager))
            for _ in range(number):
                await asyncio.sleep(0.0002)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None, task.exception()
            ended += not task.cancelled()
            assert lease.open_here == set()
            row = await connection.fetchrow(HOLDER)  # nobody else would know that it is free
            assert row is None or not row["held"], number
        assert ended
        await asyncio.sleep(0.1)  # what was cancelled in asyncpg's hands comes back by itself
        assert pool.get_idle_size() == pool.get_size()


@pytest.mark.parametrize("column", ["fence", "version"])
async def test_fence_alone_refuses_the_save(make_manager, connection, ledger, numbers, column):
    """With no keeper to notice and no backend ended: the save's own condition."""
    async with make_manager(lease_seconds=600) as manager:
        async with manager.checkpoint("r", "load") as cp:
            batches = cp.batches(numbers(20)(None), size=10, position=lambda row: row[0])
            batch = await anext(batches)
            with pytest.raises(StaleRunError):
                async with batch.transaction() as tx:
                    await tx.load("numbers", batch.records)
                    await connection.execute(
                        f"UPDATE seawall.checkpoints SET {column} = {column} + 1"
                    )
    await ledger.check(0)
