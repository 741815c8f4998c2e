"""``seawall audit``: what was done by hand."""

from typing import Annotated, Any

import typer

from seawall.cli.common import AsJson, Dsn, Folder, Limit, Schema, emit, looking, run, table
from seawall.postgres import audit as log


def audit(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    actor: Annotated[str | None, typer.Option(help="By whom.")] = None,
    subject: Annotated[str | None, typer.Option(help="With what: a breaker, a run, …")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List what was done by hand: breakers forced, records discarded, checkpoints gone back."""

    async def work() -> list[dict[str, Any]]:
        async with looking(dsn, folder, schema) as (connection, _):
            return await log.latest(connection, schema, actor=actor, subject=subject, limit=limit)

    found = run(work())
    columns = [("at", "acted_at"), ("who", "actor"), ("what", "action"), ("with", "subject"),
               ("why", "reason"), ("details", "details")]  # fmt: skip
    emit(found, as_json=as_json, show=lambda c: table(c, "Audit log", columns, found))
