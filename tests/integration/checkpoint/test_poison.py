"""A record that kills its worker is found and set aside; workers that die of else convict none."""

import random
import signal

import pytest


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("mode", ["die", "kill"])
async def test_poison_record_is_set_aside_and_all_others_are_loaded(
    connection, ledger, start_worker, mode
):
    starts = 0
    while True:
        starts += 1
        worker = await start_worker(mode, 1200, 1000, 700)
        code, errors = await worker.end()
        if code == 0:
            break
        assert starts < 15, errors
    assert worker.lines[-1] == "done 1199 1"
    assert starts == 10
    await ledger.check(1200, {700})
    reason = await connection.fetchval("SELECT reason FROM seawall.quarantined_records")
    assert "its worker died" in reason


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_poison_random_kills_convict_nobody(connection, ledger, start_worker):
    rng = random.Random(4)
    for _ in range(8):
        worker = await start_worker("hold", 200, 10, 1000)
        await worker.until("started" if rng.random() < 0.3 else "in batch")
        worker.send(signal.SIGKILL)
        await worker.end()
    worker = await start_worker("load", 200, 10)
    assert await worker.end() == (0, "")
    await ledger.check(200)


async def test_acknowledged_batch_of_a_killed_worker_comes_again_as_it_was(
    connection, start_worker
):
    first = await start_worker("ack", 30, 10, 15)
    await first.end()
    second = await start_worker("ack", 30, 7, 99)
    assert await second.end() == (0, "")
    seen = [line for line in first.lines if line != "started"]
    again = [line for line in second.lines if line != "started"]
    assert again[0] == seen[1]
    numbers = [int(n) for line in (*seen[:-1], *again) for n in line.split()[1:]]
    assert numbers == list(range(1, 31))
