"""Tells of what a step commits: events, and the user's progress callback."""

import logging

from seawall.checkpoint.keeper import InFlight
from seawall.checkpoint.ledger import Part
from seawall.checkpoint.model import Progress, StepKey
from seawall.checkpoint.options import OnProgress, StepProgress
from seawall.clock import Clock
from seawall.events import BatchCommitted, EventBus
from seawall.records import RecordSource

_logger = logging.getLogger("seawall.checkpoint")


class Observer:
    """What is seen of one open step; knows which batches are in flight.

    Args:
        key: the step.
        opened_with: what was committed before.
        total: records in the source, where known.
        on_progress: the user's callback.
    """

    def __init__(
        self,
        key: StepKey,
        opened_with: Progress,
        total: int | None,
        on_progress: OnProgress | None,
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self._key, self._opened_with, self._total = key, opened_with, total
        self._on_progress, self._bus, self._clock = on_progress, bus, clock
        self._opened_at = clock.monotonic()
        self.source: RecordSource | None = None
        self.in_flight: dict[str, InFlight] = {}

    def begun(self, batch_id: str) -> None:
        """A batch's block is entered; again: it is at work since the first time."""
        if batch_id not in self.in_flight:
            self.in_flight[batch_id] = InFlight(batch_id, self._clock.monotonic())

    def ended(self, batch_id: str) -> float | None:
        """It is left; the seconds that it took, where it was entered."""
        flight = self.in_flight.pop(batch_id, None)
        return None if flight is None else self._clock.monotonic() - flight.started_at

    @property
    def seconds(self) -> float:
        """Since the step was opened."""
        return self._clock.monotonic() - self._opened_at

    def committed(self, part: Part, before: Progress, progress: Progress) -> None:
        """Tell of a commit that is certain."""
        if self._on_progress is not None:
            try:
                self._on_progress(self.progress(progress))
            except Exception:
                _logger.exception("on_progress failed")
        if not self._bus.listeners:
            return
        added = progress.counters.minus(before.counters)
        batch_id = self._key.batch_id(part.issued.first)
        flight = self.in_flight.get(batch_id)
        self._bus.emit(
            BatchCommitted(
                partition=self._key.partition,
                batch_id=batch_id,
                read_count=added.read_count,
                write_count=added.write_count,
                skip_count=added.skip_count,
                elapsed_seconds=(
                    0.0 if flight is None else self._clock.monotonic() - flight.started_at
                ),
            )
        )

    def progress(self, now: Progress) -> StepProgress:
        """How far the step is."""
        seconds = max(self.seconds, 1e-9)
        read = now.counters.read_count
        rate = (read - self._opened_with.counters.read_count) / seconds
        fraction = self._fraction(now)
        remaining = read / fraction * (1 - fraction) / rate if fraction and rate else None
        return StepProgress(
            counters=now.counters,
            position=now.position,
            seconds=seconds,
            rows_per_second=rate,
            fraction=fraction,
            remaining_seconds=remaining,
        )

    def _fraction(self, now: Progress) -> float | None:
        if self._total:
            return min(now.counters.read_count / self._total, 1.0)
        return None if self.source is None else self.source.fraction(now.position)
