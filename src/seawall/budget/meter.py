"""Rows, good and bad: counted in memory, written down every few seconds."""

from seawall.budget.counts import Counts
from seawall.budget.store import BudgetStore
from seawall.events import BatchCommitted, Event

_MOST_PIPELINES = 10_000


class RowMeter:
    """Hears of batches; ``flush`` writes what was counted. Belongs to one event loop.

    Telemetry: what was counted since the last flush is lost with its process.

    Args:
        store: takes the counts.
        pipeline_id: of batches outside of any run.

    Attributes:
        dropped: batches that weren't counted, because 10,000 pipelines waited for the store.
    """

    def __init__(self, store: BudgetStore, pipeline_id: str) -> None:
        self._store, self._pipeline_id = store, pipeline_id
        self._waiting: dict[str, Counts] = {}
        self.dropped = 0

    def hear(self, event: Event) -> None:
        """The listener."""
        if isinstance(event, BatchCommitted) and (event.write_count or event.skip_count):
            self._add(
                event.scope.pipeline_id or self._pipeline_id,
                Counts(event.write_count, event.skip_count),
            )

    async def flush(self) -> None:
        """Write what was counted. Raises whatever the store does; nothing is lost then."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            await self._store.add_rows(waiting)
        except BaseException:
            for pipeline_id, counts in waiting.items():
                self._add(pipeline_id, counts)
            raise

    def _add(self, pipeline_id: str, counts: Counts) -> None:
        known = self._waiting.get(pipeline_id)
        if known is None and len(self._waiting) >= _MOST_PIPELINES:
            self.dropped += 1
        else:
            self._waiting[pipeline_id] = counts if known is None else known + counts
