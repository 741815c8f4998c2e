"""The virtual clock of ``seawall.testing``, on an event loop that keeps real time, and its loop."""

import asyncio
import copy
import pickle
import time

import pytest

from seawall.bulkhead import Bulkhead
from seawall.circuitbreaker import CircuitBreaker, CircuitState
from seawall.clock import MACHINE_CLOCK, SYSTEM_CLOCK
from seawall.errors import AttemptTimeoutError, CircuitOpenError, InvalidConfigError
from seawall.fallback import LastGood, fallback
from seawall.ratelimiter import RateLimiter
from seawall.retry import retry
from seawall.testing import VirtualClock, VirtualTimeLoop, run
from seawall.timeout import timeout
from support.operations import Script

real_loop = pytest.mark.real_time


@pytest.fixture(autouse=True)
def takes_no_real_time():
    """Hours pass in these tests, and none of them takes one second."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 5


def started(work):
    return asyncio.get_running_loop().create_task(work)


@real_loop
async def test_virtual_clock_stands_still_until_advanced():
    clock = VirtualClock(start=50)
    assert [clock.monotonic(), clock.monotonic()] == [50, 50]
    clock.advance(2.5)
    assert clock.monotonic() == 52.5


@real_loop
async def test_virtual_clock_sleeper_goes_on_when_its_time_has_come():
    clock = VirtualClock()
    sleeper = started(clock.sleep(10))
    await clock.elapse(9.9)
    assert not sleeper.done()
    await clock.elapse(0.1)
    assert sleeper.done()
    assert clock.waits == [10]


@real_loop
async def test_virtual_clock_elapse_lets_each_moment_happen_in_order():
    """A task that waits again and again sees every moment, not only the last one."""
    clock, seen = VirtualClock(start=0), []

    async def tick(period):
        while True:
            await clock.sleep(period)
            seen.append((round(clock.monotonic(), 6), period))

    tasks = [started(tick(2)), started(tick(3))]
    await clock.elapse(6)
    assert seen == [(2, 2), (3, 3), (4, 2), (6, 3), (6, 2)]
    assert clock.monotonic() == 6
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@real_loop
async def test_virtual_clock_cancelled_sleeper_ends_at_once_and_is_forgotten():
    clock = VirtualClock()
    sleeper = started(clock.sleep(10))
    await asyncio.sleep(0)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    assert clock._next() is None


@real_loop
async def test_virtual_clock_sleep_of_nothing_gives_way_once():
    await asyncio.wait_for(VirtualClock().sleep(0), 1)


@pytest.mark.parametrize("seconds", [-1, "1", float("nan"), float("inf")])
def test_virtual_clock_advance_by_no_seconds_is_refused(seconds):
    with pytest.raises(InvalidConfigError, match="seconds="):
        VirtualClock().advance(seconds)


@real_loop
async def test_virtual_clock_moves_policies_made_before_it():
    """What was decorated with the default clock is bound to one that can be replaced."""
    breaker = CircuitBreaker("api", failure_threshold=1, timeout=300)
    guarded = breaker(Script(ConnectionError, "well"))
    with pytest.raises(ConnectionError):
        await guarded()
    real_break = breaker.snapshot().retry_after
    assert 290 < real_break <= 300
    with VirtualClock(start=SYSTEM_CLOCK.monotonic()) as clock:
        clock.advance(290)
        with pytest.raises(CircuitOpenError):
            await guarded()
        clock.advance(10)
        assert await guarded() == "well"
    assert breaker.state is CircuitState.CLOSED


@real_loop
async def test_virtual_clock_moves_the_waits_of_a_retry():
    operation = Script(ConnectionError, ConnectionError, "rows")
    fetch = retry(max_retries=2, initial_delay=100, jitter_range=0)(operation)
    with VirtualClock() as clock:
        call = started(fetch())
        await clock.elapse(299)
        assert operation.count == 2
        await clock.elapse(1)
        assert await call == "rows"
        assert clock.waits == [100, 200]


@real_loop
async def test_virtual_clock_moves_deadlines():
    operation = Script(ConnectionError)
    fetch = retry(max_retries=9, initial_delay=10, backoff_factor=1, jitter_range=0, deadline=25)
    with VirtualClock() as clock:
        call = started(fetch(operation)())
        await clock.elapse(1000)
        with pytest.raises(ConnectionError) as caught:
            await call
    assert operation.count == 3
    assert caught.value.__notes__[0].endswith("deadline")


@real_loop
async def test_virtual_clock_moves_a_rate_limiter():
    limiter = RateLimiter(limit=1, period=60, max_wait=120)
    with VirtualClock() as clock:
        await limiter.acquire_permission()
        waiting = started(limiter.acquire_permission())
        await clock.elapse(59)
        assert not waiting.done()
        await clock.elapse(1)
        assert waiting.done()


@real_loop
async def test_virtual_clock_moves_the_age_of_the_last_good_value():
    call = fallback(LastGood(3600), default="none")(Script("good", ConnectionError))
    with VirtualClock() as clock:
        await call()
        clock.advance(3600)
        assert await call() == "good"
        clock.advance(1)
        assert await call() == "none"


@real_loop
async def test_virtual_clock_given_to_one_policy_moves_no_other():
    clock = VirtualClock()
    one = CircuitBreaker("one", timeout=300, clock=clock)
    other = CircuitBreaker("other", timeout=300)
    for breaker in (one, other):
        breaker.follow(CircuitState.OPEN, 300, "test")
    clock.advance(300)
    assert (one.is_open(), other.is_open()) == (False, True)


def test_system_clock_is_the_machines_again_after_the_block():
    """Also where the block fails, and where blocks are nested."""
    with VirtualClock(start=1) as outer:
        with pytest.raises(KeyError), VirtualClock(start=2):
            assert SYSTEM_CLOCK.monotonic() == 2
            raise KeyError
        assert SYSTEM_CLOCK.monotonic() == outer.monotonic() == 1
    before = MACHINE_CLOCK.monotonic()
    assert before <= SYSTEM_CLOCK.monotonic() < before + 1
    assert SYSTEM_CLOCK.call_later is None


def test_virtual_clock_put_in_place_twice_stays_until_the_outer_block_ends():
    clock = VirtualClock(start=5)
    with clock:
        with clock:
            pass
        assert SYSTEM_CLOCK.monotonic() == 5
    assert SYSTEM_CLOCK._clock is MACHINE_CLOCK


def test_system_clock_copied_is_itself():
    """Else a copied policy would stay behind when a test replaces the clock."""
    assert copy.deepcopy(SYSTEM_CLOCK) is SYSTEM_CLOCK
    assert pickle.loads(pickle.dumps(SYSTEM_CLOCK)) is SYSTEM_CLOCK


def test_run_gives_the_result_and_takes_the_time_of_everything():
    """Timeouts, waits for slots and sleeps of other libraries too."""

    async def main():
        loop = asyncio.get_running_loop()
        began = SYSTEM_CLOCK.monotonic(), loop.time()
        with pytest.raises(AttemptTimeoutError):
            await timeout(1000)(Script("late", seconds=2000))()
        bulkhead = Bulkhead(max_concurrent_calls=1, max_waiting=1, max_wait=500)
        await asyncio.gather(*(bulkhead(Script("in turn", seconds=400))() for _ in range(2)))
        await retry(initial_delay=200, jitter_range=0)(Script(ConnectionError, "rows"))()
        return SYSTEM_CLOCK.monotonic() - began[0], loop.time() - began[1]

    policies, loop = run(main())
    assert policies == loop == pytest.approx(2000, abs=0.001)


def test_run_moves_a_rate_limiter_as_its_loop():
    async def main():
        limiter = RateLimiter(limit=2, period=60, max_wait=300)
        began = SYSTEM_CLOCK.monotonic()
        await asyncio.gather(*(limiter.acquire_permission() for _ in range(6)))
        return SYSTEM_CLOCK.monotonic() - began

    assert run(main()) == pytest.approx(120, abs=0.001)


async def test_virtual_loop_advanced_by_hand_runs_what_is_due():
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    sleeper = started(asyncio.sleep(10))
    await asyncio.sleep(0)
    loop.clock.advance(10)
    began = loop.time()
    await sleeper
    assert loop.time() - began < 0.001


async def test_virtual_loop_elapse_lets_timers_of_any_library_pass():
    loop, seen = asyncio.get_running_loop(), []
    loop.call_later(5, seen.append, "timer")
    await loop.clock.elapse(4)
    assert seen == []
    await loop.clock.elapse(2)
    assert seen == ["timer"]
