"""In any stretch of time no more calls go through than were promised, and none waits in vain."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.errors import RateLimitedError
from seawall.ratelimiter import RateLimiter
from seawall.ratelimiter.bucket import Bucket
from support.virtual_time import LoopClock, run


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 20),
    st.sampled_from([0.5, 1.0, 60.0]),
    st.integers(1, 10),
    st.sampled_from([0.0, 0.3, 100.0]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.3, 2.0, 100.0]), st.booleans()), max_size=40),
)
def test_limiter_never_passes_its_limit(limit, period, burst, max_wait, arrivals):
    """Each arrival comes after a pause; some are cancelled while they may be waiting."""

    async def main():
        loop = asyncio.get_running_loop()
        limiter = RateLimiter(
            limit=limit, period=period, burst=burst, max_wait=max_wait, clock=LoopClock()
        )
        passed = []

        async def call():
            try:
                async with limiter:
                    passed.append(loop.time())
            except RateLimitedError as error:
                assert error.retry_after > max_wait

        tasks = []
        for pause, cancelled in arrivals:
            await asyncio.sleep(pause)
            tasks.append(asyncio.ensure_future(call()))
            if cancelled:
                await asyncio.sleep(0.005)
                tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for i, first in enumerate(passed):
            for j in range(i, len(passed)):
                allowed = burst + limit * (passed[j] - first) / period
                assert j - i + 1 <= allowed + limit / period * 1e-6

    run(main())


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([0.1, 1.0]),
    st.integers(1, 5),
    st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0, 10.0]), max_size=60),
)
def test_bucket_has_a_token_where_a_bucket_of_tokens_has_one(interval, burst, pauses):
    """The arithmetic on one moment against tokens that are counted."""
    bucket, tokens, now = Bucket(interval, burst), float(burst), 100.0
    for pause in pauses:
        now += pause
        tokens = min(burst, tokens + pause / interval)
        if tokens >= 1 - 1e-9:
            assert bucket.wait(now) <= 1e-9
            bucket.take(now)
            tokens -= 1
        else:
            assert abs(bucket.wait(now) - (1 - tokens) * interval) < 1e-6
