"""Errors, and one whole."""

from seawall.dashboard.asked import Asked, NotThereError
from seawall.dashboard.overview import ERROR_TYPES, errors_by_day
from seawall.dashboard.page import View
from seawall.postgres import error_reports

_DAYS = 30


async def look(asked: Asked) -> View:
    """Errors, the latest first, page by page."""
    which = error_reports.Which(
        pipeline_id=asked.text("pipeline"),
        run_id=asked.text("run"),
        error_type=asked.one_of("type", ERROR_TYPES),
        text=asked.text("text"),
    )
    before = asked.key("before")
    async with asked.connection() as connection:
        page = await error_reports.page(connection, asked.schema, which, before=before)
        daily = await error_reports.daily(connection, asked.schema, which.pipeline_id, _DAYS)
    return View(
        template="errors.html",
        title="Errors",
        # An older page stays as it is while it is read.
        topics=() if before else ("errors",),
        values={
            "page": page,
            "which": which,
            "before": before,
            "types": ERROR_TYPES,
            "daily": errors_by_day(daily, _DAYS),
        },
    )


async def look_at_one(asked: Asked) -> View:
    """One error, with its stack and context; both were masked when they were written."""
    error_id = asked.needed_key("id")
    async with asked.connection() as connection:
        found = await error_reports.one(connection, asked.schema, error_id)
    if found is None:
        raise NotThereError(f"there is no error {error_id}: it may have been pruned")
    return View(template="error.html", title="Error", values={"error": found})
