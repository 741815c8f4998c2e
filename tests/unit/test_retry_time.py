"""The deadline bounds the call, the attempt timeout an attempt, and nobody else's is ours."""

import asyncio

import anyio
import pytest

from seawall.errors import AttemptTimeoutError, DeadlineExceededError
from seawall.retry import RetryPolicy, call, retrying
from support.operations import RecordingBus, Script


@pytest.fixture
def policy(clock):
    def make(**options):
        defaults = {"initial_delay": 1, "jitter_range": 0, "clock": clock, "bus": RecordingBus()}
        return RetryPolicy(**(defaults | options))

    return make


class HasRetryAfter(ConnectionError):
    retry_after = 60


async def elapsed(clock, awaitable, error):
    start = clock.monotonic()
    with pytest.raises(error) as caught:
        await awaitable
    return round(clock.monotonic() - start, 3), caught.value


async def test_deadline_in_the_middle_of_an_attempt_ends_it(policy, clock):
    """Trap 7: nor does the loop take its own deadline for a failure to retry."""
    operation = Script(ConnectionError, seconds=10)
    took, error = await elapsed(
        clock, call(policy(deadline=4, name="load"), operation), DeadlineExceededError
    )
    assert took == 4
    assert operation.count == 1
    assert str(error) == "load: not done within deadline=4 s"
    assert error.__notes__ == ["seawall: load gave up after 1 attempt, elapsed 4.000 s: deadline"]


async def test_deadline_bounds_attempts_and_waits_together(policy, clock):
    """Trap 8: 0.5 s with attempts of 0.3 s and waits of 0.3 s ends within 0.5 s."""
    operation = Script(ConnectionError, seconds=0.3)
    under = policy(deadline=0.5, initial_delay=0.3, strategy="fixed_delay")
    took, error = await elapsed(clock, call(under, operation), ConnectionError)
    assert took == 0.3
    assert operation.count == 1
    assert error.__notes__[0].endswith("elapsed 0.300 s: deadline")


async def test_wait_that_the_deadline_cannot_fit_is_not_begun(policy, clock):
    operation = Script(HasRetryAfter)
    took, _ = await elapsed(clock, call(policy(deadline=59), operation), HasRetryAfter)
    assert (took, operation.count) == (0, 1)
    fits = Script(HasRetryAfter, "rows")
    assert await call(policy(deadline=61), fits) == "rows"


async def test_wait_that_ends_at_the_deadline_is_not_begun(policy, clock):
    operation = Script(ConnectionError)
    took, _ = await elapsed(clock, call(policy(deadline=3), operation), ConnectionError)
    assert (took, operation.count) == (1, 2)


async def test_deadline_with_waits_of_zero_still_ends(policy, clock):
    operation = Script(ConnectionError, seconds=0.001)
    under = policy(deadline=0.5, initial_delay=0, max_retries=10**9)
    took, error = await elapsed(
        clock, call(under, operation), (DeadlineExceededError, ConnectionError)
    )
    assert took == pytest.approx(0.5, abs=0.002)
    assert error.__notes__[0].endswith("deadline")


async def test_timeout_of_the_operations_own_is_reported_as_it_is(policy):
    operation = Script(TimeoutError("the dependency's"))
    with pytest.raises(TimeoutError, match="the dependency's") as caught:
        await call(policy(deadline=100, attempt_timeout=10), operation)
    assert type(caught.value) is TimeoutError
    assert operation.count == 4


async def test_operation_that_turns_the_cancellation_into_its_own_error_keeps_it(policy, clock):
    async def converting():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise ConnectionAbortedError("closed") from None

    took, error = await elapsed(clock, call(policy(deadline=2), converting), ConnectionAbortedError)
    assert took == 2
    assert error.__notes__[0].endswith("deadline")


async def test_attempt_timeout_cancels_the_attempt_and_is_retried(policy, clock):
    operation = Script("rows", seconds=10)
    under = policy(attempt_timeout=2, max_retries=2)
    took, error = await elapsed(clock, call(under, operation), AttemptTimeoutError)
    assert operation.gaps == [3, 4]
    assert took == 9
    assert "no result within 2 s" in str(error)


async def test_attempt_within_its_timeout_gives_its_result(policy):
    assert await call(policy(attempt_timeout=2), Script("rows", seconds=1.9)) == "rows"


async def test_attempt_timeout_within_a_deadline_ends_with_the_deadline(policy, clock):
    operation = Script("rows", seconds=10)
    under = policy(attempt_timeout=2, deadline=4, initial_delay=0.5)
    took, _ = await elapsed(clock, call(under, operation), DeadlineExceededError)
    assert (took, operation.gaps) == (4, [2.5])


async def test_context_variables_set_inside_stay_set(policy):
    """Trap 9: an attempt runs in the caller's own task."""
    from contextvars import ContextVar

    variable = ContextVar("variable", default=0)

    async def sets():
        variable.set(variable.get() + 1)
        if variable.get() < 3:
            raise ConnectionError

    await call(policy(attempt_timeout=5, deadline=50), sets)
    assert variable.get() == 3


async def test_wall_clock_is_never_asked(policy, monkeypatch):
    """Trap 16: a wall clock that steps an hour either way changes nothing."""
    import time

    def refuse():
        raise AssertionError

    monkeypatch.setattr(time, "time", refuse)
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError):
        await call(policy(deadline=100), operation)
    assert operation.gaps == [1, 2, 4]


async def test_block_deadline_and_attempt_timeout_hold_in_the_loop_form(policy, clock):
    start = clock.monotonic()
    starts = []
    with pytest.raises(DeadlineExceededError):
        async for attempt in retrying(policy(attempt_timeout=2, deadline=4, initial_delay=0.5)):
            with attempt:
                starts.append(round(clock.monotonic() - start, 3))
                await anyio.sleep(10)
    assert starts == [0, 2.5]
    assert round(clock.monotonic() - start, 3) == 4


async def test_block_that_times_out_at_every_attempt_raises_the_attempts_error(policy):
    with pytest.raises(AttemptTimeoutError) as caught:
        async for attempt in retrying(policy(attempt_timeout=2, max_retries=1)):
            with attempt:
                await anyio.sleep(10)
    assert "after 2 attempts, elapsed 5.000 s: max_retries" in caught.value.__notes__[0]
