"""The demo, as a user runs it: real data, a real server, a real kill."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
import pytest

from seawall.cli.demo import tables
from support.database import execute

KEYS = [
    "rows_read", "rows_loaded", "rows_quarantined", "quarantined_by_reason", "batches", "retries",
    "breaker_transitions", "resumed_from", "seconds",
]  # fmt: skip


def seawall(*arguments, timeout=100, columns=80):
    return subprocess.run(
        [sys.executable, "-m", "seawall", *arguments],
        capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": str(columns)},
    )  # fmt: skip


def demo(dsn, *options):
    result = seawall("demo", "--dsn", dsn, "--json", *options)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert list(report) == KEYS
    assert (report["rows_read"], report["rows_loaded"]) == (336_776, 320_960)
    assert report["rows_quarantined"] == 15_816
    assert sorted(report["quarantined_by_reason"].values()) == [7_561, 8_255]
    return report


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_demo_run_resumed_killed_and_checked(database_dsn):
    killed = demo(database_dsn, "--kill")
    assert 130_000 < killed["resumed_from"] < 336_776
    assert killed["batches"] == 34

    again = demo(database_dsn)
    assert again["resumed_from"] == 336_776
    assert again["batches"] == 34

    async def lose_a_row():
        connection = await asyncpg.connect(database_dsn)
        await connection.execute("DELETE FROM seawall_demo.flights WHERE n = 1")
        await connection.close()

    asyncio.run(lose_a_row())
    result = seawall("demo", "--dsn", database_dsn, "--json")
    assert result.returncode == 1
    assert "rows in flights: 320,959 instead of 320,960" in result.stderr
    assert result.stdout == ""


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_demo_worker_stays_under_150_megabytes(database_dsn):
    from seawall.cli.demo import supervisor

    heard = []

    class Listener:
        def hear(self, message):
            heard.append(message)

        def say(self, text):
            pass

    await supervisor.run(database_dsn, kill=False, fresh=True, display=Listener())
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert heard[-1]["event"] == "done"
    assert 10e6 < heard[-1]["peak_rss_bytes"] < 150e6


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_stopped_by_a_signal_leaves_no_process(database_dsn, number):
    parent = subprocess.Popen(
        [sys.executable, "-m", "seawall", "demo", "--dsn", database_dsn],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with parent:
        for line in parent.stderr:
            if "retry in" in line:
                break
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children
        parent.send_signal(number)
        rest = parent.stderr.read()
        assert parent.wait(20) == 130
    assert "stopped; run it again" in rest
    assert "Traceback" not in rest
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    assert ask(database_dsn, SECONDS) > 0  # the time of a stopped demo counts when it goes on


SECONDS = (
    "SELECT (checkpoint_data->>'seconds')::float8 FROM seawall.checkpoints WHERE step = 'report'"
)
SEAWALL_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'seawall'"


def ask(dsn, query):
    async def work():
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(work())


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_demo_in_a_folder_with_a_module_of_the_same_name_as_ours_runs(database_dsn, tmp_path):
    (tmp_path / "csv.py").write_text("raise SystemExit('the wrong csv')")
    script = os.path.join(os.path.dirname(sys.executable), "seawall")  # -m would put it first
    result = subprocess.run(
        [script, "demo", "--dsn", database_dsn, "--json"],
        capture_output=True, text=True, timeout=50, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["resumed_from"] is None
    assert report["retries"] >= 5
    assert report["breaker_transitions"] >= 5


def test_demo_carrier_told_by_the_api_is_not_overwritten_from_the_file(database_dsn):
    async def work():
        connection = await asyncpg.connect(database_dsn)
        try:
            await tables.prepare(connection, fresh=False)
            sources = []
            for source in ("file", "api", "file"):
                await connection.execute(tables.SAVE_CARRIER, "UA", f"by {source}", source)
                row = await connection.fetchrow("SELECT name, source FROM seawall_demo.carriers")
                sources.append(tuple(row))
            return sources
        finally:
            await connection.close()

    assert asyncio.run(work()) == [("by file", "file"), ("by api", "api"), ("by api", "api")]


@pytest.fixture
def unprivileged_dsn(database_dsn):
    """The test's database, as a role that may use seawall's tables but create nothing."""
    role = f"seawall_low_{uuid.uuid4().hex[:8]}"
    asyncio.run(
        execute(
            database_dsn,
            f"CREATE ROLE {role} LOGIN PASSWORD 'low'",
            f"GRANT USAGE ON SCHEMA seawall TO {role}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA seawall TO {role}",
        )
    )
    parts = urlsplit(database_dsn)
    host = parts.netloc.rpartition("@")[2]
    yield urlunsplit(parts._replace(netloc=f"{role}:low@{host}"))
    asyncio.run(execute(database_dsn, f"DROP OWNED BY {role}", f"DROP ROLE {role}"))


def test_demo_role_that_may_not_create_is_one_clear_line(unprivileged_dsn):
    result = seawall("demo", "--dsn", unprivileged_dsn, "--json")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "permission denied for database" in result.stderr
    assert "use a role that may do this" in result.stderr


def test_status_of_a_database_without_the_schema_changes_nothing(empty_database_dsn):
    result = seawall("status", "--dsn", empty_database_dsn)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "run `seawall migrate`" in result.stderr
    assert ask(empty_database_dsn, SEAWALL_TABLES) == 0


def test_demo_without_a_server_is_one_clear_line(tmp_path):
    result = seawall("demo", "--dsn", "postgresql://user:s3cret@127.0.0.1:1/x")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "can't connect to postgresql://user:***@127.0.0.1:1/x" in result.stderr


def test_demo_folder_that_cant_be_used_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = seawall("demo", "--folder", str(tmp_path / "file" / "server"))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "choose a folder that you can write" in result.stderr
