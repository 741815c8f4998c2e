"""``seawall quarantine``: records that were set aside, to look at, mend, run again or give up."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import anyio
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from seawall.cli.common import (
    Actor,
    AsJson,
    Dsn,
    Folder,
    Limit,
    Schema,
    acting,
    actor_of,
    cell,
    emit,
    fail,
    fields,
    run,
    table,
)
from seawall.clock import MACHINE_CLOCK
from seawall.errors import CodecError
from seawall.masking import default_masker
from seawall.quarantine import codec
from seawall.quarantine.preview import preview
from seawall.quarantine.record import OPEN, FilterOptions, QuarantinedRecord, RecordFilter

if TYPE_CHECKING:
    from seawall.manager import ErrorRecoveryManager

app = typer.Typer(help="Records that were set aside.", no_args_is_help=True)

RunId = Annotated[str | None, typer.Option("--run", help="Set aside by this run.")]
Pipeline = Annotated[str | None, typer.Option(help="Of this pipeline.")]
Step = Annotated[str | None, typer.Option(help="Of this step.")]
ReasonPrefix = Annotated[
    str | None, typer.Option("--reason", help="Whose reason begins with this.")
]
RecordId = Annotated[str, typer.Argument(help="The record's id, as `list` shows it.")]
Why = Annotated[str, typer.Option(help="Kept with the record.")]


def _which(
    run_id: str | None,
    pipeline: str | None,
    step: str | None,
    reason: str | None,
    status: Any = OPEN,
) -> RecordFilter:
    return RecordFilter(
        run_id=run_id, pipeline_id=pipeline, step=step, reason_prefix=reason, status=status
    )


@app.command("list")
def list_records(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    run_id: RunId = None,
    pipeline: Pipeline = None,
    step: Step = None,
    reason: ReasonPrefix = None,
    everything: Annotated[bool, typer.Option("--all", help="Settled ones too.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List open records, the oldest first; secrets are masked."""
    which = _which(run_id, pipeline, step, reason, None if everything else OPEN)

    async def work() -> list[dict[str, Any]]:
        async with acting(dsn, folder, schema) as manager:
            return [
                _plain(each) for each in await manager.list_quarantined_records(which, limit=limit)
            ]

    found = run(work())
    columns = [
        ("record", "record_id"), ("run", "run_id"), ("step", "step"), ("status", "status"),
        ("tried", "attempts"), ("reason", "reason"), ("what", "record"),
    ]  # fmt: skip
    emit(found, as_json=as_json, show=lambda c: table(c, "Quarantine", columns, found))


def _plain(each: QuarantinedRecord) -> dict[str, Any]:
    names = (
        "record_id", "quarantine_id", "pipeline_id", "run_id", "step", "partition", "position",
        "status", "attempts", "reason", "reasons", "error_type", "sqlstate", "quarantined_at",
    )  # fmt: skip
    masked = default_masker.mask_value(each.record)
    return {**{name: getattr(each, name) for name in names}, "record": preview(masked)}


