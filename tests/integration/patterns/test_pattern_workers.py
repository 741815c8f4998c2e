"""Two processes that are killed in the middle of writing: counts and ids stay exact."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg

from seawall import ErrorRecoveryManager, ErrorType, PatternMiner
from support.pattern_worker import MESSAGES

TESTS = Path(__file__).parents[2]


def started(dsn, seed):
    return subprocess.Popen(
        [sys.executable, "-m", "support.pattern_worker", dsn, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent / "src"), str(TESTS)))},
    )


def killed(worker, lines):
    """Killed after so many lines of its, and what it then has surely written, and at most."""
    wrote = begun = 0
    while lines or wrote < len(MESSAGES):
        word, count = worker.stdout.readline().split()
        wrote, begun = (int(count), begun) if word == "wrote" else (wrote, int(count))
        lines = max(0, lines - 1)
    worker.send_signal(signal.SIGKILL)
    rest, _ = worker.communicate()
    for line in rest.splitlines():
        word, _, count = line.partition(" ")
        wrote, begun = (int(count), begun) if word == "wrote" else (wrote, int(count))
    return wrote, begun


async def test_patterns_of_killed_workers_are_exact_and_named_as_one_worker_would(database_dsn):
    workers = [started(database_dsn, seed) for seed in (1, 2)]
    bounds = {
        f"p{seed}": killed(worker, 40 + 7 * seed) for seed, worker in enumerate(workers, start=1)
    }
    connection = await asyncpg.connect(database_dsn)
    # The servers of the killed may still be about to commit.
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
        "seawall patterns seawall",
    )
    async with ErrorRecoveryManager(database_dsn) as manager:
        found = await manager.get_error_patterns()
        by_pipeline = {
            pipeline: sum(each.frequency for each in await manager.get_error_patterns(pipeline))
            for pipeline in bounds
        }
    for pipeline, (wrote, begun) in bounds.items():
        assert by_pipeline[pipeline] in (wrote, begun), pipeline
    assert sum(each.frequency for each in found) == sum(by_pipeline.values())
    total = await connection.fetchval("SELECT sum(frequency) FROM seawall.error_patterns")
    assert total == sum(by_pipeline.values())
    await connection.close()
    miner = PatternMiner()
    for message in MESSAGES:
        miner.observe(message, error_type=ErrorType.TRANSIENT)
    wanted = {(each.pattern_id, each.error_message_pattern) for each in miner.patterns()}
    assert {(each.pattern_id, each.error_message_pattern) for each in found} == wanted
