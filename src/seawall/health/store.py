"""Where the fleet's workers are kept, with the latest sample of each."""

from collections.abc import Sequence
from typing import Protocol

from seawall.health.reading import Reading, Worker, WorkerHealth


class HealthStore(Protocol):
    """Workers and their latest samples; times are the store's own."""

    async def report(
        self, worker: Worker, interval_seconds: float, found: Sequence[Reading]
    ) -> None:
        """The worker lives, and these are its readings."""
        ...

    async def leave(self, worker: Worker) -> None:
        """The worker ends in order."""
        ...

    async def fleet(self) -> list[WorkerHealth]:
        """Every worker that is known, the last seen first; at most 1,000."""
        ...
