"""Where it is written down who does which job, and when it is due."""

from collections.abc import Collection
from typing import Protocol

from seawall.maintenance.job import Job


class JobStore(Protocol):
    """Claims, by the store's own clock."""

    async def claim(self, jobs: Collection[Job], owner: str) -> str | None:
        """Take one job that is due and nobody's, under a lease of its timeout; its name."""
        ...

    async def finish(self, job: Job, owner: str, error: str | None) -> None:
        """It was done, or failed for ``error``: due again after ``every``.

        Nothing changes where another worker has claimed it meanwhile.
        """
        ...
