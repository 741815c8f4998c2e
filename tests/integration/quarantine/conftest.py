import asyncpg
import pytest

from seawall import ErrorRecoveryManager

CONFIG = {"initial_delay": 0.01, "max_delay": 0.2, "max_retries": 8, "connect_timeout": 5}


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("CREATE TABLE loaded (n int, worker text)")
    yield connection
    await connection.close()


@pytest.fixture
async def manager(database_dsn, connection):
    async with ErrorRecoveryManager(database_dsn, config=CONFIG, pipeline_id="p") as manager:
        yield manager


@pytest.fixture
def outcomes(connection):
    async def count():
        rows = await connection.fetch(
            "SELECT status, count(*) AS n FROM seawall.quarantined_records GROUP BY status"
        )
        return {row["status"]: row["n"] for row in rows}

    return count


@pytest.fixture
def loaded(connection):
    async def numbers():
        return [row["n"] for row in await connection.fetch("SELECT n FROM loaded ORDER BY n")]

    return numbers


async def _put(tx, record):
    await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])


@pytest.fixture
def put():
    """A processor: one row a record."""
    return _put
