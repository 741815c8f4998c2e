"""The views are a documented interface, and Grafana's dashboard runs over them alone."""

import json
import re
from pathlib import Path

import asyncpg
import pytest

from seawall import ErrorRecoveryManager
from seawall.postgres.roles import render_roles

DOCS = Path(__file__).parents[3] / "docs"
DASHBOARD = json.loads((DOCS / "grafana" / "seawall.json").read_text("utf-8"))
VIEWS = """
SELECT c.relname AS view, a.attname AS column, obj_description(c.oid) AS about_view,
    col_description(c.oid, a.attnum) AS about_column, c.reloptions::text AS options
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'seawall'::regnamespace AND c.relkind = 'v' ORDER BY 1, a.attnum
"""


def filled(sql):
    """A query as Grafana sends it, for 30 days and two pipelines."""
    sql = re.sub(
        r"\$__timeFilter\(([\w.]+)\)", r"\1 BETWEEN now() - interval '30 days' AND now()", sql
    )
    sql = re.sub(
        r"\$__timeGroup\((\w+), '(\d+)h'\)",
        r"floor(extract(epoch FROM \1) / (\2 * 3600)) * \2 * 3600",
        sql,
    )
    sql = sql.replace("$pipeline", "'flights','orders'").replace("$objective", "0.99")
    assert "$" not in sql, sql
    return sql


QUERIES = {
    panel["title"]: (panel["targets"][0]["format"], panel["targets"][0]["rawSql"])
    for panel in DASHBOARD["panels"]
}


@pytest.fixture
async def reader(database_dsn):
    """A connection of a reader's, to a database in which something happened."""
    config = {"health_interval_seconds": 0, "initial_delay": 0, "quorum": 1}
    async with ErrorRecoveryManager(database_dsn, config=config) as before:
        refused = before.circuit_breaker("api", failure_threshold=1)(_refused)
        with pytest.raises(ConnectionError):
            await refused()
    async with ErrorRecoveryManager(database_dsn, config=config, pipeline_id="flights") as manager:
        with pytest.raises(OSError, match="gone"):
            async with manager.run("flights", "r-1"):
                await manager.log_error_details("r-1", ValueError("bad value 1"), step="load")
                await manager.quarantine_bad_records("r-1", [{"n": 1}, {"n": 2}], "bad", step="s")
                await manager.checkpoint_progress("r-1", "load", {})
                with pytest.raises(ConnectionError):
                    await manager.execute_with_retry(_refused, max_retries=1)
                raise OSError("gone")
        await manager.set_error_budget_objective(0.9, "flights")
        await manager.raise_alert("a", "an alert")
        monitor = manager._services.analytics.health.monitor
        await monitor.turn()
        await manager.analyze_failures("flights")
        await manager.get_error_patterns()
        owner = await asyncpg.connect(database_dsn)
        await owner.execute("CREATE ROLE grafana_writer; CREATE ROLE grafana_reader LOGIN")
        try:
            await owner.execute(render_roles(writer="grafana_writer", reader="grafana_reader"))
            await owner.execute("SET ROLE grafana_reader")
            yield owner
        finally:
            await owner.execute("RESET ROLE")
            for role in ("grafana_writer", "grafana_reader"):
                await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
            await owner.close()


async def _refused():
    raise ConnectionError("refused")


async def test_dashboard_every_query_runs_as_a_reader(reader):
    """Each gives what its panel draws: a time and numbers, or a table; of what happened, rows."""
    empty = set()
    for title, (kind, sql) in QUERIES.items():
        statement = await reader.prepare(filled(sql))
        rows = await statement.fetch()
        names = [each.name for each in statement.get_attributes()]
        if kind == "time_series":
            assert names[0] == "time", title
            assert len(names) >= 2, title
        assert len(names) == len(set(names)), title
        if not rows:
            empty.add(title)
    assert empty <= {"Work that failed", "Recoveries", "Burn-rate alerts", "Error budgets"}
    found = await reader.fetchrow("SELECT * FROM seawall.report_outcomes WHERE bad_runs > 0")
    assert found["pipeline_id"] == "flights"


async def test_dashboard_reads_views_alone():
    """No table's name stands in a query: those may change."""
    for title, (_, sql) in QUERIES.items():
        used = re.findall(r"seawall\.(\w+)", sql)
        assert used, title
        assert all(each.startswith("report_") for each in used), title
    (pipeline,) = [each for each in DASHBOARD["templating"]["list"] if each["name"] == "pipeline"]
    assert "seawall.report_" in pipeline["query"]


def test_dashboard_can_be_imported():
    """Ids are unique, panels don't overlap, each has a data source by the variable."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${datasource}"


async def test_views_are_documented_and_show_nobody_more(database_dsn):
    """Every view and column is described in the database and in the docs, in the same words."""
    connection = await asyncpg.connect(database_dsn)
    try:
        rows = await connection.fetch(VIEWS)
    finally:
        await connection.close()
    text = (DOCS / "grafana.md").read_text("utf-8")
    sections = {part.partition("\n")[0]: part for part in text.split("### ")[1:]}
    assert {row["view"] for row in rows} == set(sections)
    for row in rows:
        assert "security_invoker=true" in row["options"]
        assert row["about_view"] in sections[row["view"]]
        assert f"| `{row['column']}` |" in sections[row["view"]], row
        assert row["about_column"].replace("<other>", "`<other>`") in sections[row["view"]], row


async def test_views_never_scan_errors_nor_records(database_dsn):
    """Their cost doesn't grow with what there is most of."""
    connection = await asyncpg.connect(database_dsn)
    try:
        for view in {row["view"] for row in await connection.fetch(VIEWS)}:
            plan = await connection.fetch(f"EXPLAIN SELECT * FROM seawall.{view}")
            text = "\n".join(row[0] for row in plan)
            for table in ("error_details", "quarantined_records", "retry_attempts"):
                assert table not in text, view
    finally:
        await connection.close()


def test_a_database_of_another_name_is_reached_by_the_provisioning():
    """What the data source takes from the environment is all that a place has of its own."""
    text = (DOCS / "grafana/provisioning/datasources/seawall.yaml").read_text("utf-8")
    names = set(re.findall(r"\$(\w+)", text))
    assert names == {
        "SEAWALL_HOST", "SEAWALL_DATABASE", "SEAWALL_READER", "SEAWALL_READER_PASSWORD",
    }  # fmt: skip
    page = (DOCS / "grafana.md").read_text("utf-8")
    assert all(name in page for name in names)
