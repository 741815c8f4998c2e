"""``seawall patterns``: kinds of errors, what became of them."""

from dataclasses import asdict
from typing import Annotated, Any

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
    run,
    table,
)

app = typer.Typer(
    help="Kinds of errors, by what their messages have in common.", no_args_is_help=True
)

PatternId = Annotated[str, typer.Argument(help="The pattern's id, as `list` shows it.")]


@app.command("list")
def list_patterns(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    pipeline: Annotated[str | None, typer.Option(help="Of this pipeline; all without it.")] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="Of the last days.")] = 7,
    state: Annotated[str | None, typer.Option("--status", help="Of this status only.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List patterns, the most frequent first."""

    async def work() -> list[dict[str, Any]]:
        async with acting(dsn, folder, schema) as manager:
            found = await manager.get_error_patterns(pipeline, days, status=state, limit=limit)
        return [
            {**asdict(each), "daily": {str(day): count for day, count in each.daily.items()}}
            for each in found
        ]

    found = run(work())
    columns = [
        ("pattern", "pattern_id"), ("seen", "frequency"), ("trend", "trend"),
        ("kind", "error_type"), ("status", "status"), ("last", "last_seen"),
        ("message", "error_message_pattern"), ("do", "recommended_action"),
    ]  # fmt: skip
    emit(found, as_json=as_json, show=lambda c: table(c, "Error patterns", columns, found))


def _change(method: str, said: str) -> Any:
    def command(
        pattern_id: PatternId,
        reason: Reason,
        dsn: Dsn = None,
        folder: Folder = None,
        schema: Schema = "seawall",
        *,
        actor: Actor = None,
    ) -> None:
        async def work() -> None:
            async with acting(dsn, folder, schema) as manager:
                change = getattr(manager, f"{method}_error_pattern")
                await change(pattern_id, actor=actor_of(actor), reason=reason)

        run(work())
        typer.echo(said)

    return command


app.command("resolve", help="Mended: should it return, that is a regression.")(
    _change("resolve", "resolved; you are told should it return")
)
app.command("ignore", help="Not to be told of.")(_change("ignore", "ignored"))
app.command("reopen", help="Neither resolved nor ignored.")(_change("reopen", "open"))
