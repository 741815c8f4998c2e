"""``no_waits``: policies that wait for nothing, and say what they would have waited for."""

import asyncio
import time

import pytest

from seawall.circuitbreaker import CircuitBreaker
from seawall.errors import CircuitOpenError, RateLimitedError
from seawall.ratelimiter import RateLimiter
from seawall.retry import retry, retrying
from seawall.testing import no_waits
from support.operations import Script

pytestmark = pytest.mark.real_time


@pytest.fixture(autouse=True)
def takes_no_real_time():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 5


async def test_no_waits_retry_goes_on_at_once_and_its_waits_are_kept():
    fetch = retry(max_retries=3, initial_delay=60, jitter_range=0)(
        Script(ConnectionError, ConnectionError, ConnectionError, "rows")
    )
    with no_waits() as waits:
        assert await fetch() == "rows"
    assert waits == [60, 120, 240]


async def test_no_waits_loop_of_attempts_goes_on_at_once():
    numbers = []
    with no_waits() as waits:
        async for attempt in retrying(initial_delay=60, jitter_range=0):
            with attempt:
                numbers.append(attempt.number)
                if attempt.number < 3:
                    raise ConnectionError
    assert numbers == [1, 2, 3]
    assert waits == [60, 120]


async def test_no_waits_deadline_ends_a_call_as_it_would_have():
    operation = Script(ConnectionError)
    fetch = retry(max_retries=9, initial_delay=10, backoff_factor=1, jitter_range=0, deadline=35)
    with no_waits() as waits, pytest.raises(ConnectionError) as caught:
        await fetch(operation)()
    assert operation.count == 4
    assert waits == [10, 10, 10]
    assert caught.value.__notes__[0].endswith("deadline")


async def test_no_waits_break_of_a_breaker_passes_with_the_waits():
    breaker = CircuitBreaker("api", failure_threshold=1, timeout=60)
    operation = Script(ConnectionError, "well")
    guarded = breaker(operation)
    asked = retry(max_retries=3, initial_delay=25, backoff_factor=1, jitter_range=0,
                  retry_on=(ConnectionError, CircuitOpenError))(guarded)  # fmt: skip
    with no_waits() as waits:
        assert await asked() == "well"
    assert sum(waits) == pytest.approx(60, abs=1)
    assert operation.count == 2


async def test_no_waits_rate_limiter_lets_through_at_once():
    limiter = RateLimiter(limit=1, period=60, max_wait=200)
    with no_waits() as waits:
        for _ in range(3):
            await limiter.acquire_permission()
    assert waits == pytest.approx([60, 60], abs=1)
    limiter = RateLimiter(limit=1, period=60, max_wait=1)
    with no_waits():
        await limiter.acquire_permission()
        with pytest.raises(RateLimitedError):
            await limiter.acquire_permission()


async def test_no_waits_gives_way_to_other_tasks():
    seen = []

    async def other():
        seen.append("other")

    async def unlucky():
        seen.append("attempt")
        raise ConnectionError

    with no_waits():
        task = asyncio.get_running_loop().create_task(other())
        with pytest.raises(ConnectionError):
            await retry(max_retries=1, initial_delay=60)(unlucky)()
        await task
    assert seen == ["attempt", "other", "attempt"]


async def test_no_waits_cancellation_ends_the_call():
    with no_waits():
        fetch = retry(max_retries=10**9, initial_delay=60, max_delay=60)(Script(ConnectionError))
        call = asyncio.get_running_loop().create_task(fetch())
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_no_waits_ends_with_its_block():
    fetch = retry(max_retries=1, initial_delay=0.05, jitter_range=0)(Script(ConnectionError, "a"))
    with no_waits():
        pass
    began = time.monotonic()
    await fetch()
    assert time.monotonic() - began >= 0.045
