"""What a person sees of the demo: a progress bar, what went wrong on the way, and the report."""

import sys
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Table

from seawall.cli.demo import data

_STYLES = {"open": "red", "half_open": "yellow", "closed": "green"}


class Display:
    """Shows the worker's progress on standard error; standard output is the report's.

    Args:
        quiet: for ``--json``: the bar alone.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet
        self._progress = Progress(
            TextColumn("[bold]flights"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TextColumn("{task.fields[aside]} aside"),
            TextColumn("{task.fields[speed]}"),
            Elapsed(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._retries = self._fallbacks = 0
        self._begun: int = 0
        self._last_tenth = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """A line above the bar."""
        if not self._quiet:
            self._progress.console.print(text)

    def hear(self, message: dict[str, Any]) -> None:
        """Show one line of the worker's."""
        match message["event"]:
            case "started":
                self._started(message["resumed_from"], message["read"])
            case "batch":
                self._advance(message["read"], message["quarantined"])
            case "breaker":
                style = _STYLES.get(message["to"], "white")
                self.say(
                    f"circuit breaker {message['service']}: {message['frm']} -> "
                    f"[{style}]{message['to']}[/]"
                )
            case "retry":
                self._retries += 1
                self.say(f"[dim]retry in {message['wait']:.2f} s: {escape(_line(message['what']))}")
            case "fallback":
                self._fallbacks += 1
                if self._fallbacks == 1:
                    self.say("[dim]the API is down: names come from the file until it is back")

    def _started(self, resumed_from: int | None, read: int) -> None:
        if resumed_from is not None:
            self.say(f"worker resumes after flight {resumed_from:,}")
        if self._task is None:
            self._task = self._progress.add_task(
                "flights", total=data.FLIGHTS, completed=read, aside="0", speed=""
            )
            self._begun = read

    def _advance(self, read: int, quarantined: int) -> None:
        if self._task is None:
            return
        task = self._progress.tasks[0]
        seconds = task.elapsed or 0.0
        speed = f"{(read - self._begun) / seconds:,.0f}/s" if seconds > 0.5 else ""
        self._progress.update(self._task, completed=read, aside=f"{quarantined:,}", speed=speed)
        tenth = read * 10 // data.FLIGHTS
        if self._progress.disable and tenth > self._last_tenth:
            self._last_tenth = tenth
            self.say(f"{read:,} of {data.FLIGHTS:,} flights, {quarantined:,} set aside")


def _line(text: str) -> str:
    first = text.partition("\n")[0]
    return first if len(first) <= 60 else first[:59] + "…"


def show(report: dict[str, Any], look: str) -> None:
    """The report, on standard output, and the command that shows more."""
    console = Console(file=sys.stdout, highlight=False)
    table = Table(title="What the run did, over all its restarts", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name in ("rows_read", "rows_loaded", "rows_quarantined"):
        table.add_row(name.replace("_", " "), f"{report[name]:,}")
    for reason, count in report["quarantined_by_reason"].items():
        table.add_row(f"[dim]  {escape(reason)}", f"[dim]{count:,}")
    for name in ("batches", "retries", "breaker_transitions"):
        table.add_row(name.replace("_", " "), f"{report[name]:,}")
    resumed = report["resumed_from"]
    table.add_row("resumed from", "-" if resumed is None else f"{resumed:,}")
    table.add_row("seconds", f"{report['seconds']:.1f}")
    if report["seconds"]:
        table.add_row("rows/s", f"{report['rows_read'] / report['seconds']:,.0f}")
    console.print(table)
    console.print(
        "[green]Every flight is in its one place:[/] loaded, or set aside with its reason; checked "
        "by SQL."
    )
    console.print(f"Look: {look}", style="dim", markup=False, soft_wrap=True)
