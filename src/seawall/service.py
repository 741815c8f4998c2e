"""Small services: a part with something in the background, started once and closed once."""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from seawall.clock import SYSTEM_CLOCK, BackgroundTask, Clock

_logger = logging.getLogger("seawall.service")

_FIRST_SECONDS = 5.0  # how long starting waits for a first turn
_LAST_SECONDS = 5.0  # how long the last turn may take


class Service(Protocol):
    """What a manager starts and closes; each belongs to one event loop."""

    async def start(self) -> None:
        """Begin; nothing slow is waited for."""
        ...

    async def aclose(self) -> None:
        """End in order: what waits is written, for a bounded time."""
        ...


class Periodic:
    """Does ``work`` every so often, and once more at the end.

    A turn that fails is logged, and made up for by the next.

    Args:
        work: one turn.
        every: seconds between two.
        name: what it is, for logs and for its task.
        clock: for the waits.
        at_once: whether ``start`` does the first turn, for a bounded time, and returns after it.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[object]],
        *,
        every: float,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
        at_once: bool = False,
    ) -> None:
        self._work, self._every, self._name, self._clock = work, every, name, clock
        self._at_once = at_once
        self._task: BackgroundTask | None = None

    async def start(self) -> None:
        if self._at_once:
            with anyio.move_on_after(_FIRST_SECONDS):
                await self._turn()
        self._task = BackgroundTask(self._run(), f"seawall {self._name}")

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await task.stop()
            with anyio.move_on_after(_LAST_SECONDS):
                await self._turn()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._every)
            await self._turn()

    async def _turn(self) -> None:
        try:
            await self._work()
        except Exception as error:
            # Background work may be late, never the reason for a failure.
            _logger.warning("%s failed, and will be tried again: %s", self._name, error)
