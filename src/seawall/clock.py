"""Time, tasks and ids: the only module that asks the system for them.

Monotonic time inside the process, the database's clock where workers meet; a wall-clock time of
this process is only ever shown to people.
"""

import asyncio
import contextlib
import functools
import os
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
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


class Timer(Protocol):
    """A callback to come."""

    def cancel(self) -> None:
        """Let it not come; nothing where it has."""
        ...


class MachineClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(anyio.sleep)


class SystemClock:
    """The machine's clock, until a test puts another in its place.

    The default of every policy. They keep ``monotonic`` in their frames: a partial object, whose
    function can be changed, keeps that binding good and costs a reading 4 ns.
    """

    def __init__(self) -> None:
        self._clock: Clock = MACHINE_CLOCK
        self.monotonic = functools.partial(self._clock.monotonic)
        self.sleep = functools.partial(self._clock.sleep)

    def __reduce__(self) -> str:
        return "SYSTEM_CLOCK"  # a copied or unpickled policy keeps the one that can be replaced

    @property
    def call_later(self) -> "Callable[[float, Callable[[], object]], Timer] | None":
        """The timers of the clock in its place, where that has its own."""
        return getattr(self._clock, "call_later", None)

    @contextlib.contextmanager
    def replaced_by(self, clock: Clock) -> Iterator[None]:
        """Give ``clock`` to every policy that was made with the default one, within the block."""
        before = self._clock
        self._put(clock)
        try:
            yield
        finally:
            self._put(before)

    def _put(self, clock: Clock) -> None:
        self._clock = clock
        bound: tuple[tuple[Any, Callable[..., Any]], ...] = (
            (self.monotonic, clock.monotonic),
            (self.sleep, clock.sleep),
        )
        for reading, function in bound:
            reading.__setstate__((function, (), {}, None))


# For what waits on servers, files and processes: no test can make these go faster.
MACHINE_CLOCK: Clock = MachineClock()
SYSTEM_CLOCK = SystemClock()


def call_later(clock: Clock, seconds: float, callback: Callable[[], object]) -> Timer:
    """Call ``callback`` after ``seconds``: by the clock, where it has timers, else by the loop."""
    own: Callable[[float, Callable[[], object]], Timer] | None
    own = getattr(clock, "call_later", None)
    return (own or asyncio.get_running_loop().call_later)(seconds, callback)


class BackgroundTask:
    """One task that lives from ``start`` to ``stop``, which different tasks may call.

    For what is opened and closed by calls; where a block can own the task, a task group does.
    """

    def __init__(self, work: Coroutine[object, object, None], name: str) -> None:
        self._task = asyncio.create_task(work, name=name)

    async def stop(self) -> None:
        """Cancel the task and wait for its end; what it raised goes to the event loop's handler."""
        self._task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError as error:  # delivered after its end
                cancelled = error
        self._report()
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def _report(self) -> None:
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{self._task.get_name()} failed", "exception": error}
            )


def owned_task(work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
    """A task whose end its maker waits for: for a race, where a task group would end them all."""
    return asyncio.create_task(work, name=name)


def is_in_a_task() -> bool:
    """Whether this is a task's code, not that of a callback or of the collector."""
    return asyncio.current_task() is not None


def is_being_cancelled() -> bool:
    """Whether the current task has been told to end and is about to."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def unix_nanoseconds() -> int:
    """The wall-clock time as traces have it; shown to people, never compared."""
    return time.time_ns()


def utc_now() -> datetime:
    """The wall clock, in UTC, for what a person reads."""
    return datetime.now(UTC)


_last_id = 0
_id_lock = threading.Lock()
_ID_BYTES, _RANDOM_BYTES = 10, 640
_random = b""


def _draw_anew() -> None:
    """A forked child must not draw its parent's numbers, nor wait for a thread that it hasn't."""
    global _random, _id_lock
    _random, _id_lock = b"", threading.Lock()


os.register_at_fork(after_in_child=_draw_anew)


def uuid7() -> UUID:
    """A new UUIDv7 (RFC 9562): 48 bits of unix milliseconds, then 74 random bits.

    Ids made by one process grow strictly, also within a millisecond and across a clock that
    steps back, so that rows keep the order in which they were made.
    """
    global _last_id, _random
    with _id_lock:
        if len(_random) < _ID_BYTES:
            _random = os.urandom(_RANDOM_BYTES)  # a call for each would be a third of the price
        bits = int.from_bytes(_random[:_ID_BYTES]) >> 6
        _random = _random[_ID_BYTES:]
        fresh = (time.time_ns() // 1_000_000) << 74 | bits
        # A smaller draw within the same millisecond (or after a step back) continues the last id.
        _last_id = fresh if fresh > _last_id else _last_id + 1 + (bits & 0xFFFF_FFFF)
        return _uuid7_of(_last_id)


def uuid7s(count: int) -> Iterator[UUID]:
    """``count`` new UUIDv7 at the price of little more than one; see ``uuid7``.

    Those of one call follow on one another: only the first is hard to guess.
    """
    global _last_id
    fresh = (time.time_ns() // 1_000_000) << 74 | secrets.randbits(74)
    with _id_lock:
        # A smaller draw within the same millisecond (or after a step back) continues the last id.
        first = fresh if fresh > _last_id else _last_id + 1 + secrets.randbits(32)
        _last_id = first + count - 1
    return map(_uuid7_of, range(first, first + count))


def _uuid7_of(value: int) -> UUID:
    milliseconds, rand_a, rand_b = value >> 74, (value >> 62) & 0xFFF, value & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 7 << 76 | rand_a << 64 | 2 << 62 | rand_b)
