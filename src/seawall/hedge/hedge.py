"""``hedge``: where a call takes too long, another is started beside it, and the first answer wins.

Dean and Barroso, "The Tail at Scale" (CACM, 2013).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar, overload

import anyio

from seawall.clock import SYSTEM_CLOCK, Clock, owned_task
from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.events import EventBus, HedgeStarted, default_bus
from seawall.hedge.latency import Latencies
from seawall.operation import AsyncOperation, as_coroutine_function, like, name_of

P = ParamSpec("P")
R = TypeVar("R")


class Budget(Protocol):
    """What keeps hedges from doubling the load of a service that is slow for everybody."""

    def try_acquire(self) -> bool:
        """Take a token; False where none is left."""
        ...


class Hedge:
    """What ``hedge`` gives: a decorator, and ``call``. May be shared between tasks of one loop."""

    __slots__ = ("_budget", "_bus", "_clock", "_delay", "_latencies", "_max_hedges", "_quantile")

    def __init__(
        self,
        delay: float | None,
        quantile: float,
        max_hedges: int,
        budget: Budget | None,
        clock: Clock,
        bus: EventBus,
    ) -> None:
        if delay is not None:
            Range(float).check("delay", delay)
        Range(float, 0, 1, low_open=True).check("quantile", quantile)
        Range(int, 1).check("max_hedges", max_hedges)
        if budget is not None and not callable(getattr(budget, "try_acquire", None)):
            raise InvalidConfigError(f"budget={budget!r}: must be a RetryBudget")
        self._delay, self._quantile, self._max_hedges = delay, quantile, max_hedges
        self._budget, self._clock, self._bus = budget, clock, bus
        self._latencies = Latencies()

    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __call__(self, operation: Callable[..., Any], /) -> Callable[..., Any]:
        run = as_coroutine_function(operation)
        return like(operation, self.guard(run, name_of(operation)))

    @overload
    async def call(
        self, operation: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def call(self, operation: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, operation: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``operation``, hedged; its result, or the first attempt's exception."""
        run = as_coroutine_function(operation)
        return await self.guard(run, name_of(operation))(*args, **kwargs)

    def guard(self, operation: AsyncOperation, name: str) -> AsyncOperation:
        """The coroutine function that calls ``operation``, hedged."""

        async def hedged(*args: Any, **kwargs: Any) -> Any:
            return await self._race(name, lambda: self._timed(operation, args, kwargs))

        return hedged

    async def _timed(
        self, operation: AsyncOperation, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        started = self._clock.monotonic()
        result = await operation(*args, **kwargs)
        self._latencies.add(self._clock.monotonic() - started)
        return result

    async def _race(self, name: str, attempt: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        tasks = [owned_task(attempt(), name)]
        try:
            winner = await self._first(name, tasks, attempt)
        except GeneratorExit:
            # Closed: nothing can be awaited any more, the tasks end by themselves.
            _cancel(tasks)
            raise
        except BaseException:
            await _end(tasks)
            raise
        await _end(tasks)
        # Tasks hold what they raised, and what is raised here holds this frame: a ring, if kept.
        tasks.clear()
        try:
            return winner.result()
        finally:
            del winner

    async def _first(
        self,
        name: str,
        tasks: "list[asyncio.Task[Any]]",
        attempt: Callable[[], Coroutine[Any, Any, Any]],
    ) -> "asyncio.Task[Any]":
        """The first that succeeds, or, where none does, the first of all.

        More attempts are added to ``tasks`` while those there are slow.
        """
        while True:
            # Looked at first: an eager task may have ended before anybody could wait for it.
            for task in tasks:
                if task.done() and not task.cancelled() and task.exception() is None:
                    return task
            running = [task for task in tasks if not task.done()]
            if not running:
                return tasks[0]
            delay = self._wait(len(tasks))
            ended, _ = await asyncio.wait(
                running, timeout=delay, return_when=asyncio.FIRST_COMPLETED
            )
            if ended or delay is None:
                continue
            if not self._may_start():
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            else:
                tasks.append(owned_task(attempt(), name))
                self._tell(name, len(tasks), delay)

    def _tell(self, name: str, attempt: int, delay: float) -> None:
        if self._bus.listeners:
            self._bus.emit(HedgeStarted(operation=name, attempt=attempt, delay_seconds=delay))

    def _wait(self, started: int) -> float | None:
        """Seconds until one more attempt is started; None where none will be."""
        if started > self._max_hedges:
            return None
        return self._latencies.quantile(self._quantile) if self._delay is None else self._delay

    def _may_start(self) -> bool:
        return self._budget is None or self._budget.try_acquire()


def _cancel(tasks: "list[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
        task.add_done_callback(_look)


def _look(task: "asyncio.Task[Any]") -> None:
    """Look at what it raised: nobody else will, and asyncio complains of that."""
    if not task.cancelled():
        task.exception()


async def _end(tasks: "list[asyncio.Task[Any]]") -> None:
    """Cancel what still runs and see it end, even where the caller is cancelled meanwhile."""
    _cancel(tasks)
    cancelled: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        try:
            # Unshielded, an anyio scope would cancel this wait at every turn of the loop.
            with anyio.CancelScope(shield=True):
                await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            cancelled = error  # itself: who cancelled may know it by its message
    if cancelled is not None:
        try:
            raise cancelled
        finally:
            del cancelled


def hedge(
    delay: float | None = None,
    *,
    quantile: float = 0.95,
    max_hedges: int = 1,
    budget: Budget | None = None,
    clock: Clock = SYSTEM_CLOCK,
    bus: EventBus = default_bus,
) -> Hedge:
    """Start a call again beside itself where it takes too long; the first success wins.

    Only for operations that may run twice: reads, and writes with an idempotency key. Each attempt
    runs in a task of its own (context variables that it sets stay in there); the losers are
    cancelled. Where one attempt fails the others are waited for; where all do, the first one's
    exception is raised.

    Args:
        delay: seconds after which another attempt is started; None: the ``quantile`` of the last
            128 latencies, once 16 are known.
        quantile: share (above 0, to 1) of the calls that are quick enough.
        max_hedges: attempts beside the first.
        budget: a ``RetryBudget`` that each hedge takes a token of; none left, none is started.
        clock: measures latencies; the wait runs on the event loop's clock.
        bus: takes ``HedgeStarted``.

    Raises:
        InvalidConfigError: an option is out of range.
    """
    return Hedge(delay, quantile, max_hedges, budget, clock, bus)
