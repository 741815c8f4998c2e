"""From ends of retried calls to counts of when they recovered: sampled, in memory."""

from collections import defaultdict

from seawall.classification import ErrorType
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.events import Event, RetryExhausted, RetrySucceeded
from seawall.tuning.advice import TUNED
from seawall.tuning.model import Interval, interval_of
from seawall.tuning.store import Delta, Key
from seawall.tuning.tuner import Tuner

EPISODE_SECONDS = 600.0
_MOST_IN_EPISODE = 20  # of a key: calls of one outage say all the same
_MOST_CELLS = 5_000
_MOST_OPERATIONS = 500  # of a pipeline
_TUNED = frozenset(each.value for each in TUNED)


class TimingCounter:
    """Hears how retried calls end; a listener that only counts.

    Of an operation's calls in ten minutes the first twenty count, recovered or not: the calls of
    one outage are no independent cases, and a storm of them must not outweigh all other days.

    Args:
        tuner: knows the revision that calls are retried under.
        pipeline_id: of calls outside any run.
        clock: tells one stretch of ten minutes from the next.
    """

    def __init__(self, tuner: Tuner, *, pipeline_id: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._tuner, self._pipeline_id, self._clock = tuner, pipeline_id, clock
        self._cells: dict[tuple[Key, int, Interval], int] = {}
        self._sampled: dict[tuple[str, str, str], int] = defaultdict(int)
        self._operations: dict[str, set[str]] = defaultdict(set)
        self._slot = 0

    def hear(self, event: Event) -> None:
        """The listener."""
        if isinstance(event, RetrySucceeded):
            self._count(event, succeeded=True)
        elif isinstance(event, RetryExhausted):
            self._count(event, succeeded=False)

    def _count(self, event: RetrySucceeded | RetryExhausted, *, succeeded: bool) -> None:
        # A call whose waits aren't all told says nothing certain; nor does one that never waited.
        if event.error_type not in _TUNED or len(event.waits) != event.attempt - 1:
            return
        pipeline = event.scope.pipeline_id or self._pipeline_id
        if not event.waits or not self._is_sampled(pipeline, event.operation, event.error_type):
            return
        key = Key(pipeline, event.operation, ErrorType(event.error_type))
        cell = (key, self._tuner.revision(key), interval_of(event.waits, succeeded=succeeded))
        if cell in self._cells or len(self._cells) < _MOST_CELLS:
            self._cells[cell] = self._cells.get(cell, 0) + 1

    def _is_sampled(self, pipeline: str, operation: str, error_type: str) -> bool:
        slot = int(self._clock.monotonic() // EPISODE_SECONDS)
        if slot != self._slot:
            self._slot = slot
            self._sampled.clear()
        known = self._operations[pipeline]
        if operation not in known:
            if len(known) >= _MOST_OPERATIONS:
                return False
            known.add(operation)
        self._sampled[pipeline, operation, error_type] += 1
        return self._sampled[pipeline, operation, error_type] <= _MOST_IN_EPISODE

    def take(self) -> list[Delta]:
        """What was counted since the last time."""
        cells, self._cells = self._cells, {}
        return [Delta(*cell, calls) for cell, calls in cells.items()]

    def put_back(self, deltas: list[Delta]) -> None:
        """What could not be written."""
        for each in deltas:
            cell = (each.key, each.revision, each.interval)
            self._cells[cell] = self._cells.get(cell, 0) + each.calls
