"""The names of the ways to wait, and of the reasons to stop."""

from enum import StrEnum


class RetryStrategy(StrEnum):
    """How the wait before each retry is computed; see ``backoff``."""

    FIXED_DELAY = "fixed_delay"
    EXPONENTIAL_BACKOFF = "exponential_backoff"
    JITTER = "jitter"
    CIRCUIT_BREAKER = "circuit_breaker"


class StopReason(StrEnum):
    """Why a call was not tried again."""

    MAX_RETRIES = "max_retries"
    DEADLINE = "deadline"
    NOT_RETRYABLE = "not_retryable"
    BUDGET_EXHAUSTED = "budget_exhausted"
    CIRCUIT_OPEN = "circuit_open"
