"""Real processes, frozen by SIGSTOP anywhere in a batch, replaced, and thawed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from seawall.sink import committed_files
from support.sinks import hidden, numbers_in

WORKER = [sys.executable, str(Path(__file__).parents[2] / "support" / "sink_worker.py")]
TOTAL = 120
# What happens behind each is up to the sink: they are spread over the life of a worker, of which
# the model in tests/unit/test_sink_crashes.py takes every point.
POINTS = (3, 8, 11, 13, 16, 19, 22, 25, 29, 34)


@pytest.fixture
async def ledger_dsn(empty_database_dsn):
    connection = await asyncpg.connect(empty_database_dsn)
    await connection.execute(
        "CREATE TABLE ledger (fence int, position int, states text);"
        "INSERT INTO ledger VALUES (0, 0, '{}')"
    )
    await connection.close()
    return empty_database_dsn


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_file_sink_frozen_worker_thawed_after_takeover_changes_no_finished_file(
    ledger_dsn, tmp_path
):
    """Three freeze one after the other, a fourth does the work, then all are thawed."""
    connection = await asyncpg.connect(ledger_dsn)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for round_, points in enumerate(zip(POINTS[::3], POINTS[1::3], POINTS[2::3], strict=False)):
        folder = tmp_path / str(round_)
        await connection.execute("UPDATE ledger SET fence = 0, position = 0, states = '{}'")

        def start(freeze_at, folder=folder):
            return subprocess.Popen(
                [*WORKER, ledger_dsn, str(folder), str(TOTAL), str(freeze_at)], env=environment
            )

        frozen = []
        for point in points:
            worker = start(point)
            _, status = os.waitpid(worker.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), f"point {point} was not reached"
            # It holds the ledger's row no longer than its connection lives, as with a lease.
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND state = 'idle in transaction' AND query LIKE 'UPDATE%'"
            )
            frozen.append(worker)
        assert start(0).wait() == 0
        names = [path.name for path in committed_files(folder)]
        texts = [path.read_bytes() for path in committed_files(folder)]
        for worker in frozen:
            worker.send_signal(signal.SIGCONT)
            assert worker.wait() == 3, "a replaced worker has committed"
        files = committed_files(folder)
        assert [path.name for path in files] == names
        assert [path.read_bytes() for path in files] == texts
        assert numbers_in(files) == list(range(TOTAL))
        assert all(not name.startswith(".part") or ".f4." not in name for name in hidden(folder))
    await connection.close()
