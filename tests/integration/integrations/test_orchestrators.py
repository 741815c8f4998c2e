"""Prefect's and Dagster's runs are ours, and their retries don't multiply ours."""

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

JOBS = Path(__file__).parents[2] / "support"


def run(name, dsn, tmp_path):
    """A job in a process of its own: what these libraries warn of is their own affair."""
    done = subprocess.run(
        [sys.executable, JOBS / name, dsn], capture_output=True, text=True, timeout=100,
        cwd=tmp_path, env={**os.environ, "PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1",
                           "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


async def runs(dsn):
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT pipeline_id, status, start_count FROM seawall.runs")
    await connection.close()
    return [tuple(row) for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_prefect_flow_that_is_retried_goes_on_in_the_same_run(database_dsn, tmp_path):
    pytest.importorskip("prefect")
    printed = run("prefect_job.py", database_dsn, tmp_path)
    # A wrong password isn't tried again, a timeout is; the kept step ran once.
    assert printed == "{'step': 1, 'flow': 2, 'wrong': 2, 'slow': 6}"
    assert await runs(database_dsn) == [("orders", "succeeded", 2)]


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_dagster_job_is_a_run_and_lasting_failures_are_not_retried(database_dsn, tmp_path):
    pytest.importorskip("dagster")
    printed = run("dagster_job.py", database_dsn, tmp_path)
    assert printed == "{'wrong': 1, 'slow': 3, 'given up': 1, 'well': 1}"
    found = await runs(database_dsn)
    assert sorted(found) == [
        ("given_up_job", "failed", 1), ("slow_job", "succeeded", 3), ("well_job", "succeeded", 1),
        ("wrong_job", "failed", 1),
    ]  # fmt: skip
