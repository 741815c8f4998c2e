"""The progress of a load: a bar on a terminal, else a line now and then; on standard error."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from seawall.checkpoint.options import StepProgress
from seawall.clock import SYSTEM_CLOCK, Clock

_LINE_SECONDS = 5.0  # between two lines where there is no terminal
_STEPS = 1000


class LoadDisplay:
    """Shows each commit.

    Args:
        title: what is being loaded.
        quiet: for ``--json``: show nothing.
        console: standard error without it.
    """

    def __init__(
        self,
        title: str,
        *,
        quiet: bool = False,
        console: Console | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._quiet, self._clock = quiet, clock
        columns = [BarColumn(bar_width=None), TextColumn("{task.fields[told]}")]
        if self._console.width >= 100:
            columns = [TextColumn("{task.description}", markup=False), *columns]
            columns.append(TimeElapsedColumn())
        self._bar = Progress(
            *columns,
            console=self._console,
            disable=quiet or not self._console.is_terminal,
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task(title, total=_STEPS, told="")
        self._told_at = clock.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, progress: StepProgress) -> None:
        """Told after every commit."""
        told = _told(progress)
        done = (progress.fraction or 0.0) * _STEPS
        self._bar.update(self._task, completed=done, told=told)
        now = self._clock.monotonic()
        if self._bar.disable and not self._quiet and now - self._told_at >= _LINE_SECONDS:
            self._told_at = now
            share = "" if progress.fraction is None else f"{progress.fraction:.0%}, "
            self._console.print(share + told, markup=False)


def _told(progress: StepProgress) -> str:
    counters = progress.counters
    parts = [f"{counters.read_count:,} read"]
    if counters.skip_count:
        parts.append(f"{counters.skip_count:,} aside")
    if progress.rows_per_second:
        parts.append(f"{progress.rows_per_second:,.0f}/s")
    if progress.remaining_seconds is not None and progress.remaining_seconds >= 1:
        parts.append(f"{_span(progress.remaining_seconds)} left")
    return ", ".join(parts)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
