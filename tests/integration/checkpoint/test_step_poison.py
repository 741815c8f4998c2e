"""A record that kills its worker is found and set aside; workers that die of else convict none."""

import signal

import pytest


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_poison_record_is_set_aside_and_all_others_are_loaded(
    connection, ledger, start_worker
):
    starts = 0
    while True:
        starts += 1
        worker = await start_worker("die", 1200, 1000, 700)
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
async def test_poison_kills_from_outside_convict_nobody(connection, ledger, start_worker):
    """Three starts without a commit make the batches small; whoever gets over a record clears it."""
    for batches in (1, 1, 1, 2, 1, 3, 1, 2):
        worker = await start_worker("slow", 40, 10, 50)
        for _ in range(batches):
            await worker.until("in batch")
        worker.send(signal.SIGKILL)
        await worker.end()
    assert await connection.fetchval("SELECT suspect_size FROM seawall.checkpoints") == 1
    worker = await start_worker("load", 40, 10)
    assert await worker.end() == (0, "")
    await ledger.check(40)


async def test_poison_record_of_a_sink_elsewhere_ends_with_its_batch_set_aside(
    connection, ledger, start_worker
):
    """A batch that was given away can't be made smaller: all of it is set aside."""
    for starts in range(1, 15):
        worker = await start_worker("ack", 30, 10, 15)
        if (await worker.end())[0] == 0:
            break
    assert starts <= 9
    assert await ledger.quarantined() == list(range(11, 21))


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
