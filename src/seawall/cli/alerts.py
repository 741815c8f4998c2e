"""``seawall alerts``: what fires, and silences."""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from seawall.cli.common import (
    Actor,
    AsJson,
    Dsn,
    Folder,
    Limit,
    Reason,
    Schema,
    acting,
    actor_of,
    emit,
    fail,
    looking,
    run,
    table,
)
from seawall.postgres.alert_store import PostgresAlertStore

app = typer.Typer(help="What fires, and silences.", no_args_is_help=True)


@app.command("list")
def list_alerts(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    state: Annotated[str | None, typer.Option(help="firing, resolving or resolved only.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List alerts, those seen last first."""

    async def work() -> list[dict[str, Any]]:
        async with looking(dsn, folder, schema) as (_, database):
            alerts = await PostgresAlertStore(database).list(state=state, limit=limit)
        return [asdict(each) for each in alerts]

    found = run(work())
    columns = [
        ("state", "state"), ("severity", "severity"), ("alert", "title"), ("seen", "count"),
        ("since", "fired_at"), ("last", "last_at"), ("what", "message"),
    ]  # fmt: skip
    emit(found, as_json=as_json, show=lambda c: table(c, "Alerts", columns, found))


@app.command("silence")
def silence(
    matchers: Annotated[list[str], typer.Argument(help="name=value of a label; rule=… counts.")],
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    reason: Reason,
    hours: Annotated[float, typer.Option(min=0.001, help="For how long.")] = 1.0,
    actor: Actor = None,
) -> None:
    """Tell nobody of the alerts that have all of these labels."""
    pairs = dict(each.partition("=")[::2] for each in matchers)
    if not all(pairs.values()):
        fail(f"{' '.join(matchers)}: each must be name=value, such as rule=breaker_opened", 2)

    async def work() -> UUID:
        async with acting(dsn, folder, schema) as manager:
            return await manager.silence_alerts(
                pairs, seconds=hours * 3600, actor=actor_of(actor), reason=reason
            )

    typer.echo(f"silenced: {run(work())}")


@app.command("unsilence")
def unsilence(
    silence_id: Annotated[str, typer.Argument(help="As `silence` printed it.")],
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    reason: Reason,
    actor: Actor = None,
) -> None:
    """End a silence."""

    async def work() -> bool:
        async with acting(dsn, folder, schema) as manager:
            return await manager.end_silence(UUID(silence_id), actor=actor_of(actor), reason=reason)

    if not run(work()):
        fail(f"no silence {silence_id} was running", 1)
    typer.echo("ended")
