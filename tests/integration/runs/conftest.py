import asyncpg
import pytest

from seawall import ErrorRecoveryManager


@pytest.fixture
async def manager(database_dsn):
    async with ErrorRecoveryManager(database_dsn, config={"lease_seconds": 2}) as manager:
        yield manager


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def row_of(connection):
    """A function that gives a step's row."""

    async def fetch(step):
        return await connection.fetchrow("SELECT * FROM seawall.run_steps WHERE step = $1", step)

    return fetch
