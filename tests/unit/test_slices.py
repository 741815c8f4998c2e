"""A worker's part in the fleet's tokens, over a store that is a dictionary."""

import asyncio

import pytest

from seawall.errors import RateLimitedError
from seawall.ratelimiter import RateLimiter
from seawall.retry import RetryBudget
from seawall.slices import FleetShares, TokenAnswer


class Store:
    """Grants up to ``tokens``, as ``holders`` workers share them; can be out of reach or slow."""

    def __init__(self, tokens=0.0, holders=1, wait=5.0):
        self.tokens, self.holders, self.wait = tokens, holders, wait
        self.is_down, self.seconds = False, 0.0
        self.requests, self.times = [], []

    async def exchange(self, worker_id, requests):
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.seconds)
        if self.is_down:
            raise ConnectionError("cut")
        self.requests += requests
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        if request.kind == "retry_budget":
            self.tokens = min(request.capacity, max(0, self.tokens + request.amount))
            granted = self.tokens / self.holders
        else:
            granted = float(int(min(max(0, request.amount), self.tokens)))
            self.tokens -= min(request.amount, granted)
        return TokenAnswer(
            kind=request.kind, name=request.name, part=request.part, granted=granted,
            left=self.tokens, holders=self.holders, wait=0.0 if self.tokens >= 1 else self.wait,
        )  # fmt: skip


@pytest.fixture
async def fleet(clock):
    """A function that makes the shares over a store, with parts; closed at the end."""
    opened = []

    async def make(store, *parts):
        shares = FleetShares(store, worker_id="one", clock=clock)
        shares.start()
        opened.append(shares)
        for part in parts:
            shares.attach(part)
        await asyncio.sleep(0.001)
        return shares

    yield make
    for shares in opened:
        await shares.aclose()


@pytest.fixture
def limiter(clock):
    return lambda **options: RateLimiter("api", clock=clock, **({"limit": 10} | options))


async def now():
    return asyncio.get_running_loop().time()


async def tried(limiter, number):
    """How many of so many calls at once go through."""
    ended = await asyncio.gather(
        *(limiter.call(now) for _ in range(number)), return_exceptions=True
    )
    assert all(isinstance(each, float | RateLimitedError) for each in ended)
    return sum(isinstance(each, float) for each in ended)


async def test_shared_limiter_spends_the_fleets_tokens_and_no_others(fleet, limiter):
    limited = limiter(limit=100)
    await fleet(Store(tokens=7), limited)
    assert await tried(limited, 30) == 7
    assert await tried(limited, 30) == 0


async def test_shared_limiter_call_within_what_it_holds_asks_for_nothing(fleet, limiter):
    """The call path has no exchange."""
    store, limited = Store(tokens=50), limiter(limit=100)
    await fleet(store, limited)
    exchanges = len(store.times)
    await limited.call(now)
    assert len(store.times) == exchanges == 1


async def test_shared_limiter_asks_no_more_often_than_the_fleet_has_tokens(fleet, limiter):
    """Calls refused by the thousand make one exchange a second."""
    store, limited = Store(wait=60.0), limiter(limit=1, period=60)
    await fleet(store, limited)
    for _ in range(1000):
        await tried(limited, 1)
        await asyncio.sleep(0.01)
    assert 5 <= len(store.times) <= 15


async def test_shared_limiter_waiters_get_the_slice_that_comes(fleet, limiter):
    store, limited = Store(wait=0.3), limiter(max_wait=60)
    await fleet(store, limited)
    start = await now()
    calls = [asyncio.ensure_future(limited.call(now)) for _ in range(4)]
    await asyncio.sleep(1)
    store.tokens = 4.0
    moments = await asyncio.gather(*calls)
    assert moments == sorted(moments)
    assert 1 <= max(moments) - start <= 1.5


async def test_shared_limiter_call_waits_no_longer_than_promised_for_a_store_that_hangs(
    fleet, limiter
):
    store, limited = Store(tokens=5), limiter(limit=2, max_wait=0.5)
    await fleet(store, limited)
    store.seconds = 3600.0
    start = await now()
    assert await tried(limited, 3) <= 2
    assert await now() - start == pytest.approx(0.5)


async def test_shared_limiter_idle_tokens_go_back(fleet, limiter):
    store, limited = Store(tokens=10), limiter()
    await fleet(store, limited)
    assert store.tokens == 9
    await asyncio.sleep(3)
    assert store.tokens == 10
    exchanges = len(store.times)
    await asyncio.sleep(60)
    assert len(store.times) == exchanges  # nothing to say
    assert await tried(limited, 1) == 1


