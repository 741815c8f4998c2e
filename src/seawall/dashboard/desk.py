"""What was done by hand, and the workers."""

from seawall.dashboard.asked import Asked
from seawall.dashboard.page import View
from seawall.postgres import audit
from seawall.postgres.health_store import PostgresHealthStore


async def look_at_audit(asked: Asked) -> View:
    """The audit log, the latest first."""
    actor, subject = asked.text("actor"), asked.text("subject")
    limit = asked.number("limit", 100, 1, 1_000)
    async with asked.connection() as connection:
        lines = await audit.latest(
            connection, asked.schema, actor=actor, subject=subject, limit=limit
        )
    return View(
        template="audit.html",
        title="Audit log",
        topics=("audit",),
        values={"lines": lines, "actor": actor, "subject": subject},
    )


async def look_at_workers(asked: Asked) -> View:
    """The latest sample of every worker."""
    workers = await PostgresHealthStore(asked.manager.database).fleet()
    return View(
        template="workers.html", title="Workers", topics=("health",), values={"workers": workers}
    )
