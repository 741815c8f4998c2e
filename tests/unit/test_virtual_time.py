import asyncio


async def test_virtual_time_sleep_moves_the_clock_and_takes_none(clock):
    before = clock.monotonic()
    await clock.sleep(3600)
    assert 3600 <= clock.monotonic() - before < 3600.001


async def test_virtual_time_timeout_fires_in_order(clock):
    async with asyncio.timeout(5) as scope:
        await clock.sleep(4)
    assert not scope.expired()