async def test_shared_limiter_takes_more_ahead_where_it_spends_more(fleet, limiter):
    store, limited = Store(tokens=1e9), limiter(limit=1000, max_wait=1)
    await fleet(store, limited)
    for _ in range(300):
        await limited.call(now)
        await asyncio.sleep(0.001)
    exchanges = len(store.times)
    for _ in range(300):
        await limited.call(now)
        await asyncio.sleep(0.001)
    assert len(store.times) - exchanges <= 10


async def test_shared_limiter_asks_ahead_of_need(fleet, limiter):
    """Once it knows its pace no call waits for a store that takes its time."""
    store, limited = Store(tokens=1e9), limiter(limit=100, max_wait=1)
    await fleet(store, limited)
    store.seconds = 0.05
    for number in range(600):
        start = await now()
        await limited.call(now)
        assert number < 300 or await now() == start
        await asyncio.sleep(0.01)


async def test_shared_limiter_takes_no_more_than_its_share_of_the_burst(fleet, limiter):
    store, limited = Store(tokens=1e9, holders=5), limiter(limit=100, max_wait=60)
    await fleet(store, limited)
    await tried(limited, 500)
    assert max(each.amount for each in store.requests[2:]) <= 20


async def test_shared_limiter_without_the_store_goes_on_with_its_share_and_comes_back(
    fleet, limiter
):
    store, limited = Store(tokens=2, holders=4), limiter(limit=40)
    await fleet(store, limited)
    store.is_down = True
    await tried(limited, 10)
    await asyncio.sleep(3)
    passed = 0
    for _ in range(200):
        passed += await tried(limited, 1)
        await asyncio.sleep(0.01)
    assert 18 <= passed <= 30  # 2 s at 10 a second, and 10 at once
    store.is_down, store.tokens = False, 0.0
    await asyncio.sleep(5)
    assert await tried(limited, 10) == 0  # what it had alone is not the fleet's


async def test_shared_limiter_waiters_are_served_when_the_store_goes(fleet, limiter):
    store, limited = Store(wait=0.1), limiter(max_wait=60)
    await fleet(store, limited)
    calls = [asyncio.ensure_future(limited.call(now)) for _ in range(3)]
    await asyncio.sleep(0.01)
    store.is_down = True
    async with asyncio.timeout(10):
        await asyncio.gather(*calls)


async def test_shares_closed_give_back_what_is_left_and_say_so(fleet, limiter):
    store, limited = Store(tokens=10), limiter()
    shares = await fleet(store, limited)
    await shares.aclose()
    assert store.tokens == 10
    assert store.requests[-1].leaving
    await asyncio.sleep(1)
    assert await tried(limited, 20) == 10  # by time, as before it was shared


async def test_shares_closed_while_the_store_hangs_end_in_two_seconds(fleet, limiter):
    store = Store(tokens=10)
    shares = await fleet(store, limiter())
    store.seconds = 3600.0
    start = await now()
    await shares.aclose()
    assert await now() - start == pytest.approx(2)


async def test_shares_two_limiters_of_one_name_both_get_tokens(fleet, limiter):
    one, two = limiter(limit=100), limiter(limit=100)
    await fleet(Store(tokens=40), one, two)
    assert await tried(one, 10) == 10
    assert await tried(two, 10) == 10


async def test_shared_budget_holds_its_share_and_tells_what_it_spent(fleet):
    store, budget = Store(tokens=100.0, holders=4), RetryBudget("api", capacity=100)
    await fleet(store, budget)
    assert budget.tokens == 25
    for _ in range(5):
        assert budget.try_acquire()
    await asyncio.sleep(2)
    assert store.tokens == 95
    assert budget.tokens == pytest.approx(95 / 4)


async def test_shared_budget_without_the_store_goes_on_with_what_it_holds(fleet):
    store, budget = Store(tokens=8.0, holders=4), RetryBudget("api", capacity=8, ratio=1)
    await fleet(store, budget)
    store.is_down = True
    await asyncio.sleep(5)
    assert [budget.try_acquire() for _ in range(3)] == [True, True, False]
    budget.on_success()
    assert budget.try_acquire()
    store.is_down = False
    await asyncio.sleep(5)
    assert store.tokens == 6  # three spent, one given back
