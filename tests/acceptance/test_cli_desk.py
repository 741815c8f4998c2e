"""The commands that look at failures and act on them, on a real database."""

import asyncio
import json

import pytest

from acceptance.test_demo import seawall
from seawall import ErrorRecoveryManager

# A process for each command.
pytestmark = pytest.mark.timeout(120)


async def _fill(dsn):
    async with ErrorRecoveryManager(dsn, pipeline_id="nightly") as manager:
        async with manager.database.acquire() as connection:
            await connection.execute("CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL)")
        rows = [{"id": n, "total": None if n in (3, 5) else n} for n in range(1, 8)]
        async with manager.run("nightly", "run-1"):
            await manager.stream(
                lambda after: [row for row in rows if row["id"] > (after or 0)],
                "orders", run_id="run-1", step="load", size=3, position=lambda row: row["id"],
            )  # fmt: skip
        try:
            async with manager.run("nightly", "run-2"):
                raise ConnectionRefusedError("billing [api] refuses")
        except ConnectionRefusedError:
            pass
        await manager.checkpoint_progress("run-1", "plain", {"page": 1})
        await manager.checkpoint_progress("run-1", "plain", {"page": 2})


@pytest.fixture
def filled(database_dsn):
    asyncio.run(_fill(database_dsn))
    return database_dsn


def call(dsn, *arguments, code=0, width=80):
    done = seawall(*arguments, "--dsn", dsn, columns=width)
    assert done.returncode == code, done.stderr
    if "--json" not in arguments and "show" not in arguments:
        assert max(map(len, done.stdout.splitlines()), default=0) <= 160
    return done.stdout


def as_json(dsn, *arguments):
    return json.loads(call(dsn, *arguments, "--json"))


def ask(dsn, query):
    import asyncpg

    async def work():
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(work())


def test_cli_shows_runs_errors_and_patterns(filled):
    assert "run-2" in call(filled, "runs", "--status", "failed")
    assert "run-1" not in call(filled, "runs", "--status", "failed")
    one = as_json(filled, "runs", "run-1")
    assert [(step["step"], step["skip_count"]) for step in one["checkpoints"]] == [
        ("load", 2), ("plain", 0),
    ]  # fmt: skip
    assert "there is no run 'x'" in seawall("runs", "x", "--dsn", filled).stderr
    (error,) = as_json(filled, "errors")
    assert error["message"] == "billing [api] refuses"
    shown = call(filled, "errors", error["error_id"])
    assert "billing [api] refuses" in shown
    assert "Traceback" in shown
    patterns = as_json(filled, "patterns", "list")
    assert patterns[0]["error_message_pattern"].startswith("billing")
    call(
        filled,
        "patterns",
        "resolve",
        patterns[0]["pattern_id"],
        "--reason",
        "mended",
        "--actor",
        "anna",
    )
    assert as_json(filled, "patterns", "list", "--status", "resolved")


def test_cli_shows_budget_and_health(filled):
    shown = call(filled, "budget", "nightly", "--days", "1")
    assert "0% left" in shown
    found = as_json(filled, "budget", "nightly", "--objective", "0.4")
    assert (found["status"]["good"], found["status"]["bad"]) == (1, 1)
    assert found["status"]["objective"] == 0.4
    assert found["status"]["budget_exceeded"] is False
    assert "disk" in call(filled, "health")
    assert as_json(filled, "health")["readings"]


def test_cli_mends_quarantined_records(filled, tmp_path):
    listed = as_json(filled, "quarantine", "list")
    assert [record["position"] for record in listed] == [3, 5]
    first, second = (record["record_id"] for record in listed)
    assert "as it came" in call(filled, "quarantine", "show", first).lower()
    edited = json.dumps({"id": 3, "total": 30})
    call(filled, "quarantine", "edit", first, "--why", "asked", "--to", edited, "--actor", "anna")
    again = call(filled, "quarantine", "reprocess", "--into", "orders", "--run", "run-1", code=1)
    assert "1 of 2 were loaded, 1 failed again" in again
    assert ask(filled, "SELECT total FROM orders WHERE id = 3") == 30
    path = tmp_path / "bad.jsonl"
    assert "1 records" in call(filled, "quarantine", "export", str(path), "--run", "run-1")
    assert call(
        filled, "quarantine", "discard", "--record", second, "--why", "a draft", "--yes"
    ) == ("1 records were given up\n")
    actions = {line["action"] for line in as_json(filled, "audit")}
    assert {"records reprocessed", "records discarded"} <= actions


def test_cli_forces_breakers_goes_back_and_silences(filled):
    said = call(filled, "breakers", "open", "billing", "--reason", "moved", "--actor", "anna")
    assert said == "billing is forced_open for the whole fleet\n"
    assert as_json(filled, "breakers", "list")[0]["state"] == "forced_open"
    call(filled, "breakers", "close", "billing", "--reason", "back")
    assert as_json(filled, "breakers", "list")[0]["state"] == "closed"
    states = as_json(filled, "checkpoints", "show", "run-1", "plain")
    version = str(states[-1]["version"])
    assert "goes on from version" in call(
        filled, "checkpoints", "resume-from", "run-1", "plain", version, "--reason", "wrong file"
    )
    assert len(as_json(filled, "checkpoints", "list", "run-1")) == 2
    silenced = call(filled, "alerts", "silence", "rule=run_failed", "--reason", "night")
    call(filled, "alerts", "unsilence", silenced.split()[1], "--reason", "day")
    assert "run_failed" in {alert["rule"] for alert in as_json(filled, "alerts", "list")}
    assert ask(filled, "SELECT count(*) FROM seawall.audit_log") >= 5


def test_doctor_says_what_is_wrong_and_what_to_do(database_dsn, empty_database_dsn):
    checks = {each["check"]: each["state"] for each in as_json(database_dsn, "doctor")}
    assert checks["connection"] == checks["migrations"] == checks["clock"] == "ok"
    shown = call(empty_database_dsn, "doctor", code=1)
    assert "run `seawall migrate`" in shown
    wrong = "postgresql://nobody@127.0.0.1:1/x"
    assert "connection" in call(wrong, "doctor", code=1)


def test_cli_commands_refuse_wrong_use(database_dsn):
    for arguments in (("errors", "nonsense"), ("quarantine", "show", "nonsense"),
                      ("alerts", "silence", "nonsense", "--reason", "x")):  # fmt: skip
        done = seawall(*arguments, "--dsn", database_dsn)
        assert done.returncode == 2
        assert "must be" in done.stderr
