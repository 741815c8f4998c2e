"""Trying again what failed and may succeed: as a decorator, a call or a loop of attempts."""

from seawall.retry.budget import RetryBudget
from seawall.retry.context import retrying
from seawall.retry.decorator import call, retry
from seawall.retry.policy import RetryOptions, RetryPolicy
from seawall.retry.record import CallRecord, FailedAttempt, RetryInfo, record_calls
from seawall.retry.strategy import Jitter, RetryStrategy, StopReason

__all__ = [
    "CallRecord",
    "FailedAttempt",
    "Jitter",
    "RetryBudget",
    "RetryInfo",
    "RetryOptions",
    "RetryPolicy",
    "RetryStrategy",
    "StopReason",
    "call",
    "record_calls",
    "retry",
    "retrying",
]
