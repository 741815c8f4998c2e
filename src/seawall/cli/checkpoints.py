"""``seawall checkpoints``: positions of steps, their history, and going back."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from seawall.checkpoint import StepKey
from seawall.cli.common import (
    Actor,
    AsJson,
    Dsn,
    Folder,
    Reason,
    Schema,
    acting,
    actor_of,
    emit,
    looking,
    run,
    table,
)
from seawall.postgres import run_reports
from seawall.postgres.history_store import PostgresHistoryStore

app = typer.Typer(help="Positions of steps, and their history.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(help="The run.")]
Step = Annotated[str, typer.Argument(help="Its step.")]
Partition = Annotated[int, typer.Option(min=0, help="The part of the step.")]


@app.command("list")
def list_checkpoints(
    run_id: RunId,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    as_json: AsJson = False,
) -> None:
    """List the steps of a run with their positions."""

    async def work() -> list[dict[str, Any]]:
        async with looking(dsn, folder, schema) as (connection, _):
            return await run_reports.checkpoints(connection, schema, run_id)

    found = run(work())
    columns = [
        ("step", "step"), ("part", "partition"), ("status", "status"), ("position", "position"),
        ("read", "read_count"), ("loaded", "write_count"), ("aside", "skip_count"),
        ("owner", "owner"), ("saved", "updated_at"),
    ]  # fmt: skip
    emit(found, as_json=as_json, show=lambda c: table(c, f"Steps of {run_id}", columns, found))


@app.command("show")
def show_checkpoint(
    run_id: RunId,
    step: Step,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    partition: Partition = 0,
    as_json: AsJson = False,
) -> None:
    """Show a step's earlier states, the newest first."""

    async def work() -> list[dict[str, Any]]:
        async with looking(dsn, folder, schema) as (_, database):
            history = await PostgresHistoryStore(database).list(StepKey(run_id, step, partition))
        return [
            {
                "version": each.version,
                "position": each.position,
                "data": each.checkpoint_data,
                "updated_at": each.updated_at,
                **asdict(each.counters),
            }
            for each in history
        ]

    found = run(work())
    columns = [
        ("version", "version"), ("position", "position"), ("data", "data"), ("read", "read_count"),
        ("loaded", "write_count"), ("aside", "skip_count"), ("saved", "updated_at"),
    ]  # fmt: skip

    def show(console: Console) -> None:
        table(console, f"Earlier states of {step}", columns, found)
        if found:
            console.print(
                "Go back to one: seawall checkpoints resume-from RUN STEP VERSION --reason …"
            )

    emit(found, as_json=as_json, show=show)


@app.command("resume-from")
def resume_from(
    run_id: RunId,
    step: Step,
    version: Annotated[int, typer.Argument(help="As `show` lists it.")],
    reason: Reason,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    partition: Partition = 0,
    actor: Actor = None,
) -> None:
    """Let a step go on from an earlier state; what was loaded since stays, and comes again."""

    async def work() -> Any:
        async with acting(dsn, folder, schema) as manager:
            return await manager.rewind_checkpoint(
                run_id, step, version, partition=partition, actor=actor_of(actor), reason=reason
            )

    run(work())
    typer.echo(f"{step} of {run_id} goes on from version {version} when it is started again")
