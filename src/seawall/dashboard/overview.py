"""The overview: what is wrong now, and how each pipeline stands."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from seawall.budget.objective import Objectives
from seawall.changes import ALL_TOPICS
from seawall.clock import utc_now
from seawall.dashboard.asked import Asked
from seawall.dashboard.chart import Chart, stacked
from seawall.dashboard.page import View
from seawall.health import HealthStatus
from seawall.postgres import (
    breaker_reports,
    budget_reports,
    error_reports,
    record_reports,
    run_reports,
)
from seawall.postgres.health_store import PostgresHealthStore

ERROR_TYPES = ("transient", "configuration", "data", "system", "unknown")
_DAYS = 14
_BUDGET_DAYS = 30.0


async def look(asked: Asked) -> View:
    """The first page."""
    manager, schema = asked.manager, asked.schema
    async with asked.connection() as connection:
        breakers = await breaker_reports.breakers(connection, schema)
        running = await run_reports.runs(connection, schema, None, "running", 20)
        stuck = await run_reports.stuck(connection, schema)
        pipelines = await run_reports.pipelines(connection, schema)
        budgets = await standings(asked, connection)
        records = await record_reports.standing(connection, schema)
        daily = await error_reports.daily(connection, schema, None, _DAYS)
    workers = await PostgresHealthStore(manager.database).fleet()
    ill = [each for each in workers if not each.alive or each.status is not HealthStatus.OK]
    return View(
        template="overview.html",
        title="Overview",
        topics=tuple(sorted(ALL_TOPICS)),
        values={
            "breakers": [each for each in breakers if each["state"] != "closed"],
            "breaker_count": len(breakers),
            "running": running,
            "stuck": stuck,
            "alerts": await manager.list_alerts(state="firing", limit=20),
            "patterns": await manager.get_error_patterns(None, 7, status="open", limit=5),
            "errors": errors_by_day(daily, _DAYS),
            "pipelines": _pipelines(pipelines, budgets, records),
            "open_records": sum(each["open"] for each in records),
            "overdrawn": [each for each in budgets if each["remaining"] <= 0],
            "workers": workers,
            "ill": ill,
        },
    )


async def standings(asked: Asked, connection: Any) -> list[dict[str, Any]]:
    """Every pipeline's error budget of 30 days, with ``objective`` and share ``remaining``."""
    config = asked.manager.config
    objectives = Objectives(default=config.budget_objective, by_pipeline=config.budget_objectives)
    found = await budget_reports.standing(connection, asked.schema, _BUDGET_DAYS)
    for each in found:
        objective = each["objective"] = objectives.of(each["pipeline_id"], each["objective"])
        room = (each["good"] + each["bad"]) * (1 - objective)
        each["remaining"] = 1 - each["bad"] / room if room else 1.0
    return found


def errors_by_day(rows: Sequence[Mapping[str, Any]], days: int) -> Chart | None:
    """Errors by day and type, days without any included."""
    by_day: dict[str, dict[str, float]] = {name: {} for name in day_names(days)}
    for row in rows:
        parts = by_day.get(str(row["day"]))
        if parts is not None:
            parts[row["error_type"]] = parts.get(row["error_type"], 0) + row["errors"]
    return stacked(f"Errors by day, last {days} days", list(by_day.items()), ERROR_TYPES)


def day_names(days: int) -> list[str]:
    """The last days (UTC), oldest first."""
    today: date = utc_now().date()
    return [str(today - timedelta(days=back)) for back in range(days - 1, -1, -1)]


def _pipelines(
    found: Sequence[Mapping[str, Any]],
    budgets: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    left = {each["pipeline_id"]: each["remaining"] for each in budgets}
    aside = {each["pipeline_id"]: each["open"] for each in records}
    return [
        {
            **each,
            "remaining": left.get(each["pipeline_id"]),
            "open": aside.get(each["pipeline_id"], 0),
        }
        for each in found
    ]
