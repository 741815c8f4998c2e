"""Partitions of a step, shared by plain processes: leases decide who works on which."""

import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

import anyio

from seawall.checkpoint.model import StreamReport
from seawall.checkpoint.step import Step
from seawall.clock import MACHINE_CLOCK, Clock
from seawall.config import Range
from seawall.errors import InvalidConfigError, ShutdownError, StaleRunError, StepHeldError

_logger = logging.getLogger("seawall.checkpoint")

_POLL_SECONDS = 1.0  # how often a partition that another process holds is looked at


class PartitionStore(Protocol):
    """What is known of a step's partitions."""

    async def now(self) -> datetime:
        """The database's time."""
        ...

    async def finished_since(self, run_id: str, step: str, since: datetime) -> set[int]:
        """Those that were read to their end since that time."""
        ...


class Partitions:
    """Works on those partitions of a step that nobody else does, until all are finished.

    Every process that is started with the same partitions takes the free ones, one after the
    other; those of a process that died are free when its lease has run out (at once, on the same
    machine).

    Args:
        store: where the leases are.
        run_id, step: whose partitions.
        numbers: all of them.
        open_step: makes the step of one; it must fail where another has the lease.
        work: brings an open partition to its end.
    """

    def __init__(
        self,
        store: PartitionStore,
        run_id: str,
        step: str,
        numbers: Sequence[int],
        open_step: Callable[[int], Step],
        work: Callable[[Step], Awaitable[object]],
        *,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        if not numbers or len(set(numbers)) != len(numbers):
            raise InvalidConfigError(f"partitions={numbers!r}: must be numbers, each once")
        self._store, self._run_id, self._step = store, run_id, step
        # Processes that start at once begin in different places.
        turn = os.getpid() % len(numbers)
        self._numbers = [*numbers[turn:], *numbers[:turn]]
        self._open_step, self._work, self._clock = open_step, work, clock
        self._stopped = False
        self._busy: set[int] = set()
        self._done: set[int] = set()
        self._reports: dict[int, StreamReport] = {}

    async def run(self, concurrency: int = 1) -> dict[int, StreamReport]:
        """Work until each is finished, by whomever; the reports of those that this process did.

        Args:
            concurrency: partitions at a time in this process.

        Raises:
            ShutdownError: one was stopped; the others have finished what they had in hand.
        """
        Range(int, 1).check("concurrency", concurrency)
        since = await self._store.now()
        failures: list[Exception] = []
        async with anyio.create_task_group() as tasks:

            async def works() -> None:
                try:
                    await self._work_on(since)
                except ShutdownError as error:
                    # The others are stopped too, and may finish the batches that they have.
                    failures.append(error)
                    self._stopped = True
                except Exception as error:  # naked: as itself, not as the group's member
                    failures.insert(0, error)
                    tasks.cancel_scope.cancel()

            for _ in range(min(concurrency, len(self._numbers))):
                tasks.start_soon(works)
        if failures:
            raise failures.pop(0)
        return dict(sorted(self._reports.items()))

    async def _work_on(self, since: datetime) -> None:
        while not self._stopped:
            self._done |= await self._store.finished_since(self._run_id, self._step, since)
            left = [each for each in self._numbers if each not in self._done]
            if not left:
                return
            if not await self._take_one([each for each in left if each not in self._busy]):
                await self._clock.sleep(_POLL_SECONDS)

    async def _take_one(self, free: Sequence[int]) -> bool:
        """Work on the first of these that nobody holds; False where each is held."""
        for number in free:
            if number in self._busy or number in self._done:
                continue  # another task of this process was faster
            self._busy.add(number)
            opened = False
            try:
                async with self._open_step(number) as step:
                    opened = True
                    await self._work(step)
                    self._reports[number] = await step.report()
                self._done.add(number)
            except StepHeldError:
                if opened:  # another step, which the work itself wants
                    raise
                continue
            except StaleRunError as error:
                _logger.warning("partition %d: %s", number, error)
            finally:
                self._busy.discard(number)
            return True
        return False
