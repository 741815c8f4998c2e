"""The wait before each retry: pure functions of the retry's number and a random draw.

A new strategy is one function here and one line in ``WAITS``.
"""

import random
from collections.abc import Callable
from typing import Protocol

from seawall.retry.strategy import RetryStrategy

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


def capped_exponential(delays: Delays, retry: int) -> float:
    """``initial_delay * backoff_factor ** (retry - 1)``, at most ``max_delay``; retries from 1."""
    try:
        wait = delays.initial_delay * delays.backoff_factor ** (retry - 1)
    except OverflowError:
        return delays.max_delay if delays.initial_delay else 0.0
    return min(delays.max_delay, wait)


def fixed(delays: Delays, retry: int, draw: Draw) -> float:  # noqa: ARG001 - one shape for all
    """``initial_delay``, each time."""
    return delays.initial_delay


def spread_exponential(delays: Delays, retry: int, draw: Draw) -> float:
    """The exponential wait times ``1 ± jitter_range``; waits at the cap differ too."""
    spread = delays.jitter_range
    return capped_exponential(delays, retry) * (1 + spread * (2 * draw() - 1))


def full_jitter(delays: Delays, retry: int, draw: Draw) -> float:
    """Uniform between 0 and the exponential wait."""
    return capped_exponential(delays, retry) * draw()


WAITS: dict[RetryStrategy, Callable[[Delays, int, Draw], float]] = {
    RetryStrategy.FIXED_DELAY: fixed,
    RetryStrategy.EXPONENTIAL_BACKOFF: spread_exponential,
    RetryStrategy.JITTER: full_jitter,
    RetryStrategy.CIRCUIT_BREAKER: spread_exponential,
}


def wait_before(
    retry: int, strategy: RetryStrategy, delays: Delays, draw: Draw = random.random
) -> float:
    """Seconds to wait before retry number ``retry``, counted from 1."""
    return WAITS[strategy](delays, retry, draw)
