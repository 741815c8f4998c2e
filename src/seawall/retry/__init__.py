"""Trying again what failed and may succeed: as a decorator, a call or a loop of attempts."""

from seawall.retry.context import retrying
from seawall.retry.decorator import call, retry
from seawall.retry.policy import RetryOptions, RetryPolicy
from seawall.retry.strategy import RetryStrategy, StopReason

__all__ = [
    "RetryOptions",
    "RetryPolicy",
    "RetryStrategy",
    "StopReason",
    "call",
    "retry",
    "retrying",
]
