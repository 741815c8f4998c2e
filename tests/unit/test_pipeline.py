"""Policy: one order from outside in, and one frame for retry and breaker."""

import asyncio
import inspect

import pytest

from seawall.circuitbreaker import CircuitBreaker, CircuitState
from seawall.errors import CircuitOpenError, DeadlineExceededError, InvalidConfigError
from seawall.pipeline import Policy
from seawall.retry import RetryPolicy, RetryStrategy
from support.operations import RecordingBus, Script


@pytest.fixture
def breaker(clock):
    def make(**options):
        defaults = {"failure_threshold": 3, "timeout": 10, "clock": clock, "bus": RecordingBus()}
        return CircuitBreaker("api", **(defaults | options))

    return make


@pytest.fixture
def retries(clock):
    def make(**options):
        defaults = {"initial_delay": 1, "jitter_range": 0, "clock": clock, "bus": RecordingBus()}
        return RetryPolicy(**(defaults | options))

    return make


FORMS = pytest.mark.parametrize("extra", [{}, {"deadline": 1000}, {"attempt_timeout": 100}])


@FORMS
async def test_success_is_counted_and_returned(extra, breaker, retries):
    guard = breaker()
    operation = Script("rows")
    assert await Policy(retry=retries(**extra), breaker=guard)(operation)(1, two=2) == "rows"
    assert operation.calls == [((1,), {"two": 2})]
    assert guard.machine.window.successes == 1


@FORMS
async def test_each_attempt_counts_in_the_breaker_and_is_asked_of_it(extra, breaker, retries):
    """The third failure opens it; the fourth attempt is refused, and that ends the retries."""
    guard = breaker()
    operation = Script(ConnectionError)
    with pytest.raises(CircuitOpenError) as caught:
        await Policy(retry=retries(max_retries=5, **extra), breaker=guard)(operation)()
    assert operation.count == 3
    assert guard.state is CircuitState.OPEN
    assert "after 4 attempts" in caught.value.__notes__[0]
    assert caught.value.__notes__[0].endswith("circuit_open")


@FORMS
async def test_circuit_breaker_strategy_gives_back_the_operations_own_error(
    extra, breaker, retries
):
    operation = Script(ConnectionError)
    under = retries(max_retries=5, strategy=RetryStrategy.CIRCUIT_BREAKER, **extra)
    with pytest.raises(ConnectionError) as caught:
        await Policy(retry=under, breaker=breaker())(operation)()
    assert operation.gaps == [1, 2]
    assert caught.value.__notes__[0].endswith("circuit_open")


@FORMS
async def test_open_breaker_refuses_at_once_and_a_trial_may_be_retried(
    extra, breaker, retries, clock
):
    guard = breaker(failure_threshold=1)
    operation = Script(ConnectionError, "rows")
    call = Policy(retry=retries(retry_on=(ConnectionError,), **extra), breaker=guard)(operation)
    with pytest.raises(CircuitOpenError):
        await call()
    start = clock.monotonic()
    with pytest.raises(CircuitOpenError):
        await call()
    assert clock.monotonic() == start
    await asyncio.sleep(10)
    assert await call() == "rows"
    assert guard.state is CircuitState.CLOSED


async def test_refusal_that_is_asked_for_is_waited_out(breaker, retries):
    guard = breaker(failure_threshold=1)
    operation = Script(ConnectionError, "rows")
    under = retries(retry_on=(ConnectionError, CircuitOpenError))
    assert await Policy(retry=under, breaker=guard)(operation)() == "rows"
    assert operation.gaps == [10]


async def test_attempt_timeout_counts_as_the_breakers_failure(breaker, retries):
    """It stands inside the breaker: outside, the breaker would see a cancellation only."""
    guard = breaker()
    operation = Script("rows", seconds=60)
    under = retries(attempt_timeout=2, max_retries=1)
    with pytest.raises(TimeoutError):
        await Policy(retry=under, breaker=guard)(operation)()
    assert guard.snapshot().failure_count == 2


async def test_deadline_is_no_failure_of_the_service(breaker, retries):
    guard = breaker()
    with pytest.raises(DeadlineExceededError):
        await Policy(retry=retries(deadline=5), breaker=guard)(Script("rows", seconds=60))()
    assert guard.snapshot().failure_count == 0


@FORMS
async def test_fallback_answers_what_retries_could_not_help(extra, breaker, retries):
    primary, cached = Script(ConnectionError), Script("cached")
    policy = Policy(fallback=cached, retry=retries(max_retries=1, **extra), breaker=breaker())
    assert await policy(primary)("a") == "cached"
    assert primary.count == 2
    assert cached.calls == [(("a",), {})]


async def test_trial_cancelled_in_a_policy_gives_its_permit_back(breaker, retries):
    guard = breaker(failure_threshold=1)
    operation = Script(ConnectionError, "rows", seconds=1)
    call = Policy(retry=retries(max_retries=0), breaker=guard)(operation)
    with pytest.raises(ConnectionError):
        await call()
    await asyncio.sleep(10)
    for _ in range(3):
        task = asyncio.get_running_loop().create_task(call())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await call() == "rows"


@pytest.mark.parametrize("parts", ["retry", "breaker", "fallback", "retry breaker"])
async def test_any_part_may_be_left_out(parts, breaker, retries):
    options = {}
    if "retry" in parts:
        options["retry"] = retries()
    if "breaker" in parts:
        options["breaker"] = breaker()
    if "fallback" in parts:
        options["fallback"] = Script("other")
    policy = Policy(**options)
    assert await policy.call(Script("rows"), 1) == "rows"

    async def named(x: int) -> int:
        return x

    wrapped = policy(named)
    assert await wrapped(3) == 3
    assert (wrapped.__name__, str(inspect.signature(wrapped))) == ("named", "(x: int) -> int")


async def test_functions_under_one_policy_share_its_breaker(breaker, retries):
    policy = Policy(retry=retries(max_retries=0), breaker=breaker(failure_threshold=1))
    with pytest.raises(ConnectionError):
        await policy(Script(ConnectionError))()
    with pytest.raises(CircuitOpenError):
        await policy(Script("rows"))()


def test_explain_names_the_parts_from_outside_in(breaker, retries):
    def cached():
        pass

    policy = Policy(
        breaker=breaker(), retry=retries(deadline=60, attempt_timeout=5), fallback=(cached, len)
    )
    assert policy.explain().split(" > ") == [
        "fallback to test_explain_names_the_parts_from_outside_in.<locals>.cached, len",
        "deadline 60 s",
        "retry exponential_backoff, at most 3 retries",
        "circuit breaker 'api'",
        "attempt timeout 5 s",
        "call",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "must be given"),
        ({"retry": 3}, "retry=3: must be a RetryPolicy or None"),
        ({"breaker": "api"}, "breaker='api': must be a CircuitBreaker or None"),
        ({"fallback": len, "handle": BaseException}, "handle="),
    ],
)
def test_argument_of_another_type_is_refused(options, message):
    with pytest.raises(InvalidConfigError, match=message):
        Policy(**options)
