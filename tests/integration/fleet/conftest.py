"""Workers of one fleet, each a manager of its own, on one database."""

from contextlib import AsyncExitStack

import anyio
import pytest

from seawall import ErrorRecoveryManager

QUICK = {
    "breaker_poll_seconds": 0.2,
    "permit_lease_seconds": 1.0,
    "circuit_breaker_threshold": 3,
    "circuit_breaker_timeout": 0.5,
    "connect_timeout": 5,
    "pool_size": 2,
}


async def until(condition, seconds=8):
    """Wait until it holds; says when it doesn't."""
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.002)


@pytest.fixture
async def workers(database_dsn):
    """A function that starts that many workers; they are closed at the test's end."""
    async with AsyncExitStack() as stack:

        async def start(count, **config):
            return [
                await stack.enter_async_context(
                    ErrorRecoveryManager(database_dsn, config=QUICK | config)
                )
                for _ in range(count)
            ]

        yield start
