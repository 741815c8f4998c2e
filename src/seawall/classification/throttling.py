"""Whether a server said that it is asked too often."""

from seawall.classification.chain import behind, members
from seawall.classification.codes import explain_code

_AWS_CODES = """
Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException
SlowDown TooManyRequestsException RequestLimitExceeded BandwidthLimitExceeded
LimitExceededException EC2ThrottledException ProvisionedThroughputExceededException
"""
_GOOGLE_REASONS = "rateLimitExceeded userRateLimitExceeded quotaExceeded"
_DETAILS = frozenset(
    {
        "HTTP 429",
        "gRPC RESOURCE_EXHAUSTED",
        *(f"AWS {code}" for code in _AWS_CODES.split()),
        *(f"Google {reason}" for reason in _GOOGLE_REASONS.split()),
    }
)


def is_throttled(exc: BaseException) -> bool:
    """Whether the exception, one behind it or a member of it carries a code of throttling.

    Never raises.
    """
    try:
        return any(map(_says_so, (exc, *members(exc), *behind(exc))))
    except Exception:
        # Foreign objects can do anything when asked; nothing is then known.
        return False


def _says_so(exc: BaseException) -> bool:
    found = explain_code(exc)
    if found is None:
        return False
    return found.detail in _DETAILS or found.detail.endswith(", a rate limit")
