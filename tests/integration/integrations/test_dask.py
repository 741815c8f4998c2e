"""Partitions over Dask: a worker process is killed, and every row is there once."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

pytest.importorskip("distributed")

JOB = Path(__file__).parents[2] / "support" / "dask_job.py"


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_dask_worker_that_is_killed_loses_and_doubles_nothing(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    # No primary key: a row that came twice would be there twice.
    await connection.execute("CREATE TABLE numbers (part int, n int)")
    done = subprocess.run(
        [sys.executable, JOB, database_dsn], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded, by_the_last = map(int, done.stdout.split())
    assert loaded == 2400
    assert by_the_last < loaded  # some of it was committed by the worker that was killed
    row = await connection.fetchrow("SELECT count(*), count(DISTINCT (part, n)) FROM numbers")
    assert tuple(row) == (2400, 2400)
    await connection.close()
