"""One worker's part in the fleet's background work."""

import logging
import random
from collections.abc import Sequence

import anyio

from seawall.clock import MACHINE_CLOCK, SYSTEM_CLOCK, BackgroundTask, Clock
from seawall.maintenance.job import Job
from seawall.maintenance.store import JobStore
from seawall.text import recordable

_logger = logging.getLogger("seawall.maintenance")

_LOOK_SECONDS = 5.0
_LEASE_SECONDS = 30.0  # how long a job waits for another worker after its own has died


class JobRunner:
    """Claims what is due and does it, one job after the other; starts and stops as a service.

    Every worker has one. With nothing due, one short statement is all it costs, every ``every``
    seconds. Belongs to one event loop.

    Args:
        store: where claims are.
        jobs: what there is to do.
        owner: this worker.
        every: seconds between two looks.
        lease_seconds: how long a claim outlives a worker that died or is frozen; it is renewed
            while the job is done.
        clock: for the waits.
    """

    def __init__(
        self,
        store: JobStore,
        jobs: Sequence[Job],
        owner: str,
        *,
        every: float = _LOOK_SECONDS,
        lease_seconds: float = _LEASE_SECONDS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store, self._owner, self._lease_seconds = store, owner, lease_seconds
        self._jobs = {job.name: job for job in jobs}
        self._every, self._clock = every, clock
        self._task: BackgroundTask | None = None

    async def start(self) -> None:
        self._task = BackgroundTask(self._run(), "seawall maintenance")

    async def aclose(self) -> None:
        """Stop; a job under way is cancelled, and due at once for another worker."""
        task, self._task = self._task, None
        if task is not None:
            await task.stop()

    async def run_due(self) -> list[str]:
        """Do all that is due and nobody's, now; the names of what was done.

        Raises whatever the store does.
        """
        done: list[str] = []
        jobs = self._jobs.values()
        while jobs:
            name = await self._store.claim(jobs, self._owner, self._lease_seconds)
            if name is None:
                break
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
            lost = await self._kept(job)
        except Exception as error:
            failure = recordable(f"{type(error).__name__}: {error}")
            _logger.warning("background job %s failed: %s", job.name, failure)
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1.0, shield=True):
                await self._store.release(job, self._owner)
            raise
        else:
            if lost:
                _logger.warning("background job %s is another worker's now", job.name)
                return
        await self._store.finish(job, self._owner, failure)

    async def _kept(self, job: Job) -> bool:
        """Do the work while its lease is renewed; True where that was lost, and the work ended."""
        lost = False
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:

            async def keep() -> None:
                nonlocal lost
                while not lost:
                    # The lease runs by the database's clock: no clock of a test moves it.
                    await MACHINE_CLOCK.sleep(self._lease_seconds / 3)
                    lost = not await self._renewed(job)
                tasks.cancel_scope.cancel()

            tasks.start_soon(keep)
            try:
                with anyio.fail_after(job.timeout):
                    await job.work()
            except Exception as error:  # by itself, not as the group's
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None and not lost:
            raise failure
        return lost

    async def _renewed(self, job: Job) -> bool:
        try:
            return await self._store.renew(job, self._owner, self._lease_seconds)
        except Exception as error:
            # Whether it is still ours shows when the database is back; the work needs that too.
            _logger.info("the lease of job %s could not be renewed: %s", job.name, error)
            return True
