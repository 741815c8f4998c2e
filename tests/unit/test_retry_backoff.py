"""The waits are those of the contract, and their random spread survives the cap."""

import random

import pytest

from seawall.retry import RetryPolicy, RetryStrategy
from seawall.retry.backoff import WAITS, wait_before


def half():
    return 0.5


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (RetryStrategy.FIXED_DELAY, [1, 1, 1, 1]),
        (RetryStrategy.EXPONENTIAL_BACKOFF, [1, 2, 4, 5]),
        (RetryStrategy.CIRCUIT_BREAKER, [1, 2, 4, 5]),
        (RetryStrategy.JITTER, [0.5, 1, 2, 2.5]),
    ],
)
def test_wait_in_the_middle_of_the_draw_is_the_formula(strategy, expected):
    policy = RetryPolicy(initial_delay=1, backoff_factor=2, max_delay=5)
    assert [wait_before(n, strategy, policy, half) for n in (1, 2, 3, 4)] == expected


def test_every_strategy_has_a_wait():
    assert set(WAITS) == set(RetryStrategy)


@pytest.mark.parametrize(
    ("strategy", "low", "high"),
    [(RetryStrategy.EXPONENTIAL_BACKOFF, 4.5, 5.5), (RetryStrategy.JITTER, 0, 5)],
)
def test_jitter_at_the_cap_still_differs(strategy, low, high):
    policy = RetryPolicy(initial_delay=1, max_delay=5, jitter_range=0.1)
    draw = random.Random(1).random
    waits = [wait_before(20, strategy, policy, draw) for _ in range(500)]
    assert low <= min(waits) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(waits) <= high
    assert len(set(waits)) > 450


def test_jitter_range_zero_gives_the_same_wait():
    policy = RetryPolicy(initial_delay=1, jitter_range=0)
    draws = random.Random(2).random
    assert {wait_before(2, policy.strategy, policy, draws) for _ in range(20)} == {2.0}


def test_huge_retry_number_gives_the_cap():
    policy = RetryPolicy(initial_delay=1, max_delay=7, jitter_range=0)
    assert wait_before(10**6, policy.strategy, policy) == 7
    no_wait = RetryPolicy(initial_delay=0, jitter_range=0)
    assert wait_before(10**6, no_wait.strategy, no_wait) == 0
