"""The queries behind the pages: each row once, at a bounded cost, and as a reader may run them."""

import inspect
from uuid import UUID, uuid4

import asyncpg
import pytest

from seawall import ErrorRecoveryManager
from seawall.clock import uuid7
from seawall.postgres import (
    audit,
    breaker_reports,
    budget_reports,
    error_reports,
    record_reports,
    reports,
    run_reports,
)
from seawall.postgres.roles import render_roles
from seawall.quarantine.record import RecordFilter
from support.dashboard import managed

SCHEMA = "seawall"


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


@pytest.fixture(params=[reports.WINDOW, 7])
def window(request, monkeypatch):
    """The walk's bound; a small one, so that searches have to be gone on with."""
    for module in (error_reports, record_reports):
        monkeypatch.setattr(module, "WINDOW", request.param)
    return request.param


async def _errors(connection, count, **fields):
    rows = [
        {
            "error_id": uuid7(), "pipeline_id": f"p{n % 2}", "run_id": f"r{n % 3}",
            "error_type": ("data", "transient")[n % 5 == 0], "message": f"number {n}", **fields,
        }
        for n in range(count)
    ]  # fmt: skip
    await connection.executemany(
        "INSERT INTO seawall.error_details (error_id, occurred_at, pipeline_id, run_id, error_type, "
        "exception_type, message, fingerprint) VALUES ($1, now(), $2, $3, $4, 'E', $5, 'f')",
        [tuple(row.values()) for row in rows],
    )
    return rows


async def _all_pages(page, which, **options):
    """Rows of all pages, and how many pages there were."""
    found, before, pages = [], None, 0
    while True:
        one = await page(which=which, before=before, **options)
        assert one.is_whole or len(one.rows) < options["limit"]
        assert len(one.rows) <= options["limit"]
        found += one.rows
        pages += 1
        assert pages < 1_000
        if one.before is None:
            return found, pages
        before = one.before


ERRORS = [
    ({}, lambda row: True),
    ({"pipeline_id": "p1"}, lambda row: row["pipeline_id"] == "p1"),
    ({"run_id": "r2"}, lambda row: row["run_id"] == "r2"),
    ({"error_type": "transient"}, lambda row: row["error_type"] == "transient"),
    ({"text": "NUMBER 1"}, lambda row: row["message"].startswith("number 1")),
    (
        {"run_id": "r1", "text": "7", "pipeline_id": "p1"},
        lambda row: row["run_id"] == "r1" and "7" in row["message"] and row["pipeline_id"] == "p1",
    ),
    ({"text": "nowhere"}, lambda row: False),
    ({"pipeline_id": "nobody"}, lambda row: False),
    ({"text": "%"}, lambda row: False),
    ({"text": "_"}, lambda row: False),
    ({"text": "\\"}, lambda row: False),
]


@pytest.mark.parametrize("few", [1_000, 5])
async def test_errors_each_is_on_one_page(connection, window, few, monkeypatch):
    """Whatever is asked for, and however soon the walk ends: latest first, none left out."""
    monkeypatch.setattr(error_reports, "_MOST_OF_FEW", few)
    rows = await _errors(connection, 60)
    await connection.execute(
        "INSERT INTO seawall.runs (run_id, pipeline_id, status) VALUES ('r1', 'p1', 'running')"
    )

    async def page(which, **options):
        asked = error_reports.Which(**which)
        return await error_reports.page(connection, SCHEMA, asked, **options)

    for which, wanted in ERRORS:
        found, pages = await _all_pages(page, which, limit=4)
        assert [row["error_id"] for row in found] == sorted(
            (row["error_id"] for row in rows if wanted(row) and _in_the_run(row, which, few)),
            reverse=True,
        ), which
        assert pages >= len(found) / 4


def _in_the_run(row, which, few):
    """A run with many errors is looked for under its own pipeline."""
    return few > 20 or which.get("run_id") != "r1" or row["pipeline_id"] == "p1"


