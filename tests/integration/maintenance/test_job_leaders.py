"""The worker that does a job dies or freezes in it; and nothing is kept in a session."""

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from seawall.maintenance import Job, JobRunner
from seawall.postgres.job_store import PostgresJobStore

WORKER = Path(__file__).parents[2] / "support" / "job_worker.py"

OWNER = "SELECT owner, failure_count FROM seawall.background_jobs"


@pytest.fixture
async def worker(database_dsn):
    children = []

    async def start(name, how):
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), database_dsn, name, how, stdout=asyncio.subprocess.PIPE
        )
        children.append(child)
        return child

    yield start
    for child in children:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def said(child):
    async with asyncio.timeout(15):
        return (await child.stdout.readline()).decode().strip()


async def test_leader_that_is_killed_or_frozen_is_replaced_and_thawed_gives_up(
    worker, database_dsn
):
    killed = await worker("killed", "hold")
    assert await said(killed) == "killed began"
    frozen = await worker("frozen", "hold")
    killed.send_signal(signal.SIGKILL)
    assert await said(frozen) == "frozen began"
    last = await worker("last", "do")
    frozen.send_signal(signal.SIGSTOP)
    assert await said(last) == "last began"
    assert await said(last) == "last ended"
    frozen.send_signal(signal.SIGCONT)
    assert await said(frozen) == "frozen lost"
    connection = await asyncpg.connect(database_dsn)
    assert tuple(await connection.fetchrow(OWNER)) == (None, 0)
    await connection.close()


class EachTimeAnother:
    """A database that gives another connection for each statement, as a transaction pooler may."""

    schema = "seawall"

    def __init__(self, dsn):
        self.dsn, self.backends = dsn, set()

    @asynccontextmanager
    async def acquire(self):
        connection = await asyncpg.connect(self.dsn, statement_cache_size=0)
        self.backends.add(connection.get_server_pid())
        try:
            yield connection
        finally:
            await connection.close()


async def test_claims_need_nothing_of_their_connection(database_dsn):
    database = EachTimeAnother(database_dsn)
    running = asyncio.Event()

    async def work():
        running.set()
        await asyncio.sleep(0.4)

    job = Job(name="job", every=3600.0, work=work)
    one = JobRunner(PostgresJobStore(database), [job], "one", lease_seconds=0.3)
    other = JobRunner(PostgresJobStore(database), [job], "other")
    doing = asyncio.ensure_future(one.run_due())
    await running.wait()
    assert await other.run_due() == []
    assert await doing == ["job"]
    assert await other.run_due() == []
    assert len(database.backends) >= 5
