"""Rate limits and retry budgets of a whole fleet, spent without asking the database."""

import asyncio

import asyncpg

from integration.fleet.conftest import until
from seawall import RateLimitedError


async def spend(limiter, seconds):
    """Call as often as is allowed; how often that was."""
    loop = asyncio.get_running_loop()
    end, passed = loop.time() + seconds, 0
    while loop.time() < end:
        try:
            async with limiter:
                passed += 1
        except RateLimitedError as refused:
            await asyncio.sleep(min(0.005, refused.retry_after))
    return passed


async def test_limit_holds_for_the_fleet_and_is_used(workers):
    """Four workers, one limit of 200 a second: never passed, and none goes without."""
    limiters = [m.rate_limiter("api", limit=200, burst=20) for m in await workers(4)]
    loop = asyncio.get_running_loop()
    started = loop.time()
    passed = await asyncio.gather(*(spend(each, 2) for each in limiters))
    allowed = 20 + 200 * (loop.time() - started)
    assert sum(passed) <= allowed
    assert sum(passed) >= 0.3 * allowed  # most of it, on a machine that is not busy
    assert min(passed) >= 5


async def test_limit_waiters_are_served_by_the_slices_that_come(workers):
    one, two = (m.rate_limiter("api", limit=100, burst=10, max_wait=30) for m in await workers(2))
    loop = asyncio.get_running_loop()
    started, ended = loop.time(), []

    async def call(limiter):
        async with limiter:
            ended.append(loop.time() - started)

    await asyncio.gather(*(call(each) for each in (one, two) for _ in range(75)))
    assert len(ended) == 150
    assert max(ended) >= 1.3  # 150 calls, 10 at once and 100 a second


async def test_limit_of_one_idle_and_one_busy_worker_is_the_busy_ones(workers):
    busy, _ = (m.rate_limiter("api", limit=200, burst=20) for m in await workers(2))
    assert await spend(busy, 2) >= 120


async def test_limit_with_a_burst_of_one_is_kept_and_used_by_many(workers):
    """A token can't be split: it goes to who waits."""
    limiters = [m.rate_limiter("api", limit=20, burst=1, max_wait=30) for m in await workers(4)]
    loop = asyncio.get_running_loop()
    ended = []

    async def call(limiter):
        async with limiter:
            ended.append(loop.time())

    await asyncio.gather(*(call(each) for each in limiters for _ in range(10)))
    assert len(ended) == 40
    # The moments are those of the tokens' arrival here, some time after their grant.
    for first, nineteenth in zip(ended, ended[18:], strict=False):
        assert 19 <= 1 + 20 * (nineteenth - first + 0.5)


async def test_limit_of_a_burst_goes_to_the_busy_worker_when_the_others_are_idle(workers):
    """Idle workers hold nothing for long."""
    busy, *_ = (m.rate_limiter("api", limit=1, period=3600, burst=12) for m in await workers(6))
    await asyncio.sleep(2.5)
    assert await spend(busy, 3) >= 8


async def test_worker_that_leaves_gives_its_tokens_back(workers, database_dsn):
    (manager,) = await workers(1)
    limiter = manager.rate_limiter("api", limit=1, period=3600, burst=50)
    await until(lambda: limiter._bucket.held(asyncio.get_running_loop().time()) > 0)
    held = limiter._bucket.held(asyncio.get_running_loop().time())
    await manager.aclose()
    connection = await asyncpg.connect(database_dsn)
    try:
        assert await connection.fetchval("SELECT tokens FROM seawall.fleet_tokens") >= 50 - 0.1
    finally:
        await connection.close()
    assert held >= 1


async def test_store_out_of_reach_leaves_each_worker_its_share(workers, monkeypatch):
    """Two workers: half of the limit each."""
    managers = await workers(2)
    limiters = [m.rate_limiter("api", limit=100, burst=10) for m in managers]
    await asyncio.gather(*(spend(each, 0.5) for each in limiters))

    async def refuse(*_):
        raise ConnectionError("cut")

    for manager in managers:
        monkeypatch.setattr(manager._services._shares._store, "exchange", refuse)
    await until(lambda: all(each._is_alone for each in limiters))
    loop = asyncio.get_running_loop()
    started = loop.time()
    passed = await asyncio.gather(*(spend(each, 1) for each in limiters))
    assert all(10 <= each <= 5 + 50 * (loop.time() - started) + 1 for each in passed)
    monkeypatch.undo()
    await until(lambda: not any(each._is_alone for each in limiters))


async def test_retry_budget_is_shared(workers):
    """What one worker spends, the others have less of."""
    one, two = (m.retry_budget("api", capacity=100, ratio=1) for m in await workers(2))
    await until(lambda: one.tokens <= 50 and two.tokens <= 50)
    while one.try_acquire():
        pass
    await until(lambda: two.tokens <= 26)
    assert two.try_acquire()
    for _ in range(40):
        two.on_success()
    await until(lambda: one.tokens >= 25)