async def test_errors_by_ids_are_those_that_are_there(connection):
    rows = await _errors(connection, 3)
    ids = [row["error_id"] for row in rows]
    found = await error_reports.by_ids(connection, SCHEMA, [*ids, uuid4()])
    assert [row["error_id"] for row in found] == sorted(ids, reverse=True)


async def test_records_each_is_on_one_page(database_dsn, connection, window):
    """By run, pipeline, step, status, reason: without a payload in any of it."""
    async with managed(database_dsn) as manager:
        for n in range(30):
            async with manager.run(f"p{n % 2}", f"r{n % 3}"):
                await manager.quarantine_bad_records(
                    f"r{n % 3}", [{"secret": n}, {"secret": -n}], f"reason {n % 4}", step="load"
                )
        await manager.discard_quarantined_records("r1", why="x")
    for which, count in (
        ({}, 60),
        ({"run_id": "r1"}, 20),
        ({"run_id": "r0", "status": "pending"}, 20),
        ({"status": "discarded"}, 20),
        ({"pipeline_id": "p1", "reason_prefix": "reason 1"}, 16),
        ({"reason_like": "%ason 2%"}, 14),
        ({"reason": "nowhere"}, 0),
        ({"run_id": "nobody"}, 0),
    ):

        async def page(which, **options):
            asked = RecordFilter(**which)
            return await record_reports.page(connection, SCHEMA, asked, **options)

        found, _ = await _all_pages(page, which, limit=5)
        ids = [row["record_id"] for row in found]
        assert len(ids) == count, which
        assert ids == sorted(set(ids), reverse=True)
        assert all("payload" not in row and "reasons" not in row for row in found)


async def test_standing_and_reasons_say_what_is_open(database_dsn, connection):
    async with managed(database_dsn) as manager:
        await manager.quarantine_bad_records("r", [{"n": 1}, {"n": 2}], "bad")
        await manager.quarantine_bad_records("r", [{"n": 3}], "worse")
        await manager.discard_quarantined_records("r", why="x", reason="worse")
    (standing,) = await record_reports.standing(connection, SCHEMA)
    assert standing == {
        "pipeline_id": "flights", "open": 2, "set_aside_today": 3, "settled_today": 1,
    }  # fmt: skip
    found = await record_reports.reasons(connection, SCHEMA, None)
    assert [(row["reason"], row["open"], row["set_aside"]) for row in found] == [
        ("bad", 2, 2), ("worse", 0, 1),
    ]  # fmt: skip
    assert await record_reports.reasons(connection, SCHEMA, "nobody") == []
    (day,) = await record_reports.daily(connection, SCHEMA, "flights", 7)
    assert (day["set_aside"], day["settled"]) == (3, 1)


async def test_runs_at_work_that_save_nothing_are_stuck(connection):
    """Working ones only, by their last save; one whose worker vanished isn't at work."""
    await connection.execute(
        """
        INSERT INTO seawall.runs (run_id, pipeline_id, status, started_at) VALUES
            ('new', 'p', 'running', now()), ('stuck', 'p', 'running', now() - interval '1 hour'),
            ('saves', 'p', 'running', now() - interval '1 hour'),
            ('over', 'p', 'succeeded', now() - interval '1 hour'),
            ('gone', 'p', 'running', now() - interval '1 hour');
        INSERT INTO seawall.checkpoints (checkpoint_id, run_id, step)
            VALUES (gen_random_uuid(), 'saves', 'load');
        INSERT INTO seawall.run_workers (worker_id, run_id, host, pid, process, lease_until)
            VALUES (gen_random_uuid(), 'gone', 'h', 1, 'h:1', now() - interval '1 minute');
        """
    )
    found = await run_reports.stuck(connection, SCHEMA, 900.0)
    assert [row["run_id"] for row in found] == ["stuck"]
    assert found[0]["quiet_seconds"] > 3_500
    (pipeline,) = await run_reports.pipelines(connection, SCHEMA)
    assert (pipeline["pipeline_id"], pipeline["run_id"]) == ("p", "new")


