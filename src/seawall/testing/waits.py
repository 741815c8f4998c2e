"""``no_waits``: retries at once, with a record of what they would have waited."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio.lowlevel

from seawall.clock import MACHINE_CLOCK, SYSTEM_CLOCK, Timer


@contextmanager
def no_waits() -> Iterator[list[float]]:
    """Let no policy wait within the block, those made before it included.

    Each wait ends at once, and the policies' clock is as much later: a breaker's break passes with
    the waits, and a deadline cuts retries off as it would have. Where several tasks wait at once
    their waits add up, and timeouts run on in real time: use ``run`` for these. Policies that were
    given a ``clock`` keep it. Belongs to one thread.

    Returns:
        a context manager that gives the list of the waits asked for, in seconds, in their order.
    """
    clock = _SkippingClock()
    with SYSTEM_CLOCK.replaced_by(clock):
        yield clock.waits


class _SkippingClock:
    """The machine's time, and all the waits that were skipped."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._skipped = 0.0

    def monotonic(self) -> float:
        return MACHINE_CLOCK.monotonic() + self._skipped

    async def sleep(self, seconds: float) -> None:
        self._skip(seconds)
        await anyio.lowlevel.checkpoint()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        self._skip(seconds)
        return asyncio.get_running_loop().call_soon(callback)

    def _skip(self, seconds: float) -> None:
        self.waits.append(seconds)
        self._skipped += max(0.0, seconds)
