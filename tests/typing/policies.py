"""The types that a user sees on every decorator form; read by mypy, run by nobody."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any, assert_type

from seawall.bulkhead import Bulkhead
from seawall.circuitbreaker import BreakerRegistry, BreakerSnapshot, CircuitBreaker, CircuitState
from seawall.classification import ErrorType
from seawall.fallback import LastGood, call_with_fallback, fallback
from seawall.hedge import hedge
from seawall.pipeline import Policy
from seawall.ratelimiter import RateLimiter
from seawall.retry import (
    CallRecord,
    RetryPolicy,
    RetryStrategy,
    call,
    record_calls,
    retry,
    retrying,
)
from seawall.testing import VirtualClock, faults, force, no_waits
from seawall.testing import run as virtual_run
from seawall.timeout import timeout

Load = Callable[[str, int], Coroutine[Any, Any, bytes]]


async def load(name: str, size: int) -> bytes:
    return name.encode() * size


def plain(name: str) -> int:
    return len(name)


class Client:
    async def __call__(self, key: str) -> float:
        return float(key)

    @retry
    async def bare(self, x: int) -> str:
        return str(x)

    @retry(max_retries=5, strategy=RetryStrategy.JITTER)
    async def with_options(self, x: int) -> str:
        return str(x)

    @retry(deadline=30)
    def plain_method(self, x: int) -> str:
        return str(x)


policy = RetryPolicy(max_retries=2, attempt_timeout=3)
breaker = CircuitBreaker("api", failure_threshold=3, ignored=(KeyError,))


@retry
async def bare_loaded(name: str, *, size: int = 1) -> bytes:
    return name.encode() * size


@breaker
async def guarded(name: str) -> bytes:
    return name.encode()


async def cached(name: str) -> None:
    return None


@fallback(cached)
async def with_fallback(name: str) -> bytes:
    return name.encode()


async def decorated() -> None:
    assert_type(await bare_loaded("a", size=2), bytes)
    await bare_loaded("a", size="2")  # type: ignore[arg-type]  # the signature is kept
    await bare_loaded()  # type: ignore[call-arg]  # the signature is kept
    assert_type(await guarded("a"), bytes)
    await guarded(1)  # type: ignore[arg-type]  # the signature is kept
    assert_type(await with_fallback("a"), bytes | None)
    client = Client()
    assert_type(await client.bare(1), str)
    assert_type(await client.with_options(1), str)
    assert_type(await client.plain_method(1), str)


async def wrapped() -> None:
    assert_type(await retry(load)("a", 1), bytes)
    assert_type(await retry(policy)(load)("a", 1), bytes)
    assert_type(await retry(max_retries=1)(load)("a", 1), bytes)
    assert_type(await retry(plain)("a"), int)
    assert_type(await retry(max_retries=1)(plain)("a"), int)
    assert_type(await retry(Client())("1"), float)
    assert_type(await retry(partial(load, "a"))(1), bytes)
    assert_type(await breaker(load)("a", 1), bytes)
    assert_type(await breaker(plain)("a"), int)
    assert_type(await Policy(retry=policy, breaker=breaker)(load)("a", 1), bytes)
    assert_type(await Policy(retry=policy)(plain)("a"), int)


async def called() -> None:
    assert_type(await call(policy, load, "a", 1), bytes)
    assert_type(await call(policy, plain, "a"), int)
    assert_type(await call(policy, lambda: load("a", 1)), bytes)
    assert_type(await breaker.call(load, "a", size=1), bytes)
    assert_type(await breaker.call(plain, "a"), int)
    assert_type(await Policy(breaker=breaker).call(load, "a", 1), bytes)
    await call(policy, load, "a")  # type: ignore[call-overload]  # an argument is missing
    assert_type(await call_with_fallback(load, cached, args=("a", 1)), bytes | None)
    async with breaker as entered:
        assert_type(entered, CircuitBreaker)
    async for attempt in retrying(max_retries=1):
        with attempt:
            assert_type(attempt.number, int)


def values() -> None:
    assert_type(breaker.state, CircuitState)
    assert_type(breaker.snapshot(), BreakerSnapshot)
    assert_type(BreakerRegistry().get("api", timeout=3), CircuitBreaker)
    retry(max_retry=3)  # type: ignore[call-overload]  # no such option
    RetryPolicy(max_retries="3")  # type: ignore[arg-type]  # a number
    CircuitBreaker("api", failure_treshold=3)  # type: ignore[call-arg]  # no such option


@retry(resume_from="after", attempt_timeout=5)
async def numbers(*, after: int | None = None) -> AsyncIterator[int]:
    yield 0 if after is None else after + 1


@retry
async def bare_numbers(first: int) -> AsyncGenerator[int, None]:
    yield first


async def generated() -> None:
    assert_type(numbers(after=1), AsyncGenerator[int, None])
    assert_type([n async for n in bare_numbers(1)], list[int])
    numbers(1)  # type: ignore[call-arg]  # the signature is kept


@timeout(5)
async def limited(name: str) -> bytes:
    return name.encode()


@hedge(0.5)
async def hedged(name: str) -> bytes:
    return name.encode()


@fallback(LastGood(60), default=0)
async def counted(name: str) -> int:
    return len(name)


async def guarded_otherwise() -> None:
    bulkhead = Bulkhead(max_concurrent_calls=5)
    limiter = RateLimiter(limit=5)
    assert_type(await limited("a"), bytes)
    assert_type(await hedged("a"), bytes)
    assert_type(await counted("a"), int)
    assert_type(await fallback(default=None)(load)("a", 1), bytes | None)
    assert_type(await fallback(cached, handle=ErrorType.TRANSIENT)(load)("a", 1), bytes | None)
    assert_type(await bulkhead(load)("a", 1), bytes)
    assert_type(await bulkhead.call(plain, "a"), int)
    assert_type(await limiter(load)("a", 1), bytes)
    assert_type(await limiter.call(load, "a", 1), bytes)
    assert_type(await timeout(3).call(load, "a", 1), bytes)
    assert_type(await hedge(1).call(load, "a", 1), bytes)
    await limited(1)  # type: ignore[arg-type]  # the signature is kept
    everything = Policy(
        fallback=cached, deadline=5, retry=policy, hedge=hedge(1), breaker=breaker,
        bulkhead=bulkhead, rate_limiter=limiter, timeout=None,
    )  # fmt: skip
    assert_type(await everything(load)("a", 1), bytes)
    async with bulkhead as slots, limiter as tokens:
        assert_type(slots, Bulkhead)
        assert_type(tokens, RateLimiter)
    with record_calls() as calls:
        assert_type(calls, list[CallRecord])
    async for attempt in retrying():
        async with attempt:
            assert_type(attempt.number, int)


async def tested() -> None:
    flaky = faults.inject(load, script="ok, ConnectionError", latency=(0.1, 0.2))
    assert_type(await flaky("a", 1), bytes)
    assert_type(flaky.faults.calls[0].error, str | None)
    await flaky("a")  # type: ignore[call-arg]  # the signature is kept
    assert_type(await retry(flaky)("a", 1), bytes)
    assert_type(faults.inject(plain, errors=[OSError], rate=0.5)("a"), int)
    with faults.inject(Client, "bare", errors=[OSError]) as injection:
        assert_type(injection.failed_count, int)
    with no_waits() as waits, VirtualClock() as clock, force(guarded, CircuitState.OPEN) as forced:
        assert_type((waits, clock, forced), tuple[list[float], VirtualClock, CircuitBreaker])
    call_with_fallback(load, LastGood(60), args=("a", 1))  # type: ignore[unused-coroutine]


def ran() -> None:
    assert_type(virtual_run(load("a", 1)), bytes)
