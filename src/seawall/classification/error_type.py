"""The five recovery classes, and the decision matrix over them."""

from enum import StrEnum


class ErrorType(StrEnum):
    """What kind of failure an exception is: it decides whether a retry can help."""

    TRANSIENT = "transient"
    CONFIGURATION = "configuration"
    DATA = "data"
    SYSTEM = "system"
    UNKNOWN = "unknown"


# A group of exceptions is its member that comes first here (R4).
LEAST_RETRYABLE_FIRST = (
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
    ErrorType.UNKNOWN,
    ErrorType.TRANSIENT,
)

_SYSTEM_RETRIES = 2
# Enum members are slow to look up by name, and this is asked at every failure.
_CONFIGURATION, _DATA, _SYSTEM = ErrorType.CONFIGURATION, ErrorType.DATA, ErrorType.SYSTEM


def most_retries(error_type: ErrorType, max_retries: int) -> int:
    """How many retries the decision matrix allows at the most, of the ``max_retries`` asked for."""
    if error_type is _CONFIGURATION or error_type is _DATA:
        return 0
    if error_type is _SYSTEM:
        return min(max_retries, _SYSTEM_RETRIES)
    return max_retries


def should_retry(error_type: ErrorType, retry_count: int, max_retries: int = 3) -> bool:
    """Whether one more retry is allowed after ``retry_count`` of them."""
    return retry_count < most_retries(error_type, max_retries)
