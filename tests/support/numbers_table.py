"""Fixtures of the streaming tests: a table of numbers, and where every row of its source ended up."""

import asyncpg
import pytest

from seawall import ErrorRecoveryManager

DDL = "CREATE TABLE numbers (n int PRIMARY KEY, word text NOT NULL CHECK (word <> 'bad'))"
CONFIG = {"initial_delay": 0.01, "max_delay": 0.2, "max_retries": 8, "connect_timeout": 5}


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(DDL)
    yield connection
    await connection.close()


@pytest.fixture
def make_manager(database_dsn):
    def make(dsn=database_dsn, **config):
        return ErrorRecoveryManager(dsn, config={**CONFIG, **config}, pipeline_id="numbers")

    return make


class Ledger:
    """Counts where every source row ended up."""

    def __init__(self, connection):
        self._connection = connection

    async def loaded(self):
        return [
            row["n"] for row in await self._connection.fetch("SELECT n FROM numbers ORDER BY n")
        ]

    async def quarantined(self):
        rows = await self._connection.fetch(
            "SELECT position #>> '{}' AS p FROM seawall.quarantined_records ORDER BY 1"
        )
        return sorted(int(row["p"]) for row in rows)

    async def check(self, total, bad=()):
        """Each of the source's rows is in exactly one place."""
        bad = sorted(bad)
        assert await self.quarantined() == bad
        assert await self.loaded() == sorted(set(range(1, total + 1)) - set(bad))


@pytest.fixture
def ledger(connection):
    return Ledger(connection)


def numbers(total, bad=()):
    """A source: rows (1, 'w') … after a position, with 'bad' where the check constraint bites."""

    def source(after):
        start = (after or 0) + 1
        return ((n, "bad" if n in bad else "w") for n in range(start, total + 1))

    return source


@pytest.fixture(name="numbers")
def numbers_fixture():
    return numbers
