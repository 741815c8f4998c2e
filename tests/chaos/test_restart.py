"""The server killed, and stopped, in mid-run: the worker goes on by itself, nothing lost or doubled."""

import os
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

import pytest

from chaos.conftest import check_ledger, make_table
from seawall import ErrorRecoveryManager
from seawall.postgres.embedded import EmbeddedServer, stop
from support.database import open_folder
from support.worker import source

CONFIG = {"initial_delay": 0.05, "max_delay": 0.5, "max_retries": 10}


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_server_killed_and_stopped_in_mid_run_loads_each_row_once():
    folder = open_folder()
    root = folder / "server with space"
    server = EmbeddedServer(root)
    done = []
    try:
        await server.start()
        await make_table(server.dsn())

        async def sink(tx, batch):
            await tx.load("numbers", batch.records)
            if batch.first_position == 501 and "killed" not in done:
                done.append("killed")
                pid = int((root / "pgdata" / "postmaster.pid").read_text().split()[0])
                assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/")
                os.kill(pid, signal.SIGKILL)
            if batch.first_position == 1_001 and "stopped" not in done:
                done.append("stopped")
                await stop(root)

        dsn = f"embedded://{quote(str(root))}"
        async with ErrorRecoveryManager(dsn, config=CONFIG, pipeline_id="numbers") as manager:
            report = await manager.stream(
                source(2_000), sink, run_id="r", step="load", size=100, position=lambda row: row[0]
            )
            error_id = await manager.log_error_details("r", ValueError("after the restarts"))
            assert error_id.version == 7
        assert done == ["killed", "stopped"]
        assert report.retries >= 2
        await check_ledger(server.dsn(), 2_000)
    finally:
        await server.aclose(wait=True)
        shutil.rmtree(folder)
