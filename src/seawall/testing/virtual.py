"""Time that moves by command: a clock for policies, and an event loop whose timers take none."""

import asyncio
import functools
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Self, TypeVar

import anyio
import anyio.lowlevel

from seawall.clock import SYSTEM_CLOCK, Timer
from seawall.config import Range

T = TypeVar("T")

_SECONDS = Range(float)
_TURNS = 100  # of the event loop, for what falls due at one moment and what follows from it
_TICK = 1e-9  # past a timer, so that rounding never leaves it pending


class _Timer:
    """A callback to come; its loop runs it."""

    __slots__ = ("callback", "cancelled", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
        self.loop, self.callback, self.cancelled = loop, callback, False

    def cancel(self) -> None:
        self.cancelled = True

    def fire(self) -> None:
        if not self.cancelled and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        if not self.cancelled:
            self.callback()


class VirtualClock:
    """A clock that stands still until it is told to move.

    Given to a policy as its ``clock``, or put in the place of the system's for every policy that
    was given none, also for those made before::

        with VirtualClock() as clock:
            breaker.force_open()
            clock.advance(300)

    It moves the waits of retries, the breaks of breakers, the tokens of rate limiters, the age of
    last good values and what a deadline has left. Timeouts run on the event loop's clock: use
    ``run`` or ``VirtualTimeLoop`` where they take part. Belongs to one thread.

    Args:
        start: its first reading, seconds.

    Attributes:
        waits: the seconds of each wait asked of it, in order.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self.waits: list[float] = []
        self._now = float(start)
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = itertools.count()
        self._places: list[AbstractContextManager[None]] = []  # one a block that it is put in

    def __enter__(self) -> Self:
        place = SYSTEM_CLOCK.replaced_by(self)
        place.__enter__()
        self._places.append(place)
        return self

    def __exit__(self, *_: object) -> None:
        self._places.pop().__exit__(None, None, None)

    def monotonic(self) -> float:
        """The present moment, seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Be ``seconds`` later, at once; who waited for less goes on in the loop's next turn.

        Raises:
            InvalidConfigError: ``seconds`` is negative or no number.
        """
        _SECONDS.check("seconds", seconds)
        self._now += seconds
        while (moment := self._next()) is not None and moment <= self._now + _TICK:
            heapq.heappop(self._timers)[2].fire()

    async def elapse(self, seconds: float) -> None:
        """Let ``seconds`` pass as tasks see it: what falls due at one moment runs before the next.

        After each moment the tasks have 100 turns of the event loop. What waits for sockets,
        threads or the loop's own timers is not waited for.

        Raises:
            InvalidConfigError: ``seconds`` is negative or no number.
        """
        _SECONDS.check("seconds", seconds)
        if self._owns_loop():
            await anyio.sleep(seconds)
            return
        end = self._now + seconds
        await _turns()  # those who have not begun to wait yet do so now
        while (moment := self._next()) is not None and moment <= end + _TICK:
            self.advance(max(0.0, moment - self._now))
            await _turns()
        self.advance(max(0.0, end - self._now))
        await _turns()

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock is ``seconds`` later; ends at once on cancellation."""
        self.waits.append(seconds)
        if seconds <= 0 or self._owns_loop():
            await anyio.sleep(seconds)
            return
        over = asyncio.get_running_loop().create_future()
        timer = self._at(self._now + seconds, functools.partial(_settle, over))
        try:
            await over
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` when the clock is ``seconds`` later."""
        self.waits.append(seconds)
        if self._owns_loop():
            return asyncio.get_running_loop().call_later(seconds, callback)
        return self._at(self._now + seconds, callback)

    def _at(self, moment: float, callback: Callable[[], object]) -> _Timer:
        timer = _Timer(asyncio.get_running_loop(), callback)
        heapq.heappush(self._timers, (moment, next(self._numbers), timer))
        return timer

    def _next(self) -> float | None:
        """The moment of the first timer that is still wanted."""
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _owns_loop(self) -> bool:
        loop = asyncio.get_running_loop()
        return isinstance(loop, VirtualTimeLoop) and loop.clock is self


def _settle(over: "asyncio.Future[None]") -> None:
    if not over.done():
        over.set_result(None)


async def _turns() -> None:
    for _ in range(_TURNS):
        await anyio.lowlevel.checkpoint()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer as soon as nothing else is to be done.

    Sleeps and timeouts of any library take no real time, and happen in their order. Only for code
    that waits on timers; where threads, sockets or processes take part, use the real loop.

    Args:
        clock: the clock that it reads and moves; None: one of its own.

    Attributes:
        clock: that clock.
    """

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = VirtualClock() if clock is None else clock
        super().__init__(_JumpingSelector(self.clock))

    def time(self) -> float:
        """The clock's reading."""
        return self.clock.monotonic()


class _JumpingSelector(selectors.DefaultSelector):
    """Waits by moving the clock, where nothing but time is waited for."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self._clock.advance(timeout + _TICK)
        return ready


class LoopClock:
    """A clock that reads whichever event loop runs: for policies tested on a virtual-time loop."""

    def monotonic(self) -> float:
        """The running loop's time, seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait; ends at once on cancellation."""
        await anyio.sleep(seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of its own, with virtual time for it and for every policy.

    Returns:
        its result.
    """
    clock = VirtualClock()
    with clock, asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock)) as runner:
        return runner.run(main)
