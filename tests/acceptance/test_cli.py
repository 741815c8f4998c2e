"""The other commands, on a real database and a real embedded server."""

import json
import shutil

import pytest

from acceptance.test_demo import seawall
from seawall import __version__
from seawall.postgres.migrate import migrations, render_schema
from support.database import open_folder


def test_version_and_help_are_printed():
    assert seawall("--version").stdout.strip() == __version__
    for command in ("demo", "migrate", "schema", "status", "server"):
        assert command in seawall("--help").stdout


def test_migrate_applies_once_then_says_up_to_date(empty_database_dsn):
    applied = "".join(f"applied {each.name}\n" for each in migrations())
    assert applied.startswith("applied 0001_pre_initial\n")
    assert seawall("migrate", "--dsn", empty_database_dsn).stdout == applied
    assert seawall("migrate", "--dsn", empty_database_dsn).stdout == "up to date\n"


def test_schema_is_printed_for_the_schema_asked(empty_database_dsn):
    assert seawall("schema").stdout == render_schema()
    assert 'CREATE SCHEMA IF NOT EXISTS "other"' in seawall("schema", "--schema", "other").stdout


async def fill(dsn):
    from seawall import ErrorRecoveryManager

    async with ErrorRecoveryManager(dsn, pipeline_id="nightly") as manager:
        async with manager.run("nightly", "run-1"), manager.checkpoint("run-1", "load") as cp:
            async for batch in cp.batches(["a", "b"], position=lambda r: r):
                async with batch.transaction():
                    pass
        await manager.quarantine_bad_records("run-1", [1, 2], "no such [customer]", step="load")
        breaker = manager.circuit_breaker("billing", failure_threshold=1)

        async def fail():
            raise ConnectionError("refused")

        try:
            await breaker.call(fail)
        except ConnectionError:
            pass


def test_status_shows_runs_positions_quarantine_and_breakers(database_dsn):
    import asyncio

    empty = seawall("status", "--dsn", database_dsn)
    assert empty.stdout.count("none") == 5
    asyncio.run(fill(database_dsn))
    shown = seawall("status", "--dsn", database_dsn).stdout
    for word in ("run-1", "nightly", "succeeded", "no such [customer]", "billing", "open"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 80
    found = json.loads(seawall("status", "--dsn", database_dsn, "--json").stdout)
    assert found["checkpoints"][0]["position"] == "b"
    assert found["quarantine"][0]["records"] == 2
    assert found["breakers"][0]["state"] == "open"


@pytest.mark.timeout(90)
def test_server_is_started_shown_and_stopped():
    folder = open_folder()
    place = ["--folder", str(folder / "server")]
    try:
        assert "absent" in seawall("server", "status", *place).stdout
        started = seawall("server", "start", *place).stdout
        dsn = started.split("DSN: ")[1].strip()
        shown = json.loads(seawall("server", "status", "--json", *place).stdout)
        assert (shown["state"], shown["held"]) == ("running", True)
        assert seawall("migrate", "--dsn", dsn).returncode == 0
        assert seawall("server", "stop", *place).stdout == "stopped\n"
        assert seawall("server", "stop", *place).stdout == "it was not running\n"
        assert "stopped" in seawall("server", "status", *place).stdout
    finally:
        seawall("server", "stop", *place)
        shutil.rmtree(folder)


def test_prune_drops_what_is_older_and_says_so(database_dsn):
    import asyncio
    from datetime import UTC, datetime

    import asyncpg

    from seawall.postgres.partitions import ensure_partitions

    async def make_old():
        connection = await asyncpg.connect(database_dsn)
        await ensure_partitions(
            connection, "seawall", ahead=0, now=datetime(2020, 1, 1, tzinfo=UTC)
        )
        await connection.close()

    asyncio.run(make_old())
    first = seawall("prune", "--dsn", database_dsn, "--days", "30").stdout
    assert "dropped error_details_2020_01" in first
    assert seawall("prune", "--dsn", database_dsn).stdout == "nothing is older\n"
