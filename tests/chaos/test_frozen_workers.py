"""C2: a worker frozen for longer than its lease is replaced, and commits nothing when thawed."""

import asyncio
import signal
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

WORKER = Path(__file__).parents[1] / "support" / "frozen_worker.py"
SIZE, TOTAL = 2_000, 10_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(30)]


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        "CREATE TABLE numbers (n int PRIMARY KEY, word text);"
        "CREATE TABLE commits (fence bigint, first int, last int)"
    )
    yield connection
    await connection.close()


@pytest.fixture
async def start(database_dsn):
    """A function that starts a worker."""
    started = []

    async def start(where, concurrency=1):
        worker = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), database_dsn, where,
            str(TOTAL), str(SIZE), str(concurrency), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


async def frozen(worker):
    while psutil.Process(worker.pid).status() != psutil.STATUS_STOPPED:
        await asyncio.sleep(0.01)


async def said(worker):
    output, _ = await worker.communicate()
    return output.decode().splitlines()


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("where", ["batch", "copy", "source"])
async def test_frozen_worker_is_replaced_and_commits_nothing_once_thawed(
    start, connection, where, concurrency
):
    """The other comes to the end while it is frozen, whatever locks its transactions hold."""
    first = await start(where, concurrency)
    await frozen(first)
    other = await start("never", concurrency)
    assert await said(other) == ["done"]
    before = await connection.fetch("SELECT fence, first, last FROM commits ORDER BY first")
    first.send_signal(signal.SIGCONT)
    assert await said(first) == ["ended by StaleRunError"]
    assert await connection.fetch("SELECT fence, first, last FROM commits ORDER BY first") == before
    assert [row["first"] for row in before] == list(range(1, TOTAL, SIZE))
    assert await connection.fetchval("SELECT count(*) FROM numbers") == TOTAL


async def test_worker_frozen_before_its_outer_sink_gives_the_batch_under_the_same_key(
    start, connection
):
    """At least once: thawed, it may call the sink, with the key that its successor used too."""
    first = await start("sink")
    await frozen(first)
    other = await start("sink")
    await frozen(other)  # at the same batch, which has come again
    other.send_signal(signal.SIGCONT)
    *keys, ended = await said(other)
    assert ended == "done"
    first.send_signal(signal.SIGCONT)
    *early, ended = await said(first)
    assert ended == "ended by StaleRunError"
    assert len(keys) == len(set(keys)) == 4  # the second to the fifth
    assert early[1] == keys[0]
