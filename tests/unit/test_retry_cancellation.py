"""R2: a cancelled call ends at once, wherever it stands, and is not called again."""

import asyncio
import functools

import anyio
import pytest
import tenacity

from seawall.circuitbreaker import CircuitBreaker
from seawall.fallback import fallback
from seawall.pipeline import Policy
from seawall.retry import RetryPolicy, retry, retrying
from support.operations import RecordingBus, Script

FORMS = [
    "retry",
    "matrix",
    "deadline",
    "attempt_timeout",
    "tenacity",
    "loop",
    "bounded loop",
    "breaker",
    "fallback",
    "policy",
    "everything",
]


def wrapped(form, operation, clock):
    """``operation`` under one form, and its breaker where it has one."""
    options = {"initial_delay": 1, "jitter_range": 0, "strategy": "fixed_delay", "clock": clock}
    options |= {"max_retries": 9, "retry_on": Exception}
    breaker = CircuitBreaker("service", clock=clock, failure_threshold=99)
    if form.endswith("loop"):
        if form == "bounded loop":
            options |= {"deadline": 1000, "attempt_timeout": 100}

        async def loop():
            async for attempt in retrying(**options):
                with attempt:
                    return await operation()

        return loop, None
    forms = {
        "retry": retry(**options),
        "matrix": retry(**(options | {"retry_on": None})),
        "deadline": retry(deadline=1000, **options),
        "attempt_timeout": retry(attempt_timeout=100, **options),
        "tenacity": retry(**(options | {"retry_on": tenacity.retry_always})),
        "breaker": breaker,
        "fallback": fallback(operation, operation, operation),
        "policy": Policy(retry=RetryPolicy(**options), breaker=breaker),
        "everything": Policy(
            fallback=operation,
            breaker=breaker,
            retry=RetryPolicy(deadline=1000, attempt_timeout=100, **options),
        ),
    }
    return forms[form](operation), breaker if form in ("breaker", "policy", "everything") else None


async def by_task_cancel(call, seconds):
    task = asyncio.get_running_loop().create_task(call())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_asyncio_timeout(call, seconds):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await call()


async def by_anyio_scope(call, seconds):
    with anyio.move_on_after(seconds) as scope:
        await call()
    assert scope.cancelled_caught


# A breaker alone has one await; the chain of fallbacks ends by itself after 3 s.
LAST_SECOND = {"breaker": 1, "fallback": 3}
MOMENTS = [(f, s) for f in FORMS for s in (0, 0.5, 1.5, 2.5, 3.5) if s < LAST_SECOND.get(f, 9)]


@pytest.mark.parametrize(("form", "seconds"), MOMENTS)
@pytest.mark.parametrize("cancel", [by_task_cancel, by_asyncio_timeout, by_anyio_scope])
async def test_cancelled_call_ends_at_once_and_is_not_called_again(form, cancel, seconds, clock):
    """Each attempt takes 1 s and fails; each wait takes 1 s: every await is hit once."""
    operation = Script(ConnectionError, seconds=1)
    call, breaker = wrapped(form, operation, clock)
    start = clock.monotonic()
    await cancel(call, seconds)
    assert clock.monotonic() - start == pytest.approx(seconds, abs=1e-6)
    count = operation.count
    await asyncio.sleep(50)
    assert operation.count == count
    if breaker is not None:
        failed = count if seconds in (1.5, 3.5) else count - 1 if seconds else 0
        assert breaker.snapshot().failure_count == max(0, failed)


@pytest.mark.parametrize(
    ("form", "stage"), [(f, n) for f in FORMS for n in range(3) if n < LAST_SECOND.get(f, 9)]
)
async def test_closed_coroutine_ends_without_another_call(form, stage, clock):
    """Trap 1, GeneratorExit: the coroutine is closed at an await instead of cancelled."""
    operation = Suspends()
    call, breaker = wrapped(form, operation, NoWait())
    coroutine = call()
    for _ in range(stage + 1):
        coroutine.send(None)
    count = operation.count
    coroutine.close()
    assert operation.count == count
    if breaker is not None:
        assert breaker.snapshot().failure_count == count - 1


class Suspends:
    """Fails after one suspension that whoever drives the coroutine resumes."""

    def __init__(self):
        self.count = 0

    async def __call__(self):
        self.count += 1
        await asyncio.sleep(0)
        raise ConnectionError


class NoWait:
    def monotonic(self):
        return 0.0

    async def sleep(self, seconds):
        pass


@pytest.mark.parametrize("exit_type", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("form", FORMS)
def test_exit_raised_by_the_operation_passes_at_once(form, exit_type):
    operation = Script(exit_type)
    call, breaker = wrapped(form, operation, NoWait())

    async def main():
        try:
            await call()
        except exit_type:  # within the task: asyncio treats the exits of tasks specially
            return "passed"

    assert asyncio.run(main()) == "passed"
    assert operation.count == 1
    if breaker is not None:
        assert breaker.snapshot().failure_count == 0


@pytest.mark.parametrize("form", FORMS)
async def test_group_with_a_cancellation_in_it_passes_at_once(form, clock):
    operation = Script(BaseExceptionGroup("", [ConnectionError(), asyncio.CancelledError()]))
    call, breaker = wrapped(form, operation, clock)
    with pytest.raises(BaseExceptionGroup):
        await call()
    assert operation.count == 1
    if breaker is not None:
        assert breaker.snapshot().failure_count == 0


async def test_cancellation_during_the_wait_reports_nothing_more(clock):
    bus = RecordingBus()
    under = retry(initial_delay=10, clock=clock, bus=bus)(Script(ConnectionError))
    await by_task_cancel(functools.partial(under), 5)
    assert bus.names == ["RetryScheduled"]


@pytest.mark.parametrize("suppressed", [False, True])
async def test_cancellation_turned_into_an_error_is_not_retried(clock, suppressed):
    """R2: the task is told to end; an operation that says ConnectionError of that is not run again."""
    calls = 0

    @retry(max_retries=5, initial_delay=0, clock=clock)
    async def converting():
        nonlocal calls
        calls += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            if suppressed:
                raise ConnectionError from None
            raise ConnectionError from error

    task = asyncio.ensure_future(converting())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(ConnectionError):
        await task
    assert calls == 1


async def test_failure_after_a_cancellation_that_was_meant_for_another_is_retried(clock):
    """An inner task's cancellation says nothing of this one."""
    outcomes = []

    @retry(max_retries=5, initial_delay=0, clock=clock)
    async def waiting():
        outcomes.append(1)
        inner = asyncio.ensure_future(asyncio.sleep(60))
        inner.cancel()
        try:
            await inner
        except asyncio.CancelledError:
            if len(outcomes) < 3:
                raise ConnectionError from None
        return len(outcomes)

    assert await waiting() == 3
