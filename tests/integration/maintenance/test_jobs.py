"""Background work of the fleet: one worker at a time, and another one's when that dies."""

import asyncio

import pytest

from seawall.config import RecoveryConfig
from seawall.maintenance import Job, JobRunner
from seawall.postgres.database import Database
from seawall.postgres.job_store import PostgresJobStore


@pytest.fixture
async def store(database_dsn):
    database = Database(database_dsn, config=RecoveryConfig())
    await database.start()
    yield PostgresJobStore(database)
    await database.aclose()


def counting(name="count", every=3600.0, timeout=60.0, work=None):
    done = []

    async def count():
        done.append(name)
        if work is not None:
            await work()

    return Job(name=name, every=every, work=count, timeout=timeout), done


async def test_jobs_of_eight_workers_are_done_once(store):
    job, done = counting()
    runners = [JobRunner(store, [job], f"worker {n}") for n in range(8)]
    await asyncio.gather(*(runner.run_due() for runner in runners))
    assert done == ["count"]


async def test_job_that_fails_is_recorded_and_due_again(store):
    async def fail():
        raise ValueError("no such table")

    job, done = counting(work=fail)
    other, other_done = counting("other")
    assert set(await JobRunner(store, [job, other], "worker").run_due()) == {"count", "other"}
    async with store._database.acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM seawall.background_jobs WHERE job = 'count'")
    assert row["last_error"] == "ValueError: no such table"
    assert row["failure_count"] == len(done) == 1
    assert row["owner"] is None
    assert other_done == ["other"]


async def row_of(store, job="count"):
    async with store._database.acquire() as connection:
        return await connection.fetchrow(
            "SELECT *, extract(epoch FROM due_at - clock_timestamp())::float8 AS wait "
            "FROM seawall.background_jobs WHERE job = $1",
            job,
        )


async def test_job_of_a_worker_that_died_is_claimed_after_its_lease(store):
    job, done = counting()
    assert await store.claim([job], "dead", 0.001) == "count"
    await asyncio.sleep(0.01)  # the lease is the database's time
    assert await JobRunner(store, [job], "next").run_due() == ["count"]
    assert done == ["count"]


async def test_job_finished_by_a_worker_that_was_replaced_changes_nothing(store):
    job, _ = counting()
    await store.claim([job], "frozen", 0.001)
    await asyncio.sleep(0.01)
    await store.claim([job], "next", 30.0)
    await store.finish(job, "frozen", None)
    await store.release(job, "frozen")
    assert not await store.renew(job, "frozen", 30.0)
    assert (await row_of(store))["owner"] == "next"


async def test_job_that_takes_longer_than_its_lease_keeps_it(store):
    entered, leave = asyncio.Event(), asyncio.Event()

    async def work():
        entered.set()
        await leave.wait()

    job, done = counting(work=work)
    running = asyncio.ensure_future(JobRunner(store, [job], "slow", lease_seconds=0.3).run_due())
    await entered.wait()
    await asyncio.sleep(0.7)  # more than two leases
    assert await JobRunner(store, [job], "other").run_due() == []
    leave.set()
    assert await running == ["count"]
    assert done == ["count"]


async def test_job_that_another_worker_has_taken_is_ended_and_not_finished(store):
    """As after a freeze: the renewal finds the lease gone."""
    entered = asyncio.Event()

    async def work():
        entered.set()
        await asyncio.Event().wait()

    job, _ = counting(work=work)
    running = asyncio.ensure_future(JobRunner(store, [job], "slow", lease_seconds=0.15).run_due())
    await entered.wait()
    async with store._database.acquire() as connection:
        await connection.execute("UPDATE seawall.background_jobs SET owner = 'next'")
    await running
    row = await row_of(store)
    assert (row["owner"], row["failure_count"], row["last_error"]) == ("next", 0, None)


async def test_job_of_a_worker_that_stops_is_due_at_once(store):
    entered = asyncio.Event()

    async def work():
        entered.set()
        await asyncio.Event().wait()

    job, _ = counting(work=work)
    runner = JobRunner(store, [job], "stopped", every=0.01)
    await runner.start()
    await entered.wait()
    await runner.aclose()
    again, done = counting()
    assert await JobRunner(store, [again], "next").run_due() == ["count"]
    assert done == ["count"]


async def test_job_that_fails_is_due_again_soon_and_later_each_time(store):
    async def fail():
        raise ValueError("no such table")

    job, _ = counting(every=3600.0, work=fail)
    waits = []
    for _ in range(9):
        assert await JobRunner(store, [job], "worker").run_due() == ["count"]
        waits.append(round((await row_of(store))["wait"]))
        async with store._database.acquire() as connection:
            await connection.execute("UPDATE seawall.background_jobs SET due_at = '-infinity'")
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


async def test_job_that_takes_too_long_is_ended_and_has_failed(store):
    async def work():
        await asyncio.Event().wait()

    job, _ = counting(timeout=0.05, work=work)
    await JobRunner(store, [job], "worker").run_due()
    row = await row_of(store)
    assert row["last_error"].startswith("TimeoutError")
    assert row["owner"] is None


async def test_look_with_nothing_due_writes_nothing(store):
    """What idle workers cost: one statement each that changes no row and takes no transaction id."""
    job, _ = counting()
    runners = [JobRunner(store, [job], f"worker {n}") for n in range(100)]
    await runners[0].run_due()
    async with store._database.acquire() as connection:
        before = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        for runner in runners:
            assert await runner.run_due() == []
        after = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    assert int(after) - int(before) <= 100 / 10  # other databases of the server may write
