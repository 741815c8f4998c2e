"""tenacity's own objects are accepted as they are, and their traps are not."""

import asyncio
import subprocess
import sys

import anyio
import pytest
import tenacity
import tenacity.asyncio

from seawall.retry import RetryPolicy, call, retry, retrying
from support.operations import RecordingBus, Script


@pytest.fixture
def options(clock):
    return {"initial_delay": 1, "jitter_range": 0, "clock": clock, "bus": RecordingBus()}


@pytest.mark.parametrize(
    ("wait", "gaps"),
    [
        (tenacity.wait_fixed(3), [3, 3, 3]),
        (tenacity.wait_none(), [0, 0, 0]),
        (tenacity.wait_exponential(multiplier=1), [1, 2, 4]),
        (tenacity.wait_incrementing(start=2, increment=3), [2, 5, 8]),
        (tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(7)), [1, 7, 7]),
        (tenacity.wait_fixed(1) + tenacity.wait_fixed(2), [3, 3, 3]),
        (lambda state: state.attempt_number * 2.0, [2, 4, 6]),
    ],
)
async def test_wait_object_gives_the_waits(options, wait, gaps):
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError):
        await call(RetryPolicy(wait=wait, **options), operation)
    assert operation.gaps == gaps


@pytest.mark.parametrize(
    ("stop", "attempts"),
    [
        (tenacity.stop_after_attempt(7), 7),
        (tenacity.stop_after_delay(5), 4),
        (tenacity.stop_before_delay(5), 3),
        (tenacity.stop_after_attempt(9) | tenacity.stop_after_delay(2), 3),
    ],
)
async def test_stop_object_takes_the_place_of_max_retries(options, stop, attempts):
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError) as caught:
        await call(RetryPolicy(stop=stop, **options), operation)
    assert operation.count == attempts
    assert caught.value.__notes__[0].endswith("max_retries")


async def test_stop_object_leaves_the_matrix_in_force(options):
    operation = Script(MemoryError)
    with pytest.raises(MemoryError):
        await call(RetryPolicy(stop=tenacity.stop_after_attempt(9), **options), operation)
    assert operation.count == 3


async def is_again(error):
    await anyio.sleep(0)
    return str(error) == "again"


@pytest.mark.parametrize(
    "retry_on",
    [
        tenacity.retry_if_exception(lambda error: str(error) == "again"),
        tenacity.retry_if_exception_message("again"),
        tenacity.retry_if_exception_type(ValueError) & tenacity.retry_if_exception_message("again"),
        tenacity.retry_if_not_exception_type(OSError)
        & tenacity.retry_if_exception_message("again"),
        tenacity.asyncio.retry_if_exception(is_again),
    ],
)
async def test_retry_object_takes_the_place_of_the_matrix(options, retry_on):
    operation = Script(ValueError("again"), ValueError("again"), ValueError("enough"))
    with pytest.raises(ValueError, match="enough"):
        await call(RetryPolicy(retry_on=retry_on, **options), operation)
    assert operation.count == 3


async def test_retry_object_is_asked_of_every_leaf_of_a_group(options):
    under = RetryPolicy(retry_on=tenacity.retry_if_exception_type(KeyError), **options)
    good = Script(ExceptionGroup("", [KeyError(), KeyError()]))
    with pytest.raises(ExceptionGroup):
        await call(under, good)
    assert good.count == 4
    bad = Script(ExceptionGroup("", [KeyError(), OSError()]))
    with pytest.raises(ExceptionGroup):
        await call(under, bad)
    assert bad.count == 1


@pytest.mark.parametrize(
    "retry_on",
    [
        tenacity.retry_always,
        tenacity.retry_if_exception(lambda _: True),
        tenacity.retry_if_not_exception_type(ValueError),
        tenacity.retry_unless_exception_type(ValueError),
    ],
)
async def test_retry_object_is_never_shown_a_cancellation(options, retry_on):
    """Trap 1: with tenacity itself each of these swallows it and calls again."""
    operation = Script(ConnectionError, seconds=10)
    under = RetryPolicy(retry_on=retry_on, **options)
    task = asyncio.get_running_loop().create_task(call(under, operation))
    await anyio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert operation.count == 1


async def test_objects_shared_by_concurrent_calls_keep_each_calls_state(options):
    """Trap 22: an async predicate, four tasks, one policy."""
    under = retry(
        RetryPolicy(
            retry_on=tenacity.asyncio.retry_if_exception(is_again),
            wait=tenacity.wait_incrementing(start=1, increment=1),
            **options,
        )
    )
    operations = [Script(*[ValueError("again")] * n, n) for n in range(4)]
    results = [None] * 4

    async def run(n):
        results[n] = await under(operations[n])()

    async with anyio.create_task_group() as group:
        for n in range(4):
            group.start_soon(run, n)
    assert results == [0, 1, 2, 3]
    assert operations[3].gaps == [1, 2, 3]


async def test_retry_after_wins_over_a_wait_object(options):
    class HasRetryAfter(ConnectionError):
        retry_after = 9

    operation = Script(HasRetryAfter, "rows")
    await call(RetryPolicy(wait=tenacity.wait_fixed(1), **options), operation)
    assert operation.gaps == [9]


async def test_objects_see_the_call(options):
    seen = []

    def wait(state):
        seen.append(
            (
                state.args,
                state.kwargs,
                state.attempt_number,
                round(state.idle_for),
                round(state.seconds_since_start),
            )
        )
        return 2.0

    await call(
        RetryPolicy(wait=wait, **options), Script(ConnectionError, ConnectionError, 1), 1, two=2
    )
    assert seen == [((1,), {"two": 2}, 1, 0, 0), ((1,), {"two": 2}, 2, 2, 2)]


async def test_success_never_enters_tenacity(options, monkeypatch):
    """R1: its objects are met on the first failure only."""
    from seawall.retry import tenacity_adapter

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(tenacity_adapter, "RetryCallState", refuse)
    assert await call(RetryPolicy(wait=tenacity.wait_fixed(1), **options), Script("rows")) == "rows"


async def test_loop_form_asks_the_objects(options):
    operation = Script(ConnectionError, ConnectionError, "rows")
    async for attempt in retrying(
        wait=tenacity.wait_fixed(3), stop=tenacity.stop_after_attempt(5), **options
    ):
        with attempt:
            await operation()
    assert operation.gaps == [3, 3]


async def test_loop_form_with_an_object_that_waits_says_so(options):
    under = RetryPolicy(retry_on=tenacity.asyncio.retry_if_exception(is_again), **options)
    with pytest.raises(TypeError, match="can't await"):
        async for attempt in retrying(under):
            with attempt:
                raise ValueError("again")


def test_tenacity_is_not_imported_where_none_of_its_objects_is_used():
    code = "import sys, seawall.pipeline; sys.exit('tenacity' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
