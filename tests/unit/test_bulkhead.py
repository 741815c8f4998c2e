"""Slots and the queue for them: fair, bounded, and never a slot lost."""

import asyncio

import anyio
import pytest

from seawall.bulkhead import AIMD, Bulkhead, Gradient
from seawall.errors import BulkheadFullError, InvalidConfigError, RefusedError
from seawall.testing import no_waits
from support.operations import RecordingBus


def as_decorator(bulkhead, operation):
    return bulkhead(operation)


def as_call(bulkhead, operation):
    return lambda *args: bulkhead.call(operation, *args)


def as_block(bulkhead, operation):
    async def block(*args):
        async with bulkhead:
            return await operation(*args)

    return block


def as_permission(bulkhead, operation):
    async def by_hand(*args):
        await bulkhead.acquire_permission()
        try:
            return await operation(*args)
        finally:
            bulkhead.release_permission()

    return by_hand


EVERY_FORM = pytest.mark.parametrize("form", [as_decorator, as_call, as_block, as_permission])


async def sleeper(seconds=1):
    await asyncio.sleep(seconds)
    return seconds


def empty(bulkhead):
    seen = bulkhead.snapshot()
    return (seen.in_flight, seen.waiting) == (0, 0)


@EVERY_FORM
async def test_bulkhead_lets_so_many_in_and_refuses_the_next(form):
    bulkhead = Bulkhead("api", max_concurrent_calls=2)
    call = form(bulkhead, sleeper)
    calls = [asyncio.ensure_future(call()) for _ in range(2)]
    await asyncio.sleep(0.5)
    with pytest.raises(BulkheadFullError, match="'api' is full"):
        await call()
    assert await asyncio.gather(*calls) == [1, 1]
    assert await call() == 1
    assert empty(bulkhead)


@EVERY_FORM
async def test_bulkhead_waiters_go_in_the_order_of_arrival(form):
    bulkhead, order = Bulkhead(max_concurrent_calls=1, max_waiting=10), []

    async def noted(n):
        order.append(n)
        await asyncio.sleep(1)

    call = form(bulkhead, noted)
    tasks = [asyncio.ensure_future(call(n)) for n in range(8)]
    await asyncio.sleep(0.5)
    assert bulkhead.snapshot().waiting == 7
    await asyncio.gather(*tasks)
    assert order == list(range(8))


async def test_bulkhead_newcomer_does_not_overtake_a_waiter():
    """In the very tick in which a slot comes free it belongs to who waits."""
    bulkhead, order = Bulkhead(max_concurrent_calls=1, max_waiting=10), []

    async def noted(name):
        order.append(name)

    await bulkhead.acquire_permission()
    waiter = asyncio.ensure_future(bulkhead.call(noted, "waiter"))
    await asyncio.sleep(0)
    bulkhead.release_permission()
    await bulkhead.call(noted, "newcomer")
    await waiter
    assert order == ["waiter", "newcomer"]


async def test_bulkhead_queue_is_bounded():
    bulkhead = Bulkhead(max_concurrent_calls=1, max_waiting=2)
    tasks = [asyncio.ensure_future(bulkhead.call(sleeper)) for _ in range(5)]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in ended].count(BulkheadFullError) == 2
    assert empty(bulkhead)


async def test_bulkhead_waits_no_longer_than_max_wait():
    bulkhead = Bulkhead(max_concurrent_calls=1, max_waiting=2, max_wait=3)
    long = asyncio.ensure_future(bulkhead.call(sleeper, 10))
    await asyncio.sleep(0)
    started = asyncio.get_running_loop().time()
    with pytest.raises(BulkheadFullError):
        await bulkhead.call(sleeper)
    assert asyncio.get_running_loop().time() - started == pytest.approx(3, abs=0.01)
    await long
    assert empty(bulkhead)


@pytest.mark.parametrize("end", ["task", "scope"])
async def test_bulkhead_waiter_cancelled_at_the_hand_over_loses_no_slot(end):
    """Trap 33: cancelled before, in, or after the tick of the hand-over."""
    for moment in range(4):
        bulkhead = Bulkhead(max_concurrent_calls=1, max_waiting=5)
        await bulkhead.acquire_permission()
        scope = anyio.CancelScope()

        async def waiting(bulkhead=bulkhead, scope=scope):
            with scope:
                await bulkhead.call(sleeper)

        task = asyncio.ensure_future(waiting())
        await asyncio.sleep(0)
        other = asyncio.ensure_future(bulkhead.call(sleeper))
        await asyncio.sleep(0)
        steps = [bulkhead.release_permission, scope.cancel if end == "scope" else task.cancel]
        if moment % 2:
            steps.reverse()
        for step in steps:
            step()
            if moment >= 2:
                await asyncio.sleep(0)
        await asyncio.wait([task])
        assert await other == 1
        assert empty(bulkhead)
        assert await bulkhead.call(sleeper) == 1


async def test_bulkhead_waiting_coroutine_closed_leaves_the_queue():
    """GeneratorExit while it waits, and when it has just been handed a slot."""
    for handed in (False, True):
        bulkhead = Bulkhead(max_concurrent_calls=1, max_waiting=5)
        await bulkhead.acquire_permission()
        waiting = bulkhead.call(sleeper)
        waiting.send(None)
        if handed:
            bulkhead.release_permission()
        waiting.close()
        if not handed:
            bulkhead.release_permission()
        assert empty(bulkhead)


