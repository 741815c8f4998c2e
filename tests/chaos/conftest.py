import sys
from pathlib import Path

import asyncpg
import pytest

from support.worker import is_bad

DDL = """
CREATE TABLE numbers (
    n int NOT NULL,
    word text NOT NULL,
    CONSTRAINT word_check CHECK (word <> 'bad')
)
"""  # no key on n: a row loaded twice would show
WORKER = [sys.executable, str(Path(__file__).parents[1] / "support" / "worker.py")]


async def make_table(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute(DDL)
    await connection.close()


async def check_ledger(dsn, total):
    """Each source row is in the table or in quarantine, exactly once."""
    connection = await asyncpg.connect(dsn)
    try:
        loaded = [row["n"] for row in await connection.fetch("SELECT n FROM numbers ORDER BY n")]
        aside = await connection.fetch(
            "SELECT (position #>> '{}')::int AS n FROM seawall.quarantined_records ORDER BY 1"
        )
    finally:
        await connection.close()
    assert loaded == [n for n in range(1, total + 1) if not is_bad(n)]
    assert [row["n"] for row in aside] == [n for n in range(1, total + 1) if is_bad(n)]


@pytest.fixture
async def numbers_dsn(database_dsn):
    await make_table(database_dsn)
    return database_dsn
