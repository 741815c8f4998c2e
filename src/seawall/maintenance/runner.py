"""One worker's part in the fleet's background work."""

import logging
import random
from collections.abc import Sequence

import anyio

from seawall.clock import SYSTEM_CLOCK, BackgroundTask, Clock
from seawall.maintenance.job import Job
from seawall.maintenance.store import JobStore
from seawall.text import recordable

_logger = logging.getLogger("seawall.maintenance")

_LOOK_SECONDS = 5.0


class JobRunner:
    """Claims what is due and does it, one job after the other; starts and stops as a service.

    Every worker has one. With nothing due, one short statement is all it costs, every ``every``
    seconds. Belongs to one event loop.

    Args:
        store: where claims are.
        jobs: what there is to do.
        owner: this worker.
        every: seconds between two looks.
        clock: for the waits.
    """

    def __init__(
        self,
        store: JobStore,
        jobs: Sequence[Job],
        owner: str,
        *,
        every: float = _LOOK_SECONDS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store, self._owner = store, owner
        self._jobs = {job.name: job for job in jobs}
        self._every, self._clock = every, clock
        self._task: BackgroundTask | None = None

    async def start(self) -> None:
        self._task = BackgroundTask(self._run(), "seawall maintenance")

    async def aclose(self) -> None:
        """Stop; a job under way is cancelled, and another worker's when it is due again."""
        task, self._task = self._task, None
        if task is not None:
            await task.stop()

    async def run_due(self) -> list[str]:
        """Do all that is due and nobody's, now; the names of what was done.

        Raises whatever the store does.
        """
        done: list[str] = []
        while (name := await self._store.claim(self._jobs.values(), self._owner)) is not None:
            await self._do(self._jobs[name])
            done.append(name)
        return done

    async def _run(self) -> None:
        while True:
            # Not all workers of a fleet that was started at once look at once.
            await self._clock.sleep(self._every * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            try:
                await self.run_due()
            except Exception as error:
                _logger.warning("background work could not be claimed: %s", error)

    async def _do(self, job: Job) -> None:
        failure: str | None = None
        try:
            with anyio.fail_after(job.timeout):
                await job.work()
        except Exception as error:
            failure = recordable(f"{type(error).__name__}: {error}")
            _logger.warning("background job %s failed: %s", job.name, failure)
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1.0, shield=True):
                await self._store.finish(job, self._owner, "stopped with its worker")
            raise
        await self._store.finish(job, self._owner, failure)
