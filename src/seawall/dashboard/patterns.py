"""Error patterns, and one with its trend, its errors and what people said of it."""

from datetime import date

from seawall.dashboard.asked import Asked, BadRequestError, NotThereError
from seawall.dashboard.chart import Chart, stacked
from seawall.dashboard.overview import day_names
from seawall.dashboard.page import View, query
from seawall.patterns import ErrorPattern, PatternStatus
from seawall.postgres import error_reports

_TOPICS = ("patterns", "audit")


async def look(asked: Asked) -> View:
    """The most frequent patterns."""
    days = asked.number("days", 7, 1, 90)
    pipeline = asked.text("pipeline")
    status = asked.one_of("status", tuple(PatternStatus))
    found = await asked.manager.get_error_patterns(pipeline, days, status=status, limit=50)
    return View(
        template="patterns.html",
        title="Error patterns",
        topics=_TOPICS,
        values={
            "patterns": [(each, trend(each, max(days, 7))) for each in found],
            "days": days,
            "pipeline": pipeline,
            "status": status,
            "statuses": tuple(PatternStatus),
        },
    )


async def look_at_one(asked: Asked) -> View:
    """One pattern."""
    pattern_id, days = asked.needed("id"), asked.number("days", 30, 1, 90)
    found = await asked.manager.get_error_pattern(pattern_id, days)
    if found is None:
        raise NotThereError(f"there is no error pattern {pattern_id!r}")
    async with asked.connection() as connection:
        samples = await error_reports.by_ids(connection, asked.schema, found.sample_ids)
    return View(
        template="pattern.html",
        title="Error pattern",
        topics=_TOPICS,
        values={"pattern": found, "chart": trend(found, days), "samples": samples, "days": days},
    )


def trend(pattern: ErrorPattern, days: int) -> Chart | None:
    """Its errors by day."""
    points = [
        (name, {"errors": float(pattern.daily.get(date.fromisoformat(name), 0))})
        for name in day_names(days)
    ]
    return stacked(f"Errors of this pattern by day, last {days} days", points, ("errors",))


async def set_status(asked: Asked) -> tuple[str, str]:
    """Resolve, ignore or open a pattern again."""
    pattern_id, reason = asked.needed("id"), asked.needed("reason", "for the audit log")
    status = asked.one_of("status", tuple(PatternStatus))
    manager, actor = asked.manager, asked.user.name
    if status == PatternStatus.RESOLVED:
        now = await manager.resolve_error_pattern(pattern_id, actor=actor, reason=reason)
    elif status == PatternStatus.IGNORED:
        now = await manager.ignore_error_pattern(pattern_id, actor=actor, reason=reason)
    elif status == PatternStatus.OPEN:
        now = await manager.reopen_error_pattern(pattern_id, actor=actor, reason=reason)
    else:
        raise BadRequestError("status: must be given")
    return query("/pattern", id=now), f"The pattern is {status} now."
