"""The wait before each retry: pure functions of the retry's number and a random draw.

A new strategy is one function here and one line in ``_BASES``; a new jitter one in ``_JITTERS``.
"""

import random
from collections.abc import Callable
from typing import Protocol

from seawall.retry.strategy import Jitter, RetryStrategy

Draw = Callable[[], float]


class Delays(Protocol):
    """The options that a wait is computed from; seconds, and shares of them."""

    @property
    def initial_delay(self) -> float: ...
    @property
    def backoff_factor(self) -> float: ...
    @property
    def max_delay(self) -> float: ...
    @property
    def jitter_range(self) -> float: ...


def fixed(delays: Delays, retry: int) -> float:  # noqa: ARG001 - one shape for all
    """``initial_delay``, each time."""
    return delays.initial_delay


def linear(delays: Delays, retry: int) -> float:
    """``initial_delay`` more each time, at most ``max_delay``."""
    return min(delays.max_delay, delays.initial_delay * retry)


def exponential(delays: Delays, retry: int) -> float:
    """``initial_delay * backoff_factor ** (retry - 1)``, at most ``max_delay``; retries from 1."""
    try:
        wait = delays.initial_delay * delays.backoff_factor ** (retry - 1)
    except OverflowError:
        return delays.max_delay if delays.initial_delay else 0.0
    return min(delays.max_delay, wait)


def fibonacci(delays: Delays, retry: int) -> float:
    """``initial_delay`` times 1, 1, 2, 3, 5, …, at most ``max_delay``."""
    one, two = 0.0, 1.0
    for _ in range(retry - 1):
        if delays.initial_delay * two >= delays.max_delay:
            break
        one, two = two, one + two
    return min(delays.max_delay, delays.initial_delay * two)


_BASES: dict[RetryStrategy, Callable[[Delays, int], float]] = {
    RetryStrategy.FIXED_DELAY: fixed,
    RetryStrategy.LINEAR_BACKOFF: linear,
    RetryStrategy.EXPONENTIAL_BACKOFF: exponential,
    RetryStrategy.FIBONACCI_BACKOFF: fibonacci,
    RetryStrategy.JITTER: exponential,
    RetryStrategy.CIRCUIT_BREAKER: exponential,
}

# What a strategy does where no jitter is named.
_USUAL: dict[RetryStrategy, Jitter] = {
    RetryStrategy.FIXED_DELAY: Jitter.NONE,
    RetryStrategy.JITTER: Jitter.FULL,
}


def _decorrelated(delays: Delays, wait: float, last: float, draw: Draw) -> float:
    low = delays.initial_delay
    high = min(delays.max_delay, 3 * last) if last else wait
    return low + (max(low, high) - low) * draw()


_JITTERS: dict[Jitter, Callable[[Delays, float, float, Draw], float]] = {
    Jitter.NONE: lambda _, wait, __, ___: wait,
    Jitter.SPREAD: lambda delays, wait, _, draw: (
        wait * (1 + delays.jitter_range * (2 * draw() - 1))
    ),
    Jitter.FULL: lambda _, wait, __, draw: wait * draw(),
    Jitter.EQUAL: lambda _, wait, __, draw: wait * (0.5 + 0.5 * draw()),
    Jitter.DECORRELATED: _decorrelated,
}


class Waits(Protocol):
    """Seconds to wait before a retry."""

    def __call__(
        self, delays: Delays, retry: int, last: float = 0.0, draw: Draw = random.random
    ) -> float:
        """The wait before retry number ``retry``, counted from 1.

        Args:
            delays: the seconds that it is made from.
            retry: the retry's number.
            last: the wait before the last retry, for DECORRELATED.
            draw: a random number from 0 to 1.
        """
        ...


def waits_of(strategy: RetryStrategy, jitter: Jitter | None = None) -> Waits:
    """The function that computes the waits; chosen once, not at each failure.

    Args:
        strategy: how they grow.
        jitter: how chance varies them; None: as is usual for the strategy.
    """
    base, vary = _BASES[strategy], _JITTERS[jitter or _USUAL.get(strategy, Jitter.SPREAD)]

    def wait(delays: Delays, retry: int, last: float = 0.0, draw: Draw = random.random) -> float:
        return vary(delays, base(delays, retry), last, draw) if delays.initial_delay else 0.0

    return wait
