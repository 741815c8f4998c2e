"""C1: a worker killed at any moment and started again loses and doubles nothing."""

import asyncio
import os
import random
import signal

import pytest

from chaos.conftest import WORKER, check_ledger

TOTAL, SIZE = 40_000, 500
KILLS = 8


async def start(dsn):
    worker = await asyncio.create_subprocess_exec(
        *WORKER, dsn, str(TOTAL), str(SIZE), stdout=asyncio.subprocess.PIPE
    )
    assert await worker.stdout.readline() == b"open\n"
    return worker


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_worker_killed_at_random_moments_loads_each_row_once(numbers_dsn):
    seed = int(os.environ.get("SEAWALL_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    moments = random.Random(seed)
    killed = 0
    while True:
        worker = await start(numbers_dsn)
        if killed == KILLS:
            output, _ = await worker.communicate()
            assert worker.returncode == 0
            break
        await asyncio.sleep(moments.uniform(0, 0.06))
        if worker.returncode is None:
            worker.send_signal(signal.SIGKILL)
            killed += 1
        await worker.communicate()
    assert output.split()[0] == b"done"
    assert output.split()[1:] == [b"40000", b"38919", b"1081"]
    await check_ledger(numbers_dsn, TOTAL)
