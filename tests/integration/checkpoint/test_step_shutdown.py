"""Real processes that are told to end: what was begun is committed or rolled back, and said."""

import signal

import pytest

LEASES = "SELECT count(*) FROM seawall.checkpoint_leases WHERE lease_until > clock_timestamp()"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_in_a_batch_finishes_it_and_ends_clean(
    make_manager, connection, ledger, numbers, start_worker, number
):
    worker = await start_worker("hold", 100, 10, 1)
    await worker.until("in batch")
    worker.send(number)
    code, errors = await worker.end()
    assert (code, errors) == (0, "")
    assert worker.lines[-1].startswith("shutdown")
    assert number.name in worker.lines[-1]
    assert "all that was begun is committed; position 20 is saved" in worker.lines[-1]
    await ledger.check(20)
    assert await connection.fetchval(LEASES) == 0
    async with make_manager() as manager:
        await manager.stream(
            numbers(100), "numbers", run_id="r", step="load", position=lambda row: row[0]
        )
    await ledger.check(100)


async def test_signal_in_a_batch_that_takes_too_long_rolls_it_back(
    connection, ledger, start_worker
):
    worker = await start_worker("hold", 100, 10, 1000)
    await worker.until("in batch")
    worker.send(signal.SIGTERM)
    code, errors = await worker.end()
    assert (code, errors) == (0, "")
    assert "the batch in flight was rolled back; position 10 is saved" in worker.lines[-1]
    await ledger.check(10)
    assert await connection.fetchval(LEASES) == 0


async def test_signal_ends_a_process_whose_source_blocks(connection, ledger, start_worker):
    """A thread that waits for ever in the source's code keeps nobody from ending."""
    worker = await start_worker("block", 100, 10, 25)
    await worker.until("blocked")
    worker.send(signal.SIGTERM)
    code, errors = await worker.end()
    assert (code, errors) == (0, "")
    assert worker.lines[-1].startswith("shutdown")
    assert await connection.fetchval(LEASES) == 0
    assert await ledger.loaded() in (list(range(1, 11)), list(range(1, 21)))
