"""Time, tasks and ids: the only module that asks the system for them.

Monotonic time inside the process, the database's clock where workers meet; a wall-clock time of
this process is only ever shown to people.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import anyio

T = TypeVar("T")


class Clock(Protocol):
    """What a part needs of time; tests pass one that jumps."""

    def monotonic(self) -> float:
        """Seconds that never step back, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; ends at once on cancellation."""
        ...


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(anyio.sleep)


SYSTEM_CLOCK: Clock = SystemClock()


class BackgroundTask:
    """One task that lives from ``start`` to ``stop``, which different tasks may call.

    For what is opened and closed by calls; where a block can own the task, a task group does.
    """

    def __init__(self, work: Coroutine[object, object, None], name: str) -> None:
        self._task = asyncio.create_task(work, name=name)

    async def stop(self) -> None:
        """Cancel the task and wait for its end; what it raised goes to the event loop's handler."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._task])
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{self._task.get_name()} failed", "exception": error}
            )


def owned_task(work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
    """A task whose end its maker waits for: for a race, where a task group would end them all."""
    return asyncio.create_task(work, name=name)


def utc_now() -> datetime:
    """The wall clock, in UTC, for what a person reads."""
    return datetime.now(UTC)


_last_id = 0
_id_lock = threading.Lock()


def uuid7() -> UUID:
    """A new UUIDv7 (RFC 9562): 48 bits of unix milliseconds, then 74 random bits.

    Ids made by one process grow strictly, also within a millisecond and across a clock that
    steps back, so that rows keep the order in which they were made.
    """
    global _last_id
    fresh = (time.time_ns() // 1_000_000) << 74 | secrets.randbits(74)
    with _id_lock:
        # A smaller draw within the same millisecond (or after a step back) continues the last id.
        _last_id = fresh if fresh > _last_id else _last_id + 1 + secrets.randbits(32)
        value = _last_id
    milliseconds, rand_a, rand_b = value >> 74, (value >> 62) & 0xFFF, value & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 7 << 76 | rand_a << 64 | 2 << 62 | rand_b)
