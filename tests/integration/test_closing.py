"""A manager whose database hangs still closes, within a bounded time."""

import asyncio

import pytest

from seawall import ErrorRecoveryManager, retry
from support.proxy import Proxy, target_of, through


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_manager_closes_while_its_database_hangs(database_dsn):
    async with Proxy(target_of(database_dsn)) as proxy:
        dsn = through(database_dsn, proxy.port)
        manager = await ErrorRecoveryManager(dsn, config={"connect_timeout": 1}).start()

        @retry(max_retries=1, initial_delay=0.001, bus=manager.bus)
        async def fail():
            raise ConnectionResetError("gone")

        for _ in range(3):
            try:
                await fail()
            except ConnectionResetError:
                pass
        proxy.silent = True
        # Not a measurement: without a bound it would never return.
        await asyncio.wait_for(manager.aclose(), 60)
