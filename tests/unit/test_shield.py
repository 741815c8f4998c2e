"""What must be finished is finished, and the cancellation comes after."""

import asyncio

import anyio
import pytest

from seawall import shield


async def finishing(log, seconds=5.0, limit=60.0):
    async def work():
        await asyncio.sleep(seconds)
        log.append("finished")
        return 7

    async with anyio.create_task_group() as tasks:
        log.append(await shield.finish(tasks, work, limit))
        log.append("went on")


async def test_finish_gives_the_result():
    log = []
    await finishing(log)
    assert log == ["finished", 7, "went on"]


async def test_finish_native_cancellation_is_delivered_after_the_work():
    log = []
    task = asyncio.create_task(finishing(log))
    for _ in range(3):
        await asyncio.sleep(1)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["finished"]


async def test_finish_anyio_cancellation_is_delivered_after_the_work():
    log = []
    with anyio.move_on_after(1) as scope:
        await finishing(log)
        await anyio.sleep(0)
        log.append("not reached")
    assert scope.cancelled_caught
    assert log[0] == "finished"
    assert "not reached" not in log


async def test_finish_asyncio_timeout_around_it_still_works():
    log = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await finishing(log)
    assert log == ["finished"]


async def test_finish_work_that_never_ends_is_cut_off_at_its_limit():
    log = []
    with pytest.raises(ExceptionGroup) as caught:
        await finishing(log, seconds=1e9, limit=10)
    assert caught.group_contains(TimeoutError)


async def test_finish_exception_of_the_work_is_the_callers():
    async def work():
        raise ValueError("mine")

    async def call():
        tasks = await anyio.create_task_group().__aenter__()
        try:
            return await shield.finish(tasks, work, 5)
        finally:
            await tasks.__aexit__(None, None, None)

    with pytest.raises(ValueError, match="mine"):
        await call()
