"""The demo, as a user runs it: real data, a real server, a real kill."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import asyncpg
import psutil
import pytest

KEYS = [
    "rows_read", "rows_loaded", "rows_quarantined", "quarantined_by_reason", "batches", "retries",
    "breaker_transitions", "resumed_from", "seconds",
]  # fmt: skip


def seawall(*arguments, timeout=100):
    return subprocess.run(
        [sys.executable, "-m", "seawall", *arguments],
        capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "80"},
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
    first = demo(database_dsn)
    assert first["resumed_from"] is None
    assert first["retries"] >= 5
    assert first["breaker_transitions"] >= 5

    again = demo(database_dsn)
    assert again["resumed_from"] == 336_776
    assert again["batches"] == first["batches"] == 34

    killed = demo(database_dsn, "--kill", "--fresh")
    assert 130_000 < killed["resumed_from"] < 336_776

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
