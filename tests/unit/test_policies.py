"""All the policies in one: their order, what each sees of the others, and their names."""

import asyncio

import anyio
import pytest

from seawall.bulkhead import Bulkhead
from seawall.circuitbreaker import CircuitBreaker, CircuitState
from seawall.errors import (
    AttemptTimeoutError,
    BulkheadFullError,
    CircuitOpenError,
    DeadlineExceededError,
    InvalidConfigError,
    RateLimitedError,
)
from seawall.events import EventBus
from seawall.hedge import hedge
from seawall.pipeline import Policy
from seawall.policies import PolicyRegistry
from seawall.ratelimiter import RateLimiter
from seawall.retry import RetryPolicy
from seawall.retry.budget import RetryBudget
from support.operations import Script


@pytest.fixture
def parts(clock):
    """One of each, on the test's clock."""
    quiet = {"clock": clock, "bus": EventBus()}
    return {
        "retry": RetryPolicy(max_retries=2, initial_delay=1, jitter_range=0, **quiet),
        "breaker": CircuitBreaker("api", failure_threshold=3, timeout=100, **quiet),
        "bulkhead": Bulkhead("slots", max_concurrent_calls=2, **quiet),
        "rate_limiter": RateLimiter("tokens", limit=10, **quiet),
        "timeout": 5,
        "deadline": 60,
    }


async def answer(seconds=0, value="rows"):
    await asyncio.sleep(seconds)
    return value


async def test_policy_of_everything_passes_a_call(parts):
    policy = Policy(fallback=lambda *_, **__: "spare", hedge=hedge(30), **parts)
    assert await policy(answer)(1, value="found") == "found"


async def test_policy_explains_its_order(parts):
    parts["retry"] = RetryPolicy(budget=RetryBudget("api"))
    policy = Policy(fallback=answer, hedge=hedge(30), **parts)
    assert policy.explain() == (
        "fallback to answer > deadline 60 s > retry exponential_backoff, at most 3 retries"
        " > within the retry budget 'api' > hedge > circuit breaker 'api' > bulkhead 'slots'"
        " > rate limiter 'tokens' > attempt timeout 5 s > call"
    )


async def test_attempt_that_times_out_counts_for_the_breaker_and_is_retried(parts, clock):
    start = clock.monotonic()
    with pytest.raises(AttemptTimeoutError, match="within 5 s"):
        await Policy(**parts).call(answer, 100)
    assert clock.monotonic() - start == pytest.approx(5 + 1 + 5 + 2 + 5, abs=0.01)
    assert parts["breaker"].state is CircuitState.OPEN


async def test_deadline_bounds_attempts_waits_and_queues(parts, clock):
    parts |= {"deadline": 8, "bulkhead": Bulkhead(max_concurrent_calls=1, max_waiting=1)}
    blocker = asyncio.ensure_future(parts["bulkhead"].call(answer, 50))
    await asyncio.sleep(0)
    start = clock.monotonic()
    with pytest.raises(DeadlineExceededError):
        await Policy(**parts).call(answer)
    assert clock.monotonic() - start == pytest.approx(8, abs=0.01)
    assert parts["bulkhead"].snapshot().waiting == 0
    assert parts["breaker"].snapshot().failure_count == 0  # a cancellation is no verdict
    await blocker


@pytest.mark.parametrize("refusal", ["open", "full", "limited"])
async def test_refusal_is_not_retried_nor_counted(parts, refusal):
    """One attempt; the breaker's record stays empty; the error says which policy refused."""
    if refusal == "open":
        parts["breaker"].force_open()
    elif refusal == "full":
        await parts["bulkhead"].acquire_permission()
        await parts["bulkhead"].acquire_permission()
    else:
        for _ in range(10):
            await parts["rate_limiter"].acquire_permission()
    expected = {"open": CircuitOpenError, "full": BulkheadFullError, "limited": RateLimitedError}
    operation = Script("rows")
    with pytest.raises(expected[refusal]) as refused:
        await Policy(**parts).call(operation)
    assert operation.count == 0
    assert parts["breaker"].snapshot().failure_count == 0
    assert "gave up after 1 attempt" in refused.value.__notes__[0]


async def test_refusal_named_is_retried_after_its_time(parts, clock):
    parts["retry"] = RetryPolicy(
        max_retries=2, initial_delay=0.01, retry_on=RateLimitedError, clock=clock
    )
    for _ in range(10):
        await parts["rate_limiter"].acquire_permission()
    assert await Policy(**parts).call(answer) == "rows"


async def test_every_attempt_asks_the_breaker_anew(parts):
    """It opens at the third failure: the fourth attempt is refused."""
    parts["retry"] = RetryPolicy(max_retries=9, initial_delay=0, clock=parts["retry"].clock)
    operation = Script(ConnectionError)
    with pytest.raises(CircuitOpenError):
        await Policy(**parts).call(operation)
    assert operation.count == 3


async def test_fallback_answers_a_refusal(parts):
    parts["breaker"].force_open()
    assert await Policy(fallback=lambda: "spare", **parts).call(Script("rows")) == "spare"


async def test_budget_used_up_ends_the_retries(parts):
    budget = RetryBudget("api", capacity=1)
    parts["retry"] = RetryPolicy(initial_delay=0, budget=budget, clock=parts["retry"].clock)
    operation = Script(ConnectionError)
    with pytest.raises(ConnectionError) as failed:
        await Policy(**parts).call(operation)
    assert operation.count == 2
    assert "budget_exhausted" in failed.value.__notes__[0]


