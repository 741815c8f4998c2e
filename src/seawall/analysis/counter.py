"""From events to counts of successes and failures by attribute: in memory, flushed as deltas."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from seawall.analysis.store import OTHER, PAIR, RUNS, WORK, AnalysisStore, Delta
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.events import (
    BatchCommitted,
    Event,
    RetryExhausted,
    RetrySucceeded,
    RunEnded,
    StepEnded,
)
from seawall.service import Periodic

_TICK_SECONDS = 10.0
_MOST_CELLS = 10_000
_MOST_VALUES = 100  # of one attribute, in one hour
_HOUR_SECONDS = 3600.0
_FAILED, _SUCCEEDED = "failed", "succeeded"

# tick, pipeline, kind, then what the kind has
_Cell = tuple[Any, ...]


class FailureCounter:
    """Hears how work ends; a service that adds the counts to the store.

    One success is a batch that was committed, or a step that ended well; one failure is a step
    that failed. Cancelled ends count for nothing. Ends of runs, and of calls that had to be
    retried, are counted beside them. Belongs to one event loop; ``hear`` costs one addition.

    Args:
        store: where counts go.
        pipeline_id: of work outside a run.
        host: this worker's.
        flush_seconds: between two deliveries.
        clock: for the waits, and to date what waits.

    Attributes:
        dropped: ends that weren't counted, because 10,000 kinds of them waited for the database.
    """

    def __init__(
        self,
        store: AnalysisStore,
        *,
        pipeline_id: str,
        host: str,
        flush_seconds: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store, self._pipeline_id, self._host, self._clock = store, pipeline_id, host, clock
        self._cells: dict[_Cell, list[int]] = {}
        self._values = _BoundedValues(clock)
        self._flushing = Periodic(
            self.flush, every=flush_seconds, name="counting of failures", clock=clock
        )
        self.dropped = 0

    async def start(self) -> None:
        await self._flushing.start()

    async def aclose(self) -> None:
        await self._flushing.aclose()

    def hear(self, event: Event) -> None:
        """The listener."""
        count = _HEARD.get(type(event))
        if count is not None:
            count(self, event)

    def _batch(self, event: BatchCommitted) -> None:
        scope = event.scope
        self._count(
            (scope.pipeline_id, WORK, scope.step, scope.release, event.partition, None, None), 1
        )

    def _step(self, event: StepEnded) -> None:
        if event.status not in (_FAILED, _SUCCEEDED):
            return
        scope, failed = event.scope, event.status == _FAILED
        error = (event.error_type, event.exception_type) if failed else (None, None)
        self._count(
            (scope.pipeline_id, WORK, scope.step, scope.release, event.partition, *error),
            0 if failed else 1,
        )

    def _run(self, event: RunEnded) -> None:
        if event.status in (_FAILED, _SUCCEEDED):
            self._count((event.scope.pipeline_id, RUNS), int(event.status == _SUCCEEDED))

    def _recovered(self, event: RetrySucceeded) -> None:
        self._count((event.scope.pipeline_id, "operation", event.operation), 1)

    def _exhausted(self, event: RetryExhausted) -> None:
        self._count((event.scope.pipeline_id, "operation", event.operation), 0)

    def _count(self, cell: _Cell, which: int) -> None:
        key = (int(self._clock.monotonic() // _TICK_SECONDS), *cell)
        counts = self._cells.get(key)
        if counts is None:
            if len(self._cells) >= _MOST_CELLS:
                self.dropped += 1
                return
            counts = self._cells[key] = [0, 0]
        counts[which] += 1

    async def flush(self) -> None:
        """Add what was counted to the store.

        Raises whatever the store does; nothing counted is lost then.
        """
        cells, self._cells = self._cells, {}
        if not cells:
            return
        try:
            await self._store.add(self._deltas(cells))
        except BaseException:
            for key, counts in cells.items():
                kept = self._cells.setdefault(key, [0, 0])
                kept[0] += counts[0]
                kept[1] += counts[1]
            raise

    def _deltas(self, cells: dict[_Cell, list[int]]) -> list[Delta]:
        sums: dict[tuple[int, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        for (tick, pipeline_id, *cell), (failures, successes) in cells.items():
            pipeline = pipeline_id or self._pipeline_id
            for dimension, name in self._attributes(cell):
                value = self._values.bounded(pipeline, dimension, name)
                counts = sums[tick, pipeline, dimension, value]
                counts[0] += failures
                counts[1] += successes
        now = self._clock.monotonic()
        return [
            Delta(pipeline, dimension, value, max(0.0, now - (tick + 1) * _TICK_SECONDS), *counts)
            for (tick, pipeline, dimension, value), counts in sums.items()
        ]

    def _attributes(self, cell: list[Any]) -> Iterator[tuple[str, str]]:
        kind, *rest = cell
        if kind == RUNS:
            yield RUNS, ""
            return
        if kind == "operation":
            yield "operation", rest[0]
            return
        step, release, partition, error_type, exception_type = rest
        yield WORK, ""
        yield "host", self._host
        yield "partition", str(partition)
        for dimension, value in (
            ("step", step),
            ("release", release),
            ("error_type", error_type),
            ("exception", exception_type),
        ):
            if value:
                yield dimension, value
        if step:
            yield "step × host", f"{step}{PAIR}{self._host}"
        if step and release:
            yield "step × release", f"{step}{PAIR}{release}"


class _BoundedValues:
    """Of each attribute the first values of an hour; further ones are one."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._hour = clock, 0
        self._known: dict[tuple[str, str], set[str]] = defaultdict(set)

    def bounded(self, pipeline_id: str, dimension: str, value: str) -> str:
        hour = int(self._clock.monotonic() // _HOUR_SECONDS)
        if hour != self._hour:
            self._hour = hour
            self._known.clear()
        known = self._known[pipeline_id, dimension]
        if value not in known:
            if len(known) >= _MOST_VALUES:
                return OTHER
            known.add(value)
        return value


_HEARD: dict[type[Event], Callable[[FailureCounter, Any], None]] = {
    BatchCommitted: FailureCounter._batch,  # noqa: SLF001 - its own
    StepEnded: FailureCounter._step,  # noqa: SLF001 - its own
    RunEnded: FailureCounter._run,  # noqa: SLF001 - its own
    RetrySucceeded: FailureCounter._recovered,  # noqa: SLF001 - its own
    RetryExhausted: FailureCounter._exhausted,  # noqa: SLF001 - its own
}
