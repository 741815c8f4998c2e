"""Runs, and one run with its steps, its pace and its retries."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

from seawall.clock import utc_now
from seawall.dashboard.asked import Asked, NotThereError
from seawall.dashboard.chart import Chart, stacked
from seawall.dashboard.page import View
from seawall.postgres import error_reports, run_reports

STATUSES = ("running", "succeeded", "failed", "cancelled", "abandoned")
_TOPICS = ("runs", "audit")
_MOST_RETRIES, _SHOWN_RETRIES = 2_000, 50
_SLOTS = 60
_OUTCOMES = ("scheduled", "succeeded", "exhausted")


async def look(asked: Asked) -> View:
    """Runs, the latest first."""
    pipeline, status = asked.text("pipeline"), asked.one_of("status", STATUSES)
    limit = asked.number("limit", 50, 1, 1_000)
    async with asked.connection() as connection:
        found = await run_reports.runs(connection, asked.schema, pipeline, status, limit)
        stuck = await run_reports.stuck(connection, asked.schema)
    return View(
        template="runs.html",
        title="Runs",
        topics=_TOPICS,
        values={
            "runs": found,
            "stuck": {each["run_id"] for each in stuck},
            "pipeline": pipeline,
            "status": status,
            "limit": limit,
            "statuses": STATUSES,
        },
    )


async def look_at_one(asked: Asked) -> View:
    """One run."""
    run_id, schema = asked.needed("id"), asked.schema
    async with asked.connection() as connection:
        found = await run_reports.run(connection, schema, run_id)
        if found is None:
            raise NotThereError(f"there is no run {run_id!r}")
        points = await run_reports.timeline(connection, schema, run_id)
        retries = await run_reports.retries(connection, schema, run_id, _MOST_RETRIES)
        which = error_reports.Which(run_id=run_id)
        errors = await error_reports.page(connection, schema, which, limit=10)
    return View(
        template="run.html",
        title=f"Run {run_id}",
        topics=("runs", "errors", "quarantine", "audit"),
        values={
            "run": found,
            "pace": pace(points),
            "retries": retries[:_SHOWN_RETRIES],
            "retried": retried(found, retries),
            "errors": errors.rows,
        },
    )


def pace(points: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Records between every two saved states of a step, in the order of time."""
    steps: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for each in points:
        steps.setdefault((each["step"], each["partition"]), []).append(each)
    bars = []
    for saved in steps.values():
        for before, after in pairwise(saved):
            bars.append((after["saved_at"], _between(before, after)))
    bars.sort(key=lambda bar: bar[0])
    named = [(f"{at:%Y-%m-%d %H:%M:%S}", parts) for at, parts in bars[-240:]]
    return stacked("Records between saved states", named, ("loaded", "set aside"))


def retried(run: Mapping[str, Any], retries: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Retries over the run's time, in sixty parts of it."""
    if not retries:
        return None
    moments = [each["occurred_at"] for each in retries]
    begin = min(run["started_at"], *moments)
    end = max(run["ended_at"] or utc_now(), *moments)
    width = max((end - begin) / _SLOTS, timedelta(milliseconds=1))
    slots: list[tuple[str, dict[str, float]]] = [
        (f"{begin + place * width:%Y-%m-%d %H:%M:%S}", {}) for place in range(_SLOTS)
    ]
    for each in retries:
        _, parts = slots[min(int((each["occurred_at"] - begin) / width), _SLOTS - 1)]
        parts[each["outcome"]] = parts.get(each["outcome"], 0) + 1
    return stacked("Retries over the time of the run", slots, _OUTCOMES)


def _between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, float]:
    return {
        "loaded": max(0, after["write_count"] - before["write_count"]),
        "set aside": max(0, after["skip_count"] - before["skip_count"]),
    }