@pytest.mark.parametrize("moment", ["call", "wait", "slot", "token", "hedged"])
async def test_cancellation_at_every_await_leaves_nothing(parts, clock, moment):
    """No slot, token, task or permit is kept, and the breaker has counted nothing."""
    hedged = None
    operation, seconds = answer, 50
    before = len(asyncio.all_tasks())
    if moment == "wait":
        operation = Script(ConnectionError)
        seconds = None
        parts["retry"] = RetryPolicy(initial_delay=50, clock=clock)
        parts["breaker"] = CircuitBreaker("api", failure_threshold=9, clock=clock)
        parts["deadline"] = 500
    elif moment == "slot":
        parts["bulkhead"] = Bulkhead(max_concurrent_calls=1, max_waiting=5)
        await parts["bulkhead"].acquire_permission()
    elif moment == "token":
        parts["rate_limiter"] = RateLimiter(limit=1, period=100, max_wait=500, clock=clock)
        await parts["rate_limiter"].acquire_permission()
    elif moment == "hedged":
        hedged = hedge(0.5)
    arguments = () if seconds is None else (seconds,)
    for form in ("task", "scope", "close"):
        coroutine = Policy(hedge=hedged, **parts).call(operation, *arguments)
        if form == "close":
            coroutine.send(None)
            await asyncio.sleep(1)
            if moment != "hedged":  # its own tasks need the loop
                coroutine.close()
                continue
            coroutine.close()
            await asyncio.sleep(0.1)
        elif form == "scope":
            with anyio.move_on_after(1) as scope:
                await coroutine
            assert scope.cancelled_caught
        else:
            task = asyncio.ensure_future(coroutine)
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        assert len(asyncio.all_tasks()) == before
    taken = 1 if moment == "slot" else 0
    seen = parts["bulkhead"].snapshot()
    assert (seen.in_flight, seen.waiting) == (taken, 0)
    assert not parts["rate_limiter"]._waiters
    assert parts["breaker"].snapshot().failure_count == (3 if moment == "wait" else 0)
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "at least one policy"),
        ({"deadline": 0}, "deadline=0"),
        ({"timeout": -1}, "timeout=-1"),
        ({"deadline": 5, "retry": RetryPolicy(deadline=4)}, "give it once"),
        ({"timeout": 5, "retry": RetryPolicy(attempt_timeout=4)}, "give it once"),
        ({"bulkhead": 5}, "bulkhead=5: must be a Bulkhead or None"),
        ({"rate_limiter": "x"}, "rate_limiter='x'"),
        ({"hedge": 1}, "hedge=1: must be a Hedge"),
    ],
)
def test_policy_argument_that_is_wrong_is_refused(options, message):
    with pytest.raises(InvalidConfigError, match=message):
        Policy(**options)


async def test_deadline_alone_is_a_policy(clock):
    with pytest.raises(DeadlineExceededError):
        await Policy(deadline=2).call(answer, 60)


class TestRegistry:
    def test_configured_policies_are_found_by_name(self):
        registry = PolicyRegistry()
        registry.configure(
            {
                "billing": {
                    "deadline": 30,
                    "retry": {"max_retries": 5},
                    "breaker": {"failure_threshold": 3},
                    "bulkhead": {"limit": "gradient", "max_waiting": 5},
                    "rate_limiter": {"limit": 100, "period": 60},
                    "hedge": {"delay": 0.5},
                    "timeout": 5,
                },
                "quick": {"timeout": 1},
            }
        )
        assert list(registry) == ["billing", "quick"]
        assert registry.get("quick").explain() == "attempt timeout 1 s > call"
        assert registry.get("billing").explain() == (
            "deadline 30 s > retry exponential_backoff, at most 5 retries > hedge"
            " > circuit breaker 'billing' > bulkhead 'billing' > rate limiter 'billing'"
            " > attempt timeout 5 s > call"
        )

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            (5, "policy 'billing': 5: must be a mapping"),
            ({"retries": {}}, "policy 'billing': unknown part 'retries'; did you mean 'retry'"),
            ({"retry": 3}, "policy 'billing': retry=3: must be a mapping"),
            ({"retry": {"max_retries": -1}}, "policy 'billing': max_retries=-1"),
            ({"retry": {"max_retry": 1}}, "policy 'billing': .*max_retry"),
            ({"bulkhead": {"limit": "magic"}}, "limit='magic': must be one of aimd, gradient"),
            ({}, "policy 'billing': .*at least one policy"),
        ],
    )
    def test_configuration_that_is_wrong_names_the_policy(self, parts, message):
        with pytest.raises(InvalidConfigError, match=message):
            PolicyRegistry().configure({"billing": parts})

    def test_unknown_name_says_which_there_are(self):
        registry = PolicyRegistry()
        registry.add("billing", Policy(timeout=1))
        with pytest.raises(InvalidConfigError, match="did you mean 'billing'"):
            registry.get("biling")
        with pytest.raises(InvalidConfigError, match="exists already"):
            registry.add("billing", Policy(timeout=1))

    def test_manager_has_the_configs_policies(self):
        from seawall import ErrorRecoveryManager

        manager = ErrorRecoveryManager(
            config={"max_retries": 7, "policies": {"api": {"retry": {}, "breaker": {}}}}
        )
        assert manager.policy("api").explain() == (
            "retry exponential_backoff, at most 7 retries > circuit breaker 'api' > call"
        )
        assert manager.circuit_breaker("api").options.failure_threshold == 5
