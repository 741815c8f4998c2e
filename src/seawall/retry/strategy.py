"""The names of the ways to wait, and of the reasons to stop."""

from enum import StrEnum


class RetryStrategy(StrEnum):
    """How the wait before each retry is computed; see ``backoff``."""

    FIXED_DELAY = "fixed_delay"
    LINEAR_BACKOFF = "linear_backoff"
    EXPONENTIAL_BACKOFF = "exponential_backoff"
    FIBONACCI_BACKOFF = "fibonacci_backoff"
    JITTER = "jitter"
    CIRCUIT_BREAKER = "circuit_breaker"


class Jitter(StrEnum):
    """How chance varies the computed wait; each varies a wait at the cap too.

    The last three are of Brooker's "Exponential Backoff And Jitter" (AWS, 2015).
    """

    NONE = "none"
    SPREAD = "spread"  # times 1 ± jitter_range
    FULL = "full"  # between 0 and the wait
    EQUAL = "equal"  # between half of the wait and all of it
    DECORRELATED = "decorrelated"  # between initial_delay and three times the last wait


class StopReason(StrEnum):
    """Why a call was not tried again."""

    MAX_RETRIES = "max_retries"
    DEADLINE = "deadline"
    NOT_RETRYABLE = "not_retryable"
    BUDGET_EXHAUSTED = "budget_exhausted"
    CIRCUIT_OPEN = "circuit_open"
