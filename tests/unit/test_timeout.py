"""The shared timer: who is cancelled, when, and by whom."""

import asyncio
import gc
import weakref

import anyio
import pytest

from seawall.errors import AttemptTimeoutError, InvalidConfigError
from seawall.timeout import timeout
from seawall.timer import TimeLimit


async def sleeper(seconds, result="done"):
    await asyncio.sleep(seconds)
    return result


async def test_timeout_in_time_gives_the_result():
    assert await timeout(2)(sleeper)(1.9, result=7) == 7


async def test_timeout_too_late_raises_at_its_end():
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(AttemptTimeoutError, match="sleeper: no result within 2 s"):
        await timeout(2)(sleeper)(60)
    assert loop.time() - started == pytest.approx(2, abs=0.01)


async def test_timeout_is_a_timeout_error_without_a_context():
    with pytest.raises(TimeoutError) as caught:
        await timeout(2).call(sleeper, 60)
    assert caught.value.__suppress_context__


async def test_timeout_of_each_call_counts_from_its_own_start():
    """A hundred calls, one timer: each ends two seconds after its own beginning."""
    limit, loop, ends = timeout(2)(sleeper), asyncio.get_running_loop(), []

    async def one(delay):
        await asyncio.sleep(delay)
        started = loop.time()
        with pytest.raises(TimeoutError):
            await limit(60)
        ends.append(loop.time() - started)

    await asyncio.gather(*(one(n / 10) for n in range(100)))
    assert ends == pytest.approx([2] * 100, abs=0.01)


async def test_timeout_calls_that_end_early_leave_nothing():
    """And the limit still works after the timer has run out with nothing to do."""
    limit = TimeLimit(2)
    for _ in range(3):
        call = limit.begin()
        limit.end(call)
        assert not call.group.calls
        await asyncio.sleep(5)
        assert not call.group.is_armed


async def test_timeout_own_timeout_error_passes():
    """Trap 7: a TimeoutError of the dependency is not reported as ours."""

    async def slow_service():
        raise TimeoutError("the service's own")

    with pytest.raises(TimeoutError, match="the service's own") as caught:
        await timeout(2)(slow_service)()
    assert not isinstance(caught.value, AttemptTimeoutError)


async def test_timeout_outer_cancellation_wins():
    """Cancelled from outside, before or in the very tick of the end, it stays a cancellation."""
    for moment in (1, 2):
        task = asyncio.ensure_future(timeout(2)(sleeper)(60))
        asyncio.get_running_loop().call_later(moment, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_timeout_in_the_tick_of_an_outer_one_is_the_outers():
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(2):
            await timeout(2)(sleeper)(60)
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(1)  # no cancellation is left over
    assert caught.value is not None


async def test_timeout_inside_and_outside_of_anyio_scopes():
    with anyio.move_on_after(1) as scope:
        await timeout(2)(sleeper)(60)
    assert scope.cancelled_caught

    async def scoped():
        with anyio.move_on_after(1):
            await asyncio.sleep(60)
        await asyncio.sleep(0.5)
        return "went on"

    assert await timeout(2)(scoped)() == "went on"
    assert asyncio.current_task().cancelling() == 0


async def test_timeout_in_a_task_group_ends_its_own_call_only():
    results = []

    async def one(seconds):
        try:
            results.append(await timeout(2)(sleeper)(seconds, seconds))
        except TimeoutError:
            results.append("late")

    async with anyio.create_task_group() as tasks:
        for seconds in (1, 60, 1.5):
            tasks.start_soon(one, seconds)
    assert results == [1, 1.5, "late"]
    assert asyncio.current_task().cancelling() == 0


async def test_timeout_nested_the_shorter_ends_first():
    @timeout(3)
    async def outer():
        with pytest.raises(AttemptTimeoutError, match="within 1 s"):
            await timeout(1)(sleeper)(60)
        await asyncio.sleep(60)

    with pytest.raises(AttemptTimeoutError, match="within 3 s"):
        await outer()


async def test_timeout_operation_that_keeps_the_cancellation_leaves_none():
    """It returns a result late: the result stands, and the task isn't cancelled later."""

    async def stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "kept"

    assert await timeout(2)(stubborn)() == "kept"
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(1)


async def test_timeout_while_being_cancelled_already_works():
    """In the clean-up of a cancelled task a limit still ends a call."""

    async def cleaning():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            with pytest.raises(TimeoutError):
                await timeout(2)(sleeper)(60)
            raise

    task = asyncio.ensure_future(cleaning())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_timeout_call_runs_in_the_callers_task():
    """Trap 9: what it sets in context variables stays."""
    import contextvars

    variable = contextvars.ContextVar("variable", default=None)

    async def setter():
        variable.set(asyncio.current_task())

    await timeout(2)(setter)()
    assert variable.get() is asyncio.current_task()


@pytest.mark.real_time
def test_timeout_shared_by_event_loops_one_after_another_and_in_threads():
    limit = timeout(0.05)(sleeper)

    async def late():
        with pytest.raises(TimeoutError):
            await limit(30)
        return await limit(0)

    async def in_threads():
        return await asyncio.gather(*(asyncio.to_thread(asyncio.run, late()) for _ in range(4)))

    assert [asyncio.run(late()) for _ in range(3)] == ["done"] * 3
    assert asyncio.run(in_threads()) == ["done"] * 4


@pytest.mark.real_time
def test_timeout_keeps_no_closed_event_loop_alive():
    limit = TimeLimit(60)
    loop = asyncio.new_event_loop()

    async def one():
        limit.end(limit.begin())

    loop.run_until_complete(one())
    loop.close()
    gone = weakref.ref(loop)
    asyncio.run(one())
    del loop
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("seconds", [0, -1, "5", None, float("nan"), True])
def test_timeout_that_is_no_time_is_refused(seconds):
    with pytest.raises(InvalidConfigError, match="must be a number, above 0"):
        timeout(seconds)


async def test_timeout_made_anew_for_each_call_leaves_one_timer():
    """A limit of so many seconds is one, however many wrappers ask for it."""
    loop = asyncio.get_running_loop()
    before = len(loop._scheduled)
    for _ in range(100):
        await timeout(600).call(sleeper, 0)
    assert len(loop._scheduled) <= before + 1


async def test_timeout_that_ends_a_task_leaves_no_frame_alive():
    class Big:
        pass

    async def holder(kept):
        big = Big()
        kept.append(weakref.ref(big))
        await asyncio.sleep(60)
        del big

    gone = []
    gc.disable()
    try:
        task = asyncio.ensure_future(timeout(2)(holder)(gone))
        await asyncio.wait([task])
        assert isinstance(task.exception(), TimeoutError)
        del task
        await asyncio.sleep(0)
        assert gone[0]() is None
    finally:
        gc.enable()
