"""The waits are those of the contract, and their random spread survives the cap."""

import random

import pytest

from seawall.retry import RetryPolicy, RetryStrategy
from seawall.retry.backoff import waits_of
from seawall.retry.strategy import Jitter


def half():
    return 0.5


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (RetryStrategy.FIXED_DELAY, [1, 1, 1, 1]),
        (RetryStrategy.EXPONENTIAL_BACKOFF, [1, 2, 4, 5]),
        (RetryStrategy.CIRCUIT_BREAKER, [1, 2, 4, 5]),
        (RetryStrategy.JITTER, [0.5, 1, 2, 2.5]),
        (RetryStrategy.LINEAR_BACKOFF, [1, 2, 3, 4]),
        (RetryStrategy.FIBONACCI_BACKOFF, [1, 1, 2, 3]),
    ],
)
def test_wait_in_the_middle_of_the_draw_is_the_formula(strategy, expected):
    policy = RetryPolicy(initial_delay=1, backoff_factor=2, max_delay=5)
    assert [waits_of(strategy)(policy, n, draw=half) for n in (1, 2, 3, 4)] == expected


@pytest.mark.parametrize("strategy", RetryStrategy)
@pytest.mark.parametrize("jitter", [None, *Jitter])
def test_every_strategy_and_jitter_has_a_wait(strategy, jitter):
    """And none of them counts to a million for a retry of that number, or without a delay."""
    policy = RetryPolicy(initial_delay=1, max_delay=5)
    assert 0 <= waits_of(strategy, jitter)(policy, 10**6, 5, half) <= 5
    without = RetryPolicy(initial_delay=0)
    assert waits_of(strategy, jitter)(without, 10**6, 0, half) == 0


@pytest.mark.parametrize(
    ("jitter", "low", "high"),
    [
        (Jitter.SPREAD, 4.5, 5.5),
        (Jitter.FULL, 0, 5),
        (Jitter.EQUAL, 2.5, 5),
        (Jitter.DECORRELATED, 1, 5),
    ],
)
@pytest.mark.parametrize("strategy", [each for each in RetryStrategy if each != "fixed_delay"])
def test_jitter_at_the_cap_still_differs_in_every_form(strategy, jitter, low, high):
    """Trap 26."""
    policy = RetryPolicy(initial_delay=1, max_delay=5, jitter_range=0.1)
    draw = random.Random(1).random
    waits = [waits_of(strategy, jitter)(policy, 20, 5, draw) for _ in range(500)]
    assert low <= min(waits) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(waits) <= high
    assert len(set(waits)) > 450


def test_decorrelated_wait_grows_from_the_last_one():
    policy = RetryPolicy(initial_delay=1, max_delay=100)
    wait, waits = 0.0, []
    for retry in range(1, 6):
        wait = waits_of(policy.strategy, Jitter.DECORRELATED)(policy, retry, wait, lambda: 1.0)
        waits.append(wait)
    assert waits == [1, 3, 9, 27, 81]


@pytest.mark.parametrize(
    ("strategy", "low", "high"),
    [(RetryStrategy.EXPONENTIAL_BACKOFF, 4.5, 5.5), (RetryStrategy.JITTER, 0, 5)],
)
def test_jitter_at_the_cap_still_differs(strategy, low, high):
    policy = RetryPolicy(initial_delay=1, max_delay=5, jitter_range=0.1)
    draw = random.Random(1).random
    waits = [waits_of(strategy)(policy, 20, draw=draw) for _ in range(500)]
    assert low <= min(waits) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(waits) <= high
    assert len(set(waits)) > 450


def test_jitter_range_zero_gives_the_same_wait():
    policy = RetryPolicy(initial_delay=1, jitter_range=0)
    draws = random.Random(2).random
    assert {policy.waits(policy, 2, draw=draws) for _ in range(20)} == {2.0}


def test_huge_retry_number_gives_the_cap():
    policy = RetryPolicy(initial_delay=1, max_delay=7, jitter_range=0)
    assert policy.waits(policy, 10**6) == 7
    no_wait = RetryPolicy(initial_delay=0, jitter_range=0)
    assert no_wait.waits(no_wait, 10**6) == 0
