"""Tokens: so many in a time, first come, first served."""

import asyncio

import pytest

from seawall.errors import InvalidConfigError, RateLimitedError
from seawall.ratelimiter import RateLimiter
from seawall.testing import VirtualClock
from support.operations import RecordingBus


@pytest.fixture
def limiter(clock):
    def make(**options):
        return RateLimiter("api", clock=clock, **({"limit": 10} | options))

    return make


def as_decorator(limiter, operation):
    return limiter(operation)


def as_call(limiter, operation):
    return lambda *args: limiter.call(operation, *args)


def as_block(limiter, operation):
    async def block(*args):
        async with limiter:
            return await operation(*args)

    return block


EVERY_FORM = pytest.mark.parametrize("form", [as_decorator, as_call, as_block])


async def now():
    return asyncio.get_running_loop().time()


@EVERY_FORM
async def test_limiter_refuses_what_exceeds_the_burst_and_says_when(form, limiter):
    call = form(limiter(burst=3), now)
    for _ in range(3):
        await call()
    with pytest.raises(RateLimitedError, match="'api' refused the call; next token in") as refused:
        await call()
    assert refused.value.retry_after == pytest.approx(0.1)
    await asyncio.sleep(0.1)
    await call()


@EVERY_FORM
async def test_limiter_lets_calls_wait_for_their_token_in_order(form, limiter):
    call = form(limiter(burst=1, max_wait=60), now)
    start = await now()
    moments = await asyncio.gather(*(call() for _ in range(20)))
    assert [m - start for m in moments] == pytest.approx([n / 10 for n in range(20)], abs=0.01)


async def test_limiter_refuses_at_once_what_would_wait_too_long(limiter):
    limited = limiter(burst=1, max_wait=0.25)
    ended = await asyncio.gather(*(limited.call(now) for _ in range(6)), return_exceptions=True)
    assert [isinstance(each, RateLimitedError) for each in ended] == [False] * 3 + [True] * 3


async def test_limiter_unused_tokens_add_up_to_the_burst_only(limiter):
    limited = limiter(burst=4)
    await asyncio.sleep(3600)
    ended = await asyncio.gather(*(limited.call(now) for _ in range(8)), return_exceptions=True)
    assert [isinstance(each, RateLimitedError) for each in ended] == [False] * 4 + [True] * 4


async def test_limiter_cancelled_waiter_leaves_its_place_to_the_next(limiter):
    limited = limiter(limit=1, burst=1, max_wait=60)
    await limited.call(now)
    start = await now()
    tasks = [asyncio.ensure_future(limited.call(now)) for _ in range(3)]
    await asyncio.sleep(0.5)
    tasks[0].cancel()
    moments = await asyncio.gather(*tasks[1:])
    assert [m - start for m in moments] == pytest.approx([1, 2], abs=0.01)
    assert not limited._waiters


async def test_limiter_waiting_coroutine_closed_leaves_the_queue(limiter):
    limited = limiter(limit=1, max_wait=60)
    await limited.call(now)
    waiting = limited.call(now)
    waiting.send(None)
    waiting.close()
    assert not limited._waiters
    start = await now()
    assert await limited.call(now) - start == pytest.approx(1, abs=0.01)


async def test_limiter_waiter_cancelled_with_its_token_gives_it_back():
    """Between the token's arrival and the waiter's next turn: the next one has it, at once."""
    clock = VirtualClock()
    limited = RateLimiter("api", limit=1, burst=1, max_wait=60, clock=clock)
    await limited.call(now)
    first, second, third = (asyncio.ensure_future(limited.call(now)) for _ in range(3))
    await asyncio.sleep(0)
    clock.advance(1)
    asyncio.get_running_loop().call_soon(first.cancel)
    await asyncio.wait([second], timeout=1)
    assert first.cancelled()
    assert second.done()
    assert not third.done()
    clock.advance(1)
    await asyncio.wait([third], timeout=1)
    assert third.done()


def test_limiter_used_in_one_event_loop_after_another_serves_waiters(clock):
    """A loop that ended with calls waiting leaves nothing behind that the next one waits for."""
    limited = RateLimiter("api", limit=10, burst=1, max_wait=60)

    async def give_up():
        for _ in range(2):
            asyncio.ensure_future(limited.call(now))
        await asyncio.sleep(0)

    async def wait():
        async with asyncio.timeout(5):
            await limited.call(now)
            await limited.call(now)

    asyncio.run(give_up())
    asyncio.run(wait())


async def test_limiter_tells_of_refusals(clock):
    bus = RecordingBus()
    limited = RateLimiter("api", limit=1, clock=clock, bus=bus)
    await limited.call(now)
    with pytest.raises(RateLimitedError):
        await limited.call(now)
    assert [(e.limiter, round(e.retry_after, 3)) for e in bus.events] == [("api", 1.0)]


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"limit": 1.5}, {"period": 0}, {"burst": 0}, {"max_wait": -1}]
)
def test_limiter_option_out_of_range_is_refused(options):
    with pytest.raises(InvalidConfigError, match=next(iter(options))):
        RateLimiter("api", **({"limit": 1} | options))
