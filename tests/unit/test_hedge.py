"""A second attempt beside a slow one: the first success wins, nothing is left over."""

import asyncio
import contextvars
import gc
import sys
import weakref

import anyio
import pytest

from seawall.errors import InvalidConfigError
from seawall.hedge import hedge
from seawall.retry.budget import RetryBudget
from support.operations import RecordingBus


class Service:
    """Each call takes the next of ``script``: seconds, or an error after seconds."""

    def __init__(self, *script):
        self.script, self.calls, self.cancelled = script, 0, 0

    async def __call__(self):
        n, self.calls = self.calls, self.calls + 1
        step = self.script[min(n, len(self.script) - 1)]
        seconds, error = step if isinstance(step, tuple) else (step, None)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if error is not None:
            raise error
        return n


async def took(awaitable):
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        result = await awaitable
    except Exception as error:
        result = error
    return result, pytest.approx(loop.time() - start, abs=0.01)


async def test_hedge_quick_call_has_no_second_attempt():
    service = Service(1)
    assert await took(hedge(2).call(service)) == (0, 1)
    assert service.calls == 1


async def test_hedge_slow_call_is_overtaken_and_cancelled():
    service = Service(60, 1)
    assert await took(hedge(2).call(service)) == (1, 3)
    assert (service.calls, service.cancelled) == (2, 1)


async def test_hedge_first_attempt_may_still_win():
    service = Service(3, 60)
    assert await took(hedge(2).call(service)) == (0, 3)
    assert service.cancelled == 1


async def test_hedge_failure_waits_for_the_other():
    service = Service((5, ValueError()), 10)
    assert await took(hedge(2).call(service)) == (1, 12)


async def test_hedge_all_failed_raises_the_first_ones():
    service = Service((5, ValueError("first")), (1, KeyError("second")))
    result, seconds = await took(hedge(2).call(service))
    assert isinstance(result, ValueError)
    assert seconds == 5


async def test_hedge_early_failure_is_no_reason_for_a_second_attempt():
    service = Service((1, ValueError()))
    result, _ = await took(hedge(2).call(service))
    assert isinstance(result, ValueError)
    assert service.calls == 1


async def test_hedge_starts_no_more_than_max_hedges():
    service = Service(60)
    await took(hedge(2, max_hedges=3).call(service))
    assert service.calls == 4


async def test_hedge_takes_its_tokens_from_the_budget():
    budget = RetryBudget("api", capacity=1)
    service = Service(10)
    hedged = hedge(2, budget=budget)(service)
    assert await took(hedged()) == (0, 10)
    assert await took(hedged()) == (2, 10)
    assert service.calls == 3


async def test_hedge_delay_is_the_quantile_of_the_latencies(clock):
    service = Service(*[1] * 15, 3, 60, 0)
    hedged = hedge(quantile=0.9, clock=clock)(service)
    for _ in range(16):
        await hedged()
    assert await took(hedged()) == (17, 1)


async def test_hedge_with_too_few_latencies_waits(clock):
    service = Service(60)
    await took(hedge(clock=clock).call(service))
    assert service.calls == 1


async def test_hedge_cancelled_cancels_every_attempt_and_waits_for_their_ends():
    service = Service(60)
    before = len(asyncio.all_tasks())
    task = asyncio.ensure_future(hedge(1, max_hedges=2).call(service))
    await asyncio.sleep(5)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert service.cancelled == 3
    assert len(asyncio.all_tasks()) == before


async def test_hedge_closed_leaves_no_task():
    service = Service(60)
    waiting = hedge(1).call(service)
    waiting.send(None)
    await asyncio.sleep(0)
    waiting.close()
    await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == 1


async def test_hedge_closed_attempt_that_fails_then_is_looked_at():
    """Closed, it can wait for nobody: what the attempt raises later is no complaint of asyncio's."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))

    async def stubborn():
        try:
            await asyncio.sleep(60)
        finally:
            raise KeyError

    waiting = hedge(1).call(stubborn)
    waiting.send(None)
    await asyncio.sleep(0)
    waiting.close()
    await asyncio.sleep(1)
    gc.collect()
    assert not complaints


@pytest.mark.parametrize("moment", [0.1, 0.5, 2.25])
async def test_hedge_cancelled_by_an_anyio_scope_waits_for_its_attempts(moment):
    """At every await: before the hedge, in the race, and while the loser takes its time to end."""

    async def slow_to_end():
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            raise
        return "won"

    before = len(asyncio.all_tasks())
    result = None
    with anyio.move_on_after(moment) as scope:
        result = await hedge(0.2).call(slow_to_end)
    assert scope.cancel_called
    # Where the race was over the result is had: the scope ends what comes next.
    assert result == ("won" if moment > 2 else None)
    assert len(asyncio.all_tasks()) == before


@pytest.mark.parametrize("moment", [0.1, 0.5, 2.25])
async def test_hedge_cancelled_is_cancelled_at_every_await(moment):
    async def slow_to_end():
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            raise

    before = len(asyncio.all_tasks())
    task = asyncio.ensure_future(hedge(0.2).call(slow_to_end))
    await asyncio.sleep(moment)
    task.cancel("by me")
    with pytest.raises(asyncio.CancelledError, match="by me"):
        await task
    assert len(asyncio.all_tasks()) == before


async def test_hedge_attempts_see_the_callers_context():
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    async def look():
        seen.append(variable.get())
        await asyncio.sleep(2)

    variable.set(7)
    await hedge(1).call(look)
    assert seen == [7, 7]


class Witness:
    """Lives as long as a frame."""


async def test_hedge_failed_call_keeps_no_frame_alive():
    """Without the garbage collector's help."""
    witnesses = []

    async def fail():
        witness = Witness()
        witnesses.append(weakref.ref(witness))
        await asyncio.sleep(2)
        raise KeyError

    gc.disable()
    try:
        with pytest.raises(KeyError):
            await hedge(1).call(fail)
        await asyncio.sleep(0)
        assert [each() for each in witnesses] == [None, None]
    finally:
        gc.enable()


async def test_hedge_tells_of_the_second_attempt():
    bus = RecordingBus()
    await hedge(2, bus=bus).call(Service(60, 1))
    assert [(e.attempt, e.delay_seconds) for e in bus.events] == [(2, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": -1}, "delay=-1"),
        ({"quantile": 0}, "quantile=0"),
        ({"max_hedges": 0}, "max_hedges=0"),
        ({"budget": 5}, "budget=5: must be a RetryBudget"),
    ],
)
def test_hedge_option_out_of_range_is_refused(options, message):
    with pytest.raises(InvalidConfigError, match=message):
        hedge(**options)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
async def test_hedge_attempts_that_end_at_once_are_seen():
    """Under an eager task factory an attempt may have ended before it can be waited for."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    calls = []

    async def service():
        calls.append(1)
        if len(calls) == 2:
            await asyncio.sleep(60)
        return len(calls)

    try:
        assert await hedge(1).call(service) == 1
        assert await took(hedge(1).call(service)) == (3, 1)
    finally:
        loop.set_task_factory(None)
