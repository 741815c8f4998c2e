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
def rows(connection):
    async def fetch():
        return await connection.fetch("SELECT * FROM seawall.outbox_messages ORDER BY sequence")

    return fetch
