"""Another PostgreSQL to load into: checkpoint, lease and quarantine are kept beside the data."""

import asyncio

import asyncpg
import pytest

from support.numbers_table import DDL

JOB = {"run_id": "r", "step": "load", "size": 10, "position": lambda row: row[0]}
COUNTS = """
SELECT (SELECT count(*) FROM seawall.checkpoints), (SELECT count(*) FROM seawall.checkpoint_leases),
       (SELECT count(*) FROM seawall.quarantined_records)
"""


@pytest.fixture
async def there(test_server):
    """A DSN of a second database, with the table, and a connection to it."""
    dsn = await asyncio.to_thread(test_server.create, empty=True)
    connection = await asyncpg.connect(dsn)
    await connection.execute(DDL)
    yield dsn, connection
    await connection.close()
    await asyncio.to_thread(test_server.drop, dsn)


async def test_other_database_keeps_everything_beside_the_data(
    make_manager, connection, numbers, there
):
    dsn, other = there
    async with make_manager() as manager:
        for total in (30, 45):
            report = await manager.stream(
                numbers(total, {7}), "numbers", database=dsn, concurrency=2, **JOB
            )
    assert report.resumed_from == 30
    assert await other.fetchval("SELECT count(*) FROM numbers") == 44
    assert tuple(await other.fetchrow(COUNTS)) == (1, 0, 1)
    assert tuple(await connection.fetchrow(COUNTS)) == (0, 0, 0)
    assert await connection.fetchval("SELECT count(*) FROM numbers") == 0


async def test_other_database_opened_by_many_steps_at_once_has_one_pool(
    make_manager, connection, numbers, there
):
    dsn, other = there
    backends = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    async with make_manager() as manager:
        await asyncio.gather(
            *(
                manager.stream(
                    lambda after: iter(()), "numbers", run_id="r", step=f"s{n}", database=dsn
                )
                for n in range(4)
            )
        )
        assert len(manager._services.checkpoints._others) == 1
    for _ in range(100):
        if await other.fetchval(backends) == 1:
            break
        await asyncio.sleep(0.01)
    assert (
        await other.fetchval(backends) == 1
    )  # all closed with the manager: this one is the test's


async def test_other_database_as_a_pool_of_the_users_stays_open(
    make_manager, connection, numbers, there
):
    dsn, other = there
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        async with make_manager() as manager:
            await manager.stream(numbers(30), "numbers", database=pool, **JOB)
        assert await pool.fetchval("SELECT count(*) FROM numbers") == 30
