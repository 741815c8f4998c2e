"""Whether one more attempt may follow a failure: pure; the order of the questions is the rule."""

from seawall.classification import ErrorType, most_retries
from seawall.errors import CircuitOpenError, RefusedError
from seawall.retry.strategy import StopReason

# Enum members are slow to look up by name, and this is asked at every failure.
_MAX_RETRIES, _NOT_RETRYABLE = StopReason.MAX_RETRIES, StopReason.NOT_RETRYABLE
_CIRCUIT_OPEN = StopReason.CIRCUIT_OPEN


def reason_to_stop(
    error: Exception,
    error_type: ErrorType,
    asked: bool | None,
    retry_count: int,
    max_retries: int,
) -> StopReason | None:
    """Why no retry may follow, or None where one may.

    Args:
        error: what the attempt raised.
        error_type: its class.
        asked: what ``retry_on`` answers, or None where there is none and the matrix decides.
        retry_count: retries made so far.
        max_retries: retries allowed at the most.
    """
    if asked is None:
        if isinstance(error, RefusedError):
            asked = False
        else:
            if retry_count < most_retries(error_type, max_retries):
                return None
            return _MAX_RETRIES if most_retries(error_type, 1) else _NOT_RETRYABLE
    if not asked:
        return _CIRCUIT_OPEN if isinstance(error, CircuitOpenError) else _NOT_RETRYABLE
    return _MAX_RETRIES if retry_count >= max_retries else None


def wait_for(error: Exception | None, computed: float, asked_by_server: float | None) -> float:
    """The server's wait where it named one, else the computed one.

    A refusal of ours may say 0 (a trial call is under way): then the computed wait holds, so that
    retries don't spin.
    """
    if asked_by_server is None:
        return computed
    if isinstance(error, RefusedError):
        return max(computed, asked_by_server)
    return asked_by_server
