"""Error budgets of all pipelines, and one pipeline: its budget, its failures, what to do."""

from seawall.budget.counts import Sli
from seawall.dashboard.asked import Asked, together
from seawall.dashboard.chart import stacked
from seawall.dashboard.overview import day_names, errors_by_day, standings
from seawall.dashboard.page import View
from seawall.postgres import budget_reports, error_reports, record_reports, run_reports

_TOPICS = ("budgets", "runs", "quarantine", "patterns", "audit")


async def look(asked: Asked) -> View:
    """Every pipeline's error budget, the most spent first."""
    async with asked.connection() as connection:
        found = await standings(asked, connection)
    found.sort(key=lambda each: each["remaining"])
    alerts = await asked.manager.get_error_budget_alerts(None, 50)
    return View(
        template="budgets.html",
        title="Error budgets",
        topics=("budgets", "audit"),
        values={"budgets": found, "alerts": alerts},
    )


async def look_at_one(asked: Asked) -> View:
    """One pipeline."""
    manager, schema, pipeline = asked.manager, asked.schema, asked.needed("id")
    days = asked.number("days", 30, 1, 90)
    sli = asked.one_of("sli", tuple(Sli)) or Sli.RUNS
    status, alerts, analysis, actions = await together(
        manager.get_error_budget_status(pipeline, days, sli=sli),
        manager.get_error_budget_alerts(pipeline, 10),
        # The page is made anew whenever a batch commits somewhere.
        asked.recent.get(
            ("analysis", pipeline, days), lambda: manager.analyze_failures(pipeline, days)
        ),
        manager.recommend_recovery_actions(pipeline),
    )
    async with asked.connection() as connection:
        burn = await budget_reports.burn_down(connection, schema, pipeline, days, sli)
        daily = await error_reports.daily(connection, schema, pipeline, days)
        aside = await record_reports.daily(connection, schema, pipeline, days)
        reasons = await record_reports.reasons(connection, schema, pipeline, 10)
        runs = await run_reports.runs(connection, schema, pipeline, None, 10)
    shares = budget_reports.remaining(burn, status["objective"])
    left = [
        (str(row["day"]), {"left": 100 * share}) for row, share in zip(burn, shares, strict=True)
    ]
    by_day = {str(row["day"]): row for row in aside}
    growth = [
        (name, {kind: float(by_day[name][kind]) for kind in ("set_aside", "settled")})
        if name in by_day
        else (name, {})
        for name in day_names(days)
    ]
    return View(
        template="pipeline.html",
        title=f"Pipeline {pipeline}",
        topics=_TOPICS,
        values={
            "pipeline": pipeline,
            "days": days,
            "sli": sli,
            "slis": tuple(Sli),
            "status": status,
            "burn": stacked("Error budget left, by day", left, ("left",), top=100, unit=" %"),
            "errors": errors_by_day(daily, days),
            "aside": stacked("Records set aside and settled", growth, ("set_aside", "settled")),
            "reasons": reasons,
            "runs": runs,
            "alerts": alerts,
            "analysis": analysis,
            "actions": actions,
        },
    )