@app.command("show")
def show_record(
    record_id: RecordId,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Show secrets too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one record with its history."""
    found = run(_read(record_id, dsn, folder, schema))
    record = found.record if unmasked else default_masker.mask_value(found.record)
    value = {**_plain(found), "record": record, "history": [asdict(a) for a in found.history]}

    def show(console: Console) -> None:
        head = [
            (name, value[name]) for name in value if name not in ("record", "history", "reasons")
        ]
        fields(console, f"Record {record_id}", head)
        shown = record.items() if isinstance(record, Mapping) else [("record", record)]
        fields(console, "As it came", [(str(name), item) for name, item in shown])
        for each in found.reasons:
            console.print(f"  - {escape(each)}", soft_wrap=True)
        columns = [("at", "attempted_at"), ("outcome", "outcome"), ("by", "actor"),
                   ("message", "message")]  # fmt: skip
        table(console, "History", columns, value["history"])

    emit(value, as_json=as_json, show=show)


async def _read(record_id: str, dsn: Any, folder: Any, schema: str) -> QuarantinedRecord:
    async with acting(dsn, folder, schema) as manager:
        which = RecordFilter(record_ids=[_id(record_id)])
        found = await manager.list_quarantined_records(which, limit=1)
    if not found:
        fail(f"there is no record {record_id}", 1)
    return found[0]


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        fail(f"{text!r}: must be a record's id, a UUID", 2)


@app.command("edit")
def edit_record(
    record_id: RecordId,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    why: Why,
    json_text: Annotated[
        str | None,
        typer.Option("--to", help="The record as JSON; your editor is opened without it."),
    ] = None,
    actor: Actor = None,
) -> None:
    """Put something else in a record's place; it is pending then."""
    if json_text is None:
        before = codec.encode(run(_read(record_id, dsn, folder, schema)).record)
        json_text = _edited(before)
        if json_text == before:
            fail("nothing was changed", 1)
    try:
        record = codec.decode(json_text)
    except CodecError as error:
        fail(f"not a record: {error}", 2)

    async def work() -> None:
        async with acting(dsn, folder, schema) as manager:
            await manager.edit_quarantined_record(
                _id(record_id), record, why=why, actor=actor_of(actor)
            )

    run(work())
    typer.echo("changed; run it again with `seawall quarantine reprocess`")


def _edited(text: str) -> str:
    """The text as the user's editor left it, in a file that its owner alone may read."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        subprocess.run([*shlex.split(editor), file.name], check=True)  # noqa: S603 - the user's own
        return Path(file.name).read_text("utf-8").rstrip("\n")


@app.command("reprocess")
def reprocess(
    into: Annotated[str, typer.Option(help="The table to load them into.")],
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    run_id: RunId = None,
    pipeline: Pipeline = None,
    step: Step = None,
    reason: ReasonPrefix = None,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Load open records into a table again, each once; those that fail stay."""
    which = _which(run_id, pipeline, step, reason)
    options: FilterOptions = {"pipeline_id": pipeline, "step": step, "reason_prefix": reason}

    async def work() -> dict[str, Any]:
        async with acting(dsn, folder, schema) as manager:
            total = sum((await manager.count_quarantined_records(which, by="status")).values())
            with _progress(quiet=as_json) as progress:
                task = progress.add_task("reprocessing", total=total)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_watch, manager, which, progress, task, total)
                    done = await manager.reprocess_quarantined_records(
                        run_id, None, into, actor=actor_of(actor), **options
                    )
                    tasks.cancel_scope.cancel()
        return {**asdict(done), "failures": dict(done.failures)}

    found = run(work())

    def show(console: Console) -> None:
        console.print(
            f"{cell(found['reprocessed'])} of {cell(found['taken'])} were loaded, "
            f"{cell(found['failed'])} failed again"
        )
        for message, count in sorted(found["failures"].items(), key=lambda item: -item[1]):
            console.print(f"  {count:,} x {escape(message)}", soft_wrap=True)

    emit(found, as_json=as_json, show=show)
    if found["failed"]:
        raise typer.Exit(1)


async def _watch(
    manager: "ErrorRecoveryManager", which: RecordFilter, progress: Progress, task: Any, total: int
) -> None:
    """Move the bar by what is still pending."""
    while True:
        await MACHINE_CLOCK.sleep(0.5)
        left = (await manager.count_quarantined_records(which, by="status")).get("pending", 0)
        progress.update(task, completed=total - left)


@app.command("discard")
def discard(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    why: Why,
    run_id: RunId = None,
    pipeline: Pipeline = None,
    step: Step = None,
    reason: ReasonPrefix = None,
    record: Annotated[list[str] | None, typer.Option(help="These records only.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    actor: Actor = None,
) -> None:
    """Give open records up; they stay to be looked at."""
    ids = [_id(each) for each in record] if record else None
    options: FilterOptions = {
        "pipeline_id": pipeline, "step": step, "reason_prefix": reason, "record_ids": ids,
    }  # fmt: skip
    which = replace(RecordFilter(run_id=run_id, **options), status=OPEN)

    async def work() -> int | None:
        async with acting(dsn, folder, schema) as manager:
            count = sum((await manager.count_quarantined_records(which, by="status")).values())
            if not yes and not typer.confirm(f"Give {count:,} records up?", err=True):
                return None
            return await manager.discard_quarantined_records(
                run_id, why=why, actor=actor_of(actor), **options
            )

    done = run(work())
    if done is None:
        fail("nothing was changed", 1)
    typer.echo(f"{done:,} records were given up")


@app.command("export")
def export(
    path: Annotated[Path, typer.Argument(help="A file that ends with .jsonl or .csv.")],
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    run_id: RunId = None,
    pipeline: Pipeline = None,
    step: Step = None,
    reason: ReasonPrefix = None,
    masked: Annotated[bool, typer.Option("--masked", help="Mask secrets; not to import.")] = False,
) -> None:
    """Write open records to a file, to be looked at or edited."""

    async def work() -> int:
        async with acting(dsn, folder, schema) as manager:
            return await manager.export_quarantined_records(
                path, _which(run_id, pipeline, step, reason), masked=masked
            )

    typer.echo(f"{run(work()):,} records are in {path}")


@app.command("import")
def import_records(
    path: Annotated[Path, typer.Argument(help="A file of `export`, perhaps edited.")],
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    why: Why = "edited in a file",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Bring a file back in; records that were edited in it are pending then."""

    async def work() -> dict[str, Any]:
        async with acting(dsn, folder, schema) as manager:
            report = await manager.import_quarantined_records(path, why=why, actor=actor_of(actor))
        return asdict(report)

    found = run(work())
    emit(found, as_json=as_json, show=lambda c: fields(c, str(path), list(found.items())))


def _progress(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=quiet, transient=True,
    )  # fmt: skip