@EVERY_FORM
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
async def test_bulkhead_failed_call_gives_its_slot_back(form, error):
    bulkhead = Bulkhead(max_concurrent_calls=1)

    async def fail():
        raise error

    with pytest.raises(error):
        await form(bulkhead, fail)()
    assert empty(bulkhead)


async def test_bulkhead_cancelled_call_gives_its_slot_back():
    bulkhead = Bulkhead(max_concurrent_calls=1)
    task = asyncio.ensure_future(bulkhead.call(sleeper, 60))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])
    assert empty(bulkhead)


async def test_bulkhead_refusal_is_typed_and_told():
    bus = RecordingBus()
    bulkhead = Bulkhead("api", max_concurrent_calls=1, bus=bus)
    await bulkhead.acquire_permission()
    with pytest.raises(RefusedError) as refused:
        await bulkhead.call(sleeper)
    assert (refused.value.bulkhead, refused.value.retry_after) == ("api", None)
    assert bus.names == ["BulkheadRejected"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "max_concurrent_calls, or a limit"),
        ({"max_concurrent_calls": 1, "limit": AIMD()}, "or a limit"),
        ({"max_concurrent_calls": 0}, "max_concurrent_calls=0: must be a whole number, 1 or more"),
        ({"max_concurrent_calls": 1, "max_waiting": -1}, "max_waiting=-1"),
        ({"max_concurrent_calls": 1, "max_wait": 0}, "max_wait=0"),
    ],
)
def test_bulkhead_with_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(InvalidConfigError, match=message):
        Bulkhead(**options)


@pytest.mark.parametrize("rule", [AIMD, Gradient])
@pytest.mark.parametrize(
    "options", [{"initial_limit": 0}, {"min_limit": 30}, {"max_limit": 5}, {"max_limit": 1.5}]
)
def test_limit_out_of_range_is_refused(rule, options):
    with pytest.raises(InvalidConfigError, match="limit="):
        rule(**options)


async def overloaded(bulkhead, capacity, seconds):
    """A service that answers in 0.1 s up to its capacity, and slower in proportion above it."""
    running = 0

    @bulkhead
    async def service():
        nonlocal running
        running += 1
        try:
            await asyncio.sleep(0.1 * max(1, running / capacity))
        finally:
            running -= 1

    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def caller():
        while loop.time() < end:
            try:
                await service()
            except BulkheadFullError:
                await asyncio.sleep(0.05)

    await asyncio.gather(*(caller() for _ in range(100)))


@pytest.mark.parametrize("rule", [AIMD(timeout=0.15), Gradient()])
async def test_adaptive_limit_finds_what_the_service_can_take(rule, clock):
    """From 20 down to about 10, and not to the floor."""
    bulkhead = Bulkhead(limit=rule, clock=clock)
    await overloaded(bulkhead, capacity=10, seconds=60)
    assert 6 <= bulkhead.snapshot().limit <= 22
    assert empty(bulkhead)


async def test_adaptive_limit_grows_while_the_service_is_well(clock):
    bulkhead = Bulkhead(limit=AIMD(initial_limit=5, max_limit=60, timeout=1), clock=clock)
    await overloaded(bulkhead, capacity=1000, seconds=20)
    assert bulkhead.snapshot().limit == 60


async def test_adaptive_limit_shrinks_after_failures_of_an_overloaded_service(clock):
    bulkhead = Bulkhead(limit=AIMD(initial_limit=20), clock=clock)

    async def fail(error):
        raise error

    for error in (ConnectionError, ValueError, asyncio.CancelledError):
        with pytest.raises(error):
            await bulkhead.call(fail, error)
    assert bulkhead.snapshot().limit == 18  # bad data and a cancellation say nothing of the load
    async with bulkhead:
        await asyncio.sleep(1)
    assert empty(bulkhead)


async def test_adaptive_limit_that_shrinks_below_the_calls_under_way_admits_none(clock):
    limit = AIMD(initial_limit=4, min_limit=1, backoff_ratio=0.25)
    bulkhead = Bulkhead(limit=limit, clock=clock)
    others = [asyncio.ensure_future(bulkhead.call(sleeper, 5)) for _ in range(3)]
    await asyncio.sleep(0)

    async def fail():
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await bulkhead.call(fail)
    assert bulkhead.snapshot() == type(bulkhead.snapshot())(limit=1, in_flight=3, waiting=0)
    with pytest.raises(BulkheadFullError):
        await bulkhead.call(sleeper)
    await asyncio.gather(*others)
    assert empty(bulkhead)


class BrokenLimit:
    """A rule of the user's with a fault."""

    current = 1

    def sample(self, latency, in_flight, *, dropped):
        raise ZeroDivisionError


@pytest.mark.parametrize("form", [as_decorator, as_call, as_block])
async def test_bulkhead_rule_that_raises_loses_no_slot(form, clock):
    bulkhead = Bulkhead(limit=BrokenLimit(), clock=clock)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await form(bulkhead, sleeper)()
    assert empty(bulkhead)


async def test_bulkhead_wait_for_a_slot_is_not_skipped_with_the_waits_of_a_test():
    """It is a limit of patience, which would otherwise be at its end at once."""
    bulkhead = Bulkhead(max_concurrent_calls=1, max_waiting=1, max_wait=30)
    with no_waits():
        ended = await asyncio.gather(*(bulkhead.call(sleeper, 1) for _ in range(2)))
    assert ended == [1, 1]
