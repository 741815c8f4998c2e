"""Bulkhead: a number of slots, and a short queue for them in the order of arrival."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from seawall.bulkhead.limit import Limit
from seawall.classification import Classifier, ErrorType, default_classifier
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.compiled import compiled
from seawall.config import Range
from seawall.errors import BulkheadFullError, InvalidConfigError, RefusedError
from seawall.events import BulkheadRejected, EventBus, default_bus
from seawall.operation import AsyncOperation, as_coroutine_function, like

P = ParamSpec("P")
R = TypeVar("R")

# The moments at which blocks of this context were entered, innermost first.
_Entered = tuple[float, "_Entered | None"]
_entered: ContextVar["_Entered | None"] = ContextVar("seawall_entered_bulkheads", default=None)

_FIXED = """
async def guarded($params):
    if bulkhead.free > 0:
        bulkhead.free -= 1
    else:
        await wait()
    try:
        return await operation($passed)
    finally:
        if waiters:
            release()
        else:
            bulkhead.free += 1
"""

_ADAPTIVE = """
async def guarded($params):
    if bulkhead.free > 0:
        bulkhead.free -= 1
    else:
        await wait()
    started = monotonic()
    error = None
    try:
        return await operation($passed)
    except BaseException as raised:
        error = raised
        raise
    finally:
        try:
            learn(monotonic() - started, error)
        finally:
            del error
            release()
"""


@dataclass(frozen=True, slots=True)
class BulkheadSnapshot:
    """A bulkhead at one moment: calls allowed at once, under way, and waiting."""

    limit: int
    in_flight: int
    waiting: int


class Bulkhead:
    """At most ``max_concurrent_calls`` at once; some may wait for a slot, first come, first served.

    Used as ``@bulkhead``, ``async with bulkhead:`` or ``await bulkhead.call(function, …)``. May be
    shared between all tasks of one event loop.

    Args:
        name: for errors, events and people.
        max_concurrent_calls: slots; or give ``limit``.
        max_waiting: calls that may wait for a slot.
        max_wait: seconds that a call may wait; None: as long as it takes.
        limit: a rule that finds the number of slots by itself: ``AIMD()`` or ``Gradient()``.
        classifier: tells a failure of an overloaded service (TRANSIENT, SYSTEM) for the rule.
        clock: measures latencies for the rule.
        bus: takes ``BulkheadRejected``.

    Attributes:
        free: slots that nobody has; below 0 while a limit that shrank is still exceeded.

    Raises:
        InvalidConfigError: an option is out of range.
    """

    __slots__ = (
        "_bus", "_classifier", "_clock", "_limit", "_max_wait", "_max_waiting", "_slots",
        "_waiters", "free", "name",
    )  # fmt: skip

    def __init__(
        self,
        name: str = "bulkhead",
        *,
        max_concurrent_calls: int | None = None,
        max_waiting: int = 0,
        max_wait: float | None = None,
        limit: Limit | None = None,
        classifier: Classifier = default_classifier,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = default_bus,
    ) -> None:
        if (max_concurrent_calls is None) == (limit is None):
            raise InvalidConfigError(
                "Bulkhead(): must be given max_concurrent_calls, or a limit that finds it"
            )
        if max_concurrent_calls is not None:
            Range(int, 1).check("max_concurrent_calls", max_concurrent_calls)
        Range(int).check("max_waiting", max_waiting)
        if max_wait is not None:
            Range(float, low_open=True).check("max_wait", max_wait)
        self.name = name
        self._limit, self._max_waiting, self._max_wait = limit, max_waiting, max_wait
        self._classifier, self._clock, self._bus = classifier, clock, bus
        self._slots = max_concurrent_calls or (limit.current if limit is not None else 1)
        self.free = self._slots
        self._waiters: deque[asyncio.Future[bool]] = deque()

    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __call__(self, operation: Callable[..., Any], /) -> Callable[..., Any]:
        return like(operation, self.guard(as_coroutine_function(operation)))

    @overload
    async def call(
        self, operation: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def call(self, operation: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, operation: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``operation`` in a slot.

        Raises:
            BulkheadFullError: there was none, and no room or time to wait for one.
        """
        return await self.guard(as_coroutine_function(operation))(*args, **kwargs)

    async def __aenter__(self) -> Self:
        await self.acquire_permission()
        _entered.set((self._clock.monotonic(), _entered.get()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            entry = _entered.get()
            if entry is not None:
                _entered.set(entry[1])
                self._learn(self._clock.monotonic() - entry[0], error)
        finally:
            self.release_permission()  # whatever a rule of the user's does

    def guard(self, operation: AsyncOperation) -> AsyncOperation:
        """The coroutine function that calls ``operation`` in a slot."""
        return compiled(
            _FIXED if self._limit is None else _ADAPTIVE,
            operation,
            bulkhead=self,
            waiters=self._waiters,
            wait=self._wait,
            release=self.release_permission,
            learn=self._learn,
            monotonic=self._clock.monotonic,
        )

    async def acquire_permission(self) -> None:
        """Take a slot, to be given back by ``release_permission``.

        Raises:
            BulkheadFullError: there is none, and no room or time to wait for one.
        """
        if self.free > 0:
            self.free -= 1
        else:
            await self._wait()

    def release_permission(self) -> None:
        """Give a slot back: to who has waited longest, at once."""
        self.free += 1
        self._hand_over()

    def snapshot(self) -> BulkheadSnapshot:
        """The bulkhead as it is now, for people."""
        return BulkheadSnapshot(self._slots, self._slots - self.free, len(self._waiters))

    async def _wait(self) -> None:
        """Wait for a slot; those who come later wait behind."""
        if len(self._waiters) >= self._max_waiting:
            raise self._full()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(turn)
        timer = None
        if self._max_wait is not None:
            # The loop's time: a test that skips waits must not skip this one's patience.
            timer = loop.call_later(self._max_wait, self._give_up, turn)
        try:
            has_slot = await turn
        except BaseException:
            # Cancelled or closed. The slot may have been handed over in this very tick.
            if turn.done() and not turn.cancelled() and turn.result():
                self.release_permission()
            else:
                self._leave(turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if not has_slot:
            raise self._full()

    def _give_up(self, turn: "asyncio.Future[bool]") -> None:
        if not turn.done():
            self._leave(turn)
            turn.set_result(False)

    def _leave(self, turn: "asyncio.Future[bool]") -> None:
        if turn in self._waiters:
            self._waiters.remove(turn)

    def _hand_over(self) -> None:
        while self.free > 0 and self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                self.free -= 1
                turn.set_result(True)

    def _full(self) -> BulkheadFullError:
        if self._bus.listeners:
            self._bus.emit(BulkheadRejected(bulkhead=self.name))
        return BulkheadFullError(self.name)

    def _learn(self, latency: float, error: BaseException | None) -> None:
        """Let the rule learn from a call that ended; cancelled and refused ones say nothing."""
        limit = self._limit
        if limit is None:
            return
        dropped = False
        if error is not None:
            if not isinstance(error, Exception) or isinstance(error, RefusedError):
                return
            kind = self._classifier.classify(error)
            dropped = kind in (ErrorType.TRANSIENT, ErrorType.SYSTEM)
            if not dropped:
                return
        limit.sample(latency, self._slots - self.free, dropped=dropped)
        change = limit.current - self._slots
        if change:
            self._slots += change
            self.free += change
            self._hand_over()
