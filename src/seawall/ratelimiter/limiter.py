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
from seawall.slices import FleetShares, TokenAnswer, TokenRequest

P = ParamSpec("P")
R = TypeVar("R")

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
        "_bucket", "_bus", "_clock", "_fleet_wait", "_is_alone", "_max_wait", "_refused", "_share",
        "_shares", "_slice", "_timer", "_waiters", "burst", "limit", "name", "period",
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
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: Timer | None = None
        # In a fleet: tokens come in slices, sized by what this worker spends between two of them.
        self._shares: FleetShares | None = None
        self._slice: int = 1  # tokens to ask for at once
        self._share: int = 1  # workers that share the limit
        self._refused: int = 0  # calls refused since the last slice
        self._fleet_wait = 0.0  # seconds until the fleet has a token
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
            self._refused += 1
            if self._shares is not None:
                self._shares.needed()
            if self._bus.listeners:
                self._bus.emit(RateLimited(limiter=self.name, retry_after=seconds))
            raise RateLimitedError(self.name, seconds)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        self._arm(now)
        try:
            await turn
        except BaseException:
            # Cancelled or closed: its token, if it had one already, stays used up.
            if turn in self._waiters:
                self._waiters.remove(turn)
            raise

    def _seconds_until(self, now: float) -> float:
        """When a token will be there for one more waiter, as far as is known."""
        interval = self.period / self.limit
        if not self._is_alone:
            return self._fleet_wait + len(self._waiters) * interval * self._share
        return self._bucket.wait(now) + len(self._waiters) * self._bucket.interval

    def _arm(self, now: float) -> None:
        if self._shares is not None:
            self._shares.needed()
        # In a fleet the slice that comes serves who waits.
        if self._is_alone and self._timer is None:
            self._timer = call_later(self._clock, self._bucket.wait(now), self._serve)

    def _serve(self) -> None:
        """Give the tokens that are there to who has waited longest."""
        self._timer = None
        while self._waiters:
            now = self._clock.monotonic()
            if self._bucket.wait(now) > 0:
                self._arm(now)
                return
            turn = self._waiters.popleft()
            if not turn.done():
                self._bucket.take(now)
                turn.set_result(None)

    # -- in a fleet ----------------------------------------------------------------------------

    def share(self, shares: "FleetShares | None") -> None:
        """Take part in the fleet's tokens; None: go on alone."""
        now = self._clock.monotonic()
        self._shares = shares
        if shares is None:
            self.go_alone()
        else:
            self._is_alone = False
            self._bucket.hold(0, now)

    def request(self) -> TokenRequest | None:
        """As many tokens as this worker spends between two exchanges, and for who waits."""
        held = self._bucket.held(self._clock.monotonic())
        wanted = self._slice + len(self._waiters) + self._refused - held
        if self._is_alone:
            wanted = max(1, wanted)  # to be in the fleet again
        return self._asking(wanted) if wanted > 0 else None

    def take(self, answer: TokenAnswer) -> None:
        """Add a slice."""
        now = self._clock.monotonic()
        held = self._bucket.held(now)
        spent_all = held == 0 and (self._waiters or self._refused)
        largest = max(1, self.burst // (2 * answer.holders))
        # Twice as much where it was used up, a little less where it was not.
        self._slice = min(largest, 2 * self._slice) if spent_all else max(1, self._slice - 1)
        self._share, self._fleet_wait, self._refused = answer.holders, answer.wait, 0
        self._is_alone = False
        self._bucket.hold(held + int(answer.granted), now)
        self._serve()

    def give_back(self) -> TokenRequest | None:
        """The tokens that this worker holds."""
        held = self._bucket.held(self._clock.monotonic()) if self._shares is not None else 0
        return self._asking(-held) if held else None

    def go_alone(self) -> None:
        """Go on with this worker's share of the limit."""
        if self._is_alone:
            return
        self._is_alone = True
        burst = max(1, self.burst // self._share)
        interval = self._share * self.period / self.limit
        self._bucket.refill(interval, burst, self._clock.monotonic())
        if self._waiters:
            self._serve()

    def _asking(self, amount: int) -> TokenRequest:
        return TokenRequest(
            kind="rate_limiter",
            name=self.name,
            capacity=self.burst,
            per_second=self.limit / self.period,
            amount=amount,
        )
