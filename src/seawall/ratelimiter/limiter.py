"""RateLimiter: a token bucket, and a queue for its tokens in the order of arrival."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from seawall.clock import SYSTEM_CLOCK, Clock, Timer, call_later
from seawall.compiled import compiled
from seawall.config import Range
from seawall.errors import RateLimitedError
from seawall.events import EventBus, RateLimited, default_bus
from seawall.operation import AsyncOperation, as_coroutine_function, like
from seawall.ratelimiter.bucket import Bucket
from seawall.ratelimiter.demand import Demand
from seawall.slices import FleetShares, TokenAnswer, TokenRequest

P = ParamSpec("P")
R = TypeVar("R")

_SLICE_SECONDS = 0.25  # what a call waits for a slice that the fleet has tokens for

_GUARDED = """
async def guarded($params):
    now = monotonic()
    full_at = bucket.full_at
    if waiters or now < full_at - bucket.slack:
        await wait()
    else:
        bucket.full_at = (full_at if full_at > now else now) + bucket.interval
    return await operation($passed)
"""


class RateLimiter:
    """At most ``limit`` calls in ``period`` seconds, and ``burst`` of them at once.

    In any stretch of T seconds no more than ``burst + limit * T / period`` calls go through. Calls
    wait for their token in the order of arrival, where it comes within ``max_wait``; the others are
    refused at once. Used as ``@limiter``, ``async with limiter:`` or ``await
    limiter.call(function, …)``. May be shared between all tasks of one event loop.

    A manager's limiter is the whole fleet's: it spends tokens that were had from the database ahead
    of need. Where they ran out and the fleet has more, a call waits for them, for 0.25 s if
    ``max_wait`` is less.

    Args:
        name: for errors, events and people.
        limit: calls in a period.
        period: seconds.
        burst: calls that may come at once; ``limit`` without it.
        max_wait: seconds that a call may wait for its token.
        clock: measures the time.
        bus: takes ``RateLimited``.

    Raises:
        InvalidConfigError: an option is out of range.
    """

    __slots__ = (
        "_bucket", "_bus", "_clock", "_demand", "_is_alone", "_max_wait", "_shares", "_timer",
        "_waiters", "burst", "limit", "name", "period",
    )  # fmt: skip

    def __init__(
        self,
        name: str = "rate limiter",
        *,
        limit: int,
        period: float = 1.0,
        burst: int | None = None,
        max_wait: float = 0.0,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = default_bus,
    ) -> None:
        Range(int, 1).check("limit", limit)
        Range(float, low_open=True).check("period", period)
        if burst is not None:
            Range(int, 1).check("burst", burst)
        Range(float).check("max_wait", max_wait)
        self.name, self.limit, self.period, self.burst = name, limit, period, burst or limit
        self._max_wait, self._clock, self._bus = max_wait, clock, bus
        self._bucket = Bucket(period / limit, self.burst)
        self._waiters: deque[asyncio.Future[bool]] = deque()
        self._timer: Timer | None = None
        # In a fleet tokens come in slices; out of it, or of the store's reach, by time.
        self._shares: FleetShares | None = None
        self._demand = Demand(self.burst, period / limit, 0.0)
        self._is_alone = True

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
        """Call ``operation`` when a token is there.

        Raises:
            RateLimitedError: none comes within ``max_wait``; says when.
        """
        run = as_coroutine_function(operation)
        await self.acquire_permission()
        return await run(*args, **kwargs)

    async def __aenter__(self) -> Self:
        await self.acquire_permission()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing: a token that was taken is used up."""

    def guard(self, operation: AsyncOperation) -> AsyncOperation:
        """The coroutine function that calls ``operation`` when a token is there."""
        return compiled(
            _GUARDED,
            operation,
            monotonic=self._clock.monotonic,
            bucket=self._bucket,
            waiters=self._waiters,
            wait=self._wait,
        )

    async def acquire_permission(self) -> None:
        """Take a token, waiting for it where it comes in time.

        Raises:
            RateLimitedError: none comes within ``max_wait``; says when.
        """
        now = self._clock.monotonic()
        if self._waiters or self._bucket.wait(now) > 0:
            await self._wait()
        else:
            self._bucket.take(now)

    async def _wait(self) -> None:
        """Wait for a token behind those who came before."""
        now = self._clock.monotonic()
        seconds = self._seconds_until(now)
        if seconds > self._max_wait:
            self._demand.refused += 1
            self._ask(now)
            raise self._refusal(seconds)
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(turn)
        self._arm(now)
        patience = None
        if self._shares is not None:  # the slice that should come may not
            seconds = max(self._max_wait, _SLICE_SECONDS)
            patience = loop.call_later(seconds, self._give_up, turn)
        try:
            has_token = await turn
        except BaseException:
            # Cancelled or closed. The token may have come in this very tick.
            if turn.done() and not turn.cancelled() and turn.result():
                self._bucket.put_back()
                self._serve()
            else:
                self._leave(turn)
            raise
        finally:
            if patience is not None:
                patience.cancel()
        if not has_token:
            raise self._refusal(self._seconds_until(self._clock.monotonic()))

    def _seconds_until(self, now: float) -> float:
        """When a token will be there for one more waiter, as far as is known."""
        if not self._is_alone:
            return self._demand.wait(len(self._waiters), now)
        return self._bucket.wait(now) + len(self._waiters) * self._bucket.interval

    def _refusal(self, seconds: float) -> RateLimitedError:
        if self._bus.listeners:
            self._bus.emit(RateLimited(limiter=self.name, retry_after=seconds))
        return RateLimitedError(self.name, seconds)

    def _give_up(self, turn: "asyncio.Future[bool]") -> None:
        if not turn.done():
            self._leave(turn)
            turn.set_result(False)

    def _leave(self, turn: "asyncio.Future[bool]") -> None:
        if turn in self._waiters:
            self._waiters.remove(turn)
        if not self._waiters:
            self._disarm()  # a timer of this event loop must not outlive who needs it

    def _arm(self, now: float) -> None:
        if self._timer is not None:
            return
        if self._is_alone:
            self._timer = call_later(self._clock, self._bucket.wait(now), self._serve)
        elif now < self._demand.asks_at:
            self._timer = call_later(self._clock, self._demand.asks_at - now, self._serve)
        else:
            self._ask(now)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _serve(self) -> None:
        """Give the tokens that are there to who has waited longest."""
        self._disarm()
        while self._waiters:
            now = self._clock.monotonic()
            if self._bucket.wait(now) > 0:
                self._arm(now)
                return
            turn = self._waiters.popleft()
            if not turn.done():
                self._bucket.take(now)
                turn.set_result(True)

    # -- in a fleet ----------------------------------------------------------------------------

    def share(self, shares: FleetShares | None) -> None:
        """Take part in the fleet's tokens; None: go on alone, with this worker's last share."""
        now = self._clock.monotonic()
        self._shares = shares
        if shares is None:
            self.go_alone()
        else:
            self._is_alone = False
            self._demand = Demand(self.burst, self.period / self.limit, now)
            self._bucket.hold(0, now)
            self._serve()

    def request(self) -> TokenRequest | None:
        """As many tokens as this worker spends between two exchanges, and for who waits."""
        now = self._clock.monotonic()
        # Alone it spends tokens of its own, which it loses when it is in the fleet again.
        held = 0 if self._is_alone else self._bucket.held(now)
        amount = self._demand.wanted(held, len(self._waiters), now)
        if amount < 0:
            held = 0
            self._bucket.hold(0, now)
        # Alone it asks for nothing too: to be in the fleet again.
        return self._asking(amount, held) if amount or self._is_alone else None

    def take(self, answer: TokenAnswer) -> None:
        """Add a slice."""
        now = self._clock.monotonic()
        held = int(answer.granted) + (0 if self._is_alone else self._bucket.held(now))
        self._demand.answered(held, answer, now)
        self._is_alone = False
        self._bucket.hold(held, now)
        self._serve()

    def give_back(self) -> TokenRequest | None:
        """The tokens that this worker holds."""
        now = self._clock.monotonic()
        held = 0 if self._is_alone else self._bucket.held(now)
        if not self._is_alone:
            self._bucket.hold(0, now)
        return self._asking(-held, 0, leaving=True)

    def go_alone(self) -> None:
        """Go on with this worker's share of the limit."""
        if self._is_alone:
            return
        self._is_alone = True
        holders = self._demand.holders
        interval = holders * self.period / self.limit
        self._bucket.refill(interval, max(1, self.burst // holders), self._clock.monotonic())
        self._serve()

    def _ask(self, now: float) -> None:
        if self._shares is not None and now >= self._demand.asks_at:
            self._shares.needed()

    def _asking(self, amount: int, held: int, *, leaving: bool = False) -> TokenRequest:
        return TokenRequest(
            kind="rate_limiter",
            name=self.name,
            capacity=self.burst,
            per_second=self.limit / self.period,
            amount=amount,
            held=held,
            waiting=len(self._waiters),
            leaving=leaving,
        )
