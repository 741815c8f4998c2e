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


async def test_job_of_a_worker_that_died_is_claimed_after_its_lease(store):
    job, done = counting(timeout=0.001)
    assert await store.claim([job], "dead") == "count"
    await asyncio.sleep(0.01)  # the lease is the database's time
    assert await JobRunner(store, [job], "next").run_due() == ["count"]
    assert done == ["count"]


async def test_job_finished_by_a_worker_that_was_replaced_changes_nothing(store):
    job, _ = counting(timeout=0.001)
    await store.claim([job], "frozen")
    await asyncio.sleep(0.01)
    await store.claim([job], "next")
    await store.finish(job, "frozen", None)
    async with store._database.acquire() as connection:
        owner = await connection.fetchval("SELECT owner FROM seawall.background_jobs")
    assert owner == "next"