async def test_pipelines_each_with_its_last_run(connection):
    await connection.execute(
        "INSERT INTO seawall.runs (run_id, pipeline_id, status, started_at) "
        "SELECT p || n, p, 'succeeded', now() - n * interval '1 hour' "
        "FROM unnest('{b,a,c}'::text[]) p, generate_series(1, 5) n"
    )
    found = await run_reports.pipelines(connection, SCHEMA)
    assert [(row["pipeline_id"], row["run_id"]) for row in found] == [
        ("a", "a1"), ("b", "b1"), ("c", "c1"),
    ]  # fmt: skip


async def test_timeline_goes_from_nothing_to_the_present(database_dsn, connection):
    """What was saved between, and where the step stands now."""
    config = {"checkpoint_history_seconds": 0.0, "health_interval_seconds": 0}
    await connection.execute("CREATE TABLE numbers (n int)")
    async with ErrorRecoveryManager(database_dsn, config=config, pipeline_id="p") as manager:
        await manager.stream(
            lambda after: ({"n": n} for n in range((after or 0) + 1, 41)), "numbers",
            run_id="r", step="load", size=10, position=lambda row: row["n"],
        )  # fmt: skip
    found = await run_reports.timeline(connection, SCHEMA, "r")
    assert [row["write_count"] for row in found][0] == 0
    assert [row["write_count"] for row in found][-1] == 40
    assert [row["write_count"] for row in found] == sorted(row["write_count"] for row in found)
    assert len(found) >= 4


async def test_remaining_budget_never_falls_below_nothing():
    days = [{"good": 90, "bad": 1}, {"good": 0, "bad": 9}, {"good": 0, "bad": 0}]
    assert budget_reports.remaining(days, 0.95) == pytest.approx([0.8, 0.0, 0.0])
    assert budget_reports.remaining([{"good": 0, "bad": 0}], 0.9) == [1.0]
    assert budget_reports.remaining([], 0.9) == []


async def test_reader_may_run_every_report(database_dsn, connection):
    """What pages for viewers ask is what the database's reader role may ask."""
    async with managed(database_dsn) as manager:
        await manager.quarantine_bad_records("r", [{"n": 1}], "bad")
        await manager.log_error_details(None, ValueError("x"))
        await manager.discard_quarantined_records("r", why="x")
    names = {role: f"{role}_{uuid4().hex[:8]}" for role in ("writer", "reader")}
    for name in names.values():
        await connection.execute(f"CREATE ROLE {name}")
    given = {
        "which": None, "pipeline_id": "p", "run_id": "r", "limit": 5, "days": 7, "sli": "runs",
        "service_name": None, "actor": None, "subject": None, "ids": [uuid7()],
        "record_id": uuid7(), "error_id": uuid7(), "since": UUID(int=0), "after": UUID(int=0),
        "status": None, "seconds": 1.0,
    }  # fmt: skip
    filters = {record_reports: RecordFilter(run_id="r"), error_reports: error_reports.Which()}
    try:
        await connection.execute(render_roles(**names))
        await connection.execute(f"SET ROLE {names['reader']}")
        ran = 0
        for module in (
            error_reports, record_reports, run_reports, breaker_reports, budget_reports,
        ):  # fmt: skip
            for name, report in inspect.getmembers(module, inspect.iscoroutinefunction):
                if name.startswith("_"):
                    continue
                wanted = list(inspect.signature(report).parameters.values())[2:]
                values = {
                    each.name: filters[module] if each.name == "which" else given[each.name]
                    for each in wanted
                    if each.default is inspect.Parameter.empty
                }
                await report(connection, SCHEMA, **values)
                ran += 1
        await audit.latest(connection, SCHEMA, actor=None, subject=None, limit=5)
        assert ran >= 20
    finally:
        await connection.execute("RESET ROLE")
        for name in names.values():
            await connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
