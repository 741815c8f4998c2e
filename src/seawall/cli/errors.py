"""``seawall errors``: the latest errors, and those that come."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape

from seawall.cli.common import (
    AsJson,
    Dsn,
    Folder,
    Limit,
    Schema,
    emit,
    fail,
    fields,
    looking,
    run,
    table,
)
from seawall.clock import MACHINE_CLOCK, utc_now
from seawall.postgres import error_reports

_POLL_SECONDS = 1.0
_COLUMNS = [
    ("at", "occurred_at"), ("kind", "error_type"), ("pipeline", "pipeline_id"), ("run", "run_id"),
    ("step", "step"), ("exception", "exception_type"), ("message", "message"),
]  # fmt: skip


def errors(
    error_id: Annotated[str | None, typer.Argument(help="This error, whole.")] = None,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    pipeline: Annotated[str | None, typer.Option(help="Of this pipeline only.")] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Of this run only.")] = None,
    hours: Annotated[float, typer.Option(min=0, help="Of the last so many hours.")] = 24,
    limit: Limit = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show those that come.")] = False,
    as_json: AsJson = False,
) -> None:
    """List errors, the latest last; show one; or follow them as they come."""
    if error_id is not None:
        _one(error_id, dsn, folder, schema, as_json=as_json)
        return
    which = error_reports.Which(pipeline_id=pipeline, run_id=run_id)

    async def work() -> None:
        async with looking(dsn, folder, schema) as (connection, _):
            since = error_reports.floor_of(utc_now() - timedelta(hours=hours))
            found = await error_reports.latest(connection, schema, which, since, limit)
            if not follow:
                found.reverse()
                emit(found, as_json=as_json, show=lambda c: table(c, "Errors", _COLUMNS, found))
                return
            await _follow(connection, schema, which, found, as_json=as_json)

    run(work())


async def _follow(
    connection: Any,
    schema: str,
    which: error_reports.Which,
    found: list[dict[str, Any]],
    *,
    as_json: bool,
) -> None:
    """Lines as errors come, until the user stops it."""
    console = Console(highlight=False, soft_wrap=True)
    found.reverse()
    last: UUID | None = None
    while True:
        for row in found:
            last = row["error_id"]
            if as_json:
                emit(row, as_json=True, show=lambda _: None)
            else:
                at, kind = f"{row['occurred_at']:%H:%M:%S}", row["error_type"]
                where = f"{row['pipeline_id'] or '-'}/{row['step'] or '-'}"
                what = f"{row['exception_type']}: {row['message']}"
                console.print(f"{at} [bold]{kind}[/] {escape(where)} {escape(what)}")
        try:
            await MACHINE_CLOCK.sleep(_POLL_SECONDS)
        except asyncio.CancelledError:
            return
        since = last or error_reports.floor_of(utc_now())
        found = await error_reports.later(connection, schema, which, since)


def _one(error_id: str, dsn: Any, folder: Any, schema: str, *, as_json: bool) -> None:
    try:
        key = UUID(error_id)
    except ValueError:
        fail(f"{error_id!r}: must be an error's id, a UUID", 2)

    async def work() -> dict[str, Any] | None:
        async with looking(dsn, folder, schema) as (connection, _):
            return await error_reports.one(connection, schema, key)

    found = run(work())
    if found is None:
        fail(f"there is no error {error_id}", 1)

    def show(console: Console) -> None:
        short = [(name, value) for name, value in found.items() if name != "traceback"]
        fields(console, f"Error {error_id}", short)
        console.print(escape(found["traceback"] or ""), soft_wrap=True)

    emit(found, as_json=as_json, show=show)
