"""``seawall load``: files into a table, for people who write no Python."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.checkpoint import StreamReport
from seawall.checkpoint.tolerance import Tolerance
from seawall.cli.load_display import LoadDisplay
from seawall.conflict import OnConflictOption
from seawall.errors import InvalidConfigError
from seawall.file_load import STEP, FileFormat, FileLoad, FileLoadReport
from seawall.manager import ErrorRecoveryManager
from seawall.quarantine.record import RecordFilter
from seawall.quarantine.reprocess import ReprocessMetrics
from seawall.text import recordable

_REASONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCommand:
    """What the command line asks for."""

    files: Sequence[Path]
    table: str
    file_format: FileFormat
    run_id: str | None
    create: bool
    on_conflict: OnConflictOption | None
    tolerance: Tolerance | None

    @property
    def run(self) -> str:
        """The run's id, given or derived."""
        return self.run_id or FileLoad(self.files, self.table, self.file_format).run_id


@dataclass(frozen=True, slots=True)
class Example:
    """One record that was set aside: where it stands, and what is special to it."""

    place: str
    special: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a load did, and some of what it set aside."""

    report: FileLoadReport
    examples: Mapping[str, Example]


def tolerance_of(text: str | None) -> Tolerance | None:
    """``1%`` or ``0.01`` of the records, or a number of them.

    Raises:
        InvalidConfigError: it is neither.
    """
    if text is None:
        return None
    try:
        if text.endswith("%"):
            return Tolerance(float(text[:-1]) / 100)
        return Tolerance(count=int(text)) if text.isdecimal() else Tolerance(float(text))
    except ValueError:
        raise InvalidConfigError(
            f"--tolerate {text}: must be a share of the records (1%) or a number of them (100)"
        ) from None


def columns_of(text: str | None) -> list[str] | None:
    """Names out of ``a,b,c``."""
    return None if text is None else [name.strip() for name in text.split(",")]


def delimiter_of(text: str | None) -> str | None:
    """One character; ``tab`` and a backslash with a t are the tab."""
    return "\t" if text in ("tab", r"\t") else text


async def load(dsn: str, schema: str, command: LoadCommand, display: LoadDisplay) -> Outcome:
    """Load what isn't loaded yet; the run is recorded as the step's worker sees it."""
    async with ErrorRecoveryManager(dsn, schema=schema, pipeline_id="load") as manager:
        async with manager.run("load", command.run):
            report = await manager.load_files(
                command.files,
                command.table,
                run_id=command.run,
                file_format=command.file_format,
                create=command.create,
                on_conflict=command.on_conflict,
                tolerance=command.tolerance,
                handle_signals=True,
                on_progress=display.advance,
            )
        return Outcome(report, await _examples(manager, report.stream))


async def _examples(manager: ErrorRecoveryManager, stream: StreamReport) -> dict[str, Example]:
    """The first record of each of the commonest reasons."""
    found = {}
    for reason in [reason for reason, _ in _ordered(stream)][:_REASONS]:
        which = RecordFilter(run_id=stream.run_id, step=STEP, reason=reason)
        for each in await manager.list_quarantined_records(which, limit=1):
            told = next((told for told in each.reasons if told.startswith(reason)), reason)
            special = told.removeprefix(reason).strip()
            found[reason] = Example(place_of(each.position), recordable(special))
    return found


def _ordered(stream: StreamReport) -> list[tuple[str, int]]:
    """Reasons with their counts, the commonest first."""
    return sorted(stream.quarantined_by_reason.items(), key=lambda item: -item[1])


async def reprocess(dsn: str, schema: str, command: LoadCommand) -> ReprocessMetrics:
    """Load what was set aside."""
    async with ErrorRecoveryManager(dsn, schema=schema, pipeline_id="load") as manager:
        return await manager.reprocess_file_load(
            command.files,
            command.table,
            run_id=command.run,
            file_format=command.file_format,
            on_conflict=command.on_conflict,
        )


# -- what is shown ----------------------------------------------------------------------------


def as_json(outcome: Outcome, exit_code: int) -> str:
    """The report for programs."""
    stream = outcome.report.stream
    return json.dumps(
        {
            "run_id": stream.run_id,
            "table": outcome.report.table,
            "exit_code": exit_code,
            "rows_read": stream.rows_read,
            "rows_loaded": stream.rows_loaded,
            "rows_quarantined": stream.rows_quarantined,
            "quarantined_by_reason": dict(stream.quarantined_by_reason),
            "rows_read_now": stream.this_process.read_count,
            "batches": stream.batches,
            "resumed_from": stream.resumed_from,
            "position": stream.position,
            "seconds": round(stream.seconds, 3),
            "created": outcome.report.created,
        },
        default=str,
    )


def metrics_as_json(metrics: ReprocessMetrics, run_id: str, exit_code: int) -> str:
    """The same of records that were run again."""
    return json.dumps(
        {
            "run_id": run_id,
            "exit_code": exit_code,
            "reprocessed": metrics.reprocessed,
            "failed": metrics.failed,
            "failures": dict(metrics.failures),
            "seconds": round(metrics.elapsed_seconds, 3),
        }
    )


def show(outcome: Outcome) -> None:
    """The report for people, on standard output."""
    console = Console(file=sys.stdout, highlight=False)
    stream, table = outcome.report.stream, outcome.report.table
    if outcome.report.created is not None:
        _show_created(console, table, outcome.report.created)
    console.print(escape(_summary(stream, table)))
    if stream.rows_quarantined:
        _show_quarantined(console, outcome)
    console.print(f"run {stream.run_id}", style="dim", markup=False, soft_wrap=True)


def _summary(stream: StreamReport, table: str) -> str:
    now = stream.this_process
    if not now.read_count:
        if not stream.rows_read:
            return "nothing to load: the files hold no record"
        return (
            f"nothing new: {stream.rows_loaded:,} records of these files are in {table} already "
            "(to load them again, give another --run-id)"
        )
    rate = now.read_count / stream.seconds if stream.seconds else 0.0
    text = f"{now.write_count:,} records loaded into {table} in {stream.seconds:,.1f} s"
    if stream.seconds >= 0.5:
        text += f" ({rate:,.0f} a second)"
    if stream.rows_read > now.read_count:
        text += f"; with what was loaded before, {stream.rows_loaded:,} of {stream.rows_read:,}"
    return text


def _show_created(console: Console, table: str, created: Mapping[str, str]) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in created.items())
    console.print(
        f"created table {table} ({columns}); types are those of the first records: later ones that "
        "don't fit are quarantined",
        markup=False,
    )


def _show_quarantined(console: Console, outcome: Outcome) -> None:
    stream = outcome.report.stream
    console.print(
        f"[yellow]{stream.rows_quarantined:,} of {stream.rows_read:,} are in quarantine[/], whole, "
        "each with its reason:"
    )
    reasons = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    reasons.add_column(justify="right")
    reasons.add_column(overflow="fold")
    ordered = _ordered(stream)
    for reason, count in ordered[:_REASONS]:
        reasons.add_row(f"{count:,}", escape(reason))
        if (example := outcome.examples.get(reason)) is not None:
            special = f": {example.special}" if example.special else ""
            reasons.add_row("", f"[dim]the first: {escape(example.place + special)}")
    if rest := ordered[_REASONS:]:
        reasons.add_row(f"{sum(count for _, count in rest):,}", "for other reasons")
    console.print(reasons)
    console.print("Mend the table, or the records, and run the same command with --reprocess.")


def show_metrics(metrics: ReprocessMetrics, table: str) -> None:
    """What became of records that were run again."""
    console = Console(file=sys.stdout, highlight=False)
    if not metrics.taken:
        console.print("nothing is in quarantine that waits to be loaded")
        return
    console.print(
        f"{metrics.reprocessed:,} of {metrics.taken:,} quarantined records loaded into {table} in "
        f"{metrics.elapsed_seconds:,.1f} s",
        markup=False,
    )
    for reason, count in metrics.failures.items():
        console.print(f"  still refused, {count:,}: {reason}", markup=False)


def place_of(position: Any) -> str:
    """A position as people read it."""
    if isinstance(position, list | tuple) and len(position) == 3:
        name, first, second = position
        if str(name).endswith((".parquet", ".pq")):
            return f"{name}, row group {first}, row {second:,}"
        return f"{name}, line {second:,}"
    return str(position)
