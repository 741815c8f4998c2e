"""Where it is written down who does which job, and when it is due."""

from collections.abc import Collection
from typing import Protocol

from seawall.maintenance.job import Job


class JobStore(Protocol):
    """Claims, by the store's own clock."""

    async def claim(self, jobs: Collection[Job], owner: str, lease_seconds: float) -> str | None:
        """Take one job that is due and nobody's, under a lease; its name."""
        ...

    async def renew(self, job: Job, owner: str, lease_seconds: float) -> bool:
        """Begin the lease anew; False where another worker has claimed the job meanwhile."""
        ...

    async def finish(self, job: Job, owner: str, error: str | None) -> None:
        """It was done, and is due after ``every``; or failed for ``error``, and is due sooner.

        Nothing changes where another worker has claimed it meanwhile.
        """
        ...

    async def release(self, job: Job, owner: str) -> None:
        """It was not done to its end, and for no fault of its own: due at once, to anybody."""
        ...
