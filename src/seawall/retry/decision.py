"""Whether one more attempt may follow a failure: pure; the order of the questions is the rule."""

from seawall.classification import ErrorType, most_retries
from seawall.errors import CircuitOpenError, RefusedError
from seawall.retry.strategy import StopReason


def reason_to_stop(
    error: Exception,
    *,
    error_type: ErrorType | None,
    asked: bool | None,
    retry_count: int,
    max_retries: int,
) -> StopReason | None:
    """Why no retry may follow, or None where one may.

    Args:
        error: what the attempt raised.
        error_type: its class; None where ``asked`` decides without it.
        asked: what ``retry_on`` answers, or None where there is none and the matrix decides.
        retry_count: retries made so far.
        max_retries: retries allowed at the most.
    """
    if asked is False or (asked is None and isinstance(error, RefusedError)):
        refused_by_breaker = isinstance(error, CircuitOpenError)
        return StopReason.CIRCUIT_OPEN if refused_by_breaker else StopReason.NOT_RETRYABLE
    if asked is None:
        kind = error_type or ErrorType.UNKNOWN
        if not most_retries(kind, 1):
            return StopReason.NOT_RETRYABLE
        max_retries = most_retries(kind, max_retries)
    return StopReason.MAX_RETRIES if retry_count >= max_retries else None


def wait_for(error: Exception, computed: float, asked_by_server: float | None) -> float:
    """The server's wait where it named one, else the computed one.

    A refusal of ours may say 0 (a trial call is under way): then the computed wait holds, so that
    retries don't spin.
    """
    if asked_by_server is None:
        return computed
    if isinstance(error, RefusedError):
        return max(computed, asked_by_server)
    return asked_by_server
