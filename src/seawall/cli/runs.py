"""``seawall runs``: which ran, how they ended, what they did."""

from typing import Annotated, Any

import typer

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
from seawall.postgres import run_reports


def runs(
    run_id: Annotated[str | None, typer.Argument(help="This run, with its steps.")] = None,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    pipeline: Annotated[str | None, typer.Option(help="Of this pipeline only.")] = None,
    state: Annotated[str | None, typer.Option("--status", help="Of this status only.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, the latest first; or show one with its steps."""
    if run_id is not None:
        _one(run_id, dsn, folder, schema, as_json=as_json)
        return

    async def work() -> list[dict[str, Any]]:
        async with looking(dsn, folder, schema) as (connection, _):
            return await run_reports.runs(connection, schema, pipeline, state, limit)

    found = run(work())
    columns = [
        ("run", "run_id"), ("pipeline", "pipeline_id"), ("status", "status"),
        ("starts", "start_count"), ("started", "started_at"), ("seconds", "seconds"),
        ("error", "error_message"),
    ]  # fmt: skip
    emit(found, as_json=as_json, show=lambda console: table(console, "Runs", columns, found))


def _one(run_id: str, dsn: Any, folder: Any, schema: str, *, as_json: bool) -> None:
    async def work() -> dict[str, Any] | None:
        async with looking(dsn, folder, schema) as (connection, _):
            return await run_reports.run(connection, schema, run_id)

    found = run(work())
    if found is None:
        fail(f"there is no run {run_id!r}: `seawall runs` lists them", 1)

    found["worker"] = None if found["host"] is None else f"{found['host']}:{found['pid']}"

    def show(console: Any) -> None:
        fields(
            console, f"Run {run_id}",
            [(name.replace("_", " "), found[name]) for name in (
                "pipeline_id", "status", "started_at", "ended_at", "seconds", "start_count",
                "release", "worker", "error_type", "error_message",
            )],
        )  # fmt: skip
        positions = [
            ("step", "step"), ("part", "partition"), ("status", "status"), ("position", "position"),
            ("read", "read_count"), ("loaded", "write_count"), ("aside", "skip_count"),
            ("batches", "batch_count"), ("retries", "retry_count"), ("saved", "updated_at"),
        ]  # fmt: skip
        table(console, "Streaming steps", positions, found["checkpoints"])
        kept = [("step", "step"), ("status", "status"), ("attempts", "attempts"),
                ("error", "error_message"), ("at", "updated_at")]  # fmt: skip
        table(console, "Kept steps", kept, found["steps"])

    emit(found, as_json=as_json, show=show)
