"""What calls through policies report."""

from dataclasses import dataclass

from seawall.classification import Fingerprint
from seawall.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(Event):
    """A failed attempt will be repeated after ``wait_seconds``.

    ``stack`` tells where it came from, where the message may say nothing (``stack_fingerprint``);
    ``counted``: an inner policy has told of this very failure.
    """

    operation: str
    attempt: int
    wait_seconds: float
    elapsed_seconds: float
    error_type: str
    exception_type: str
    message: str
    stack: str | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySucceeded(Event):
    """An operation succeeded at attempt ``attempt`` (2 or later).

    ``fingerprints`` are those of the failures before that no table decides over, each once; none
    where nobody learns from outcomes. ``waits`` are the seconds waited before each retry (the first
    32); the error's fields are those of the last failure, as in ``RetryScheduled``.
    """

    operation: str
    attempt: int
    elapsed_seconds: float
    fingerprints: tuple[Fingerprint, ...] = ()
    waits: tuple[float, ...] = ()
    error_type: str = "unknown"
    message: str = ""
    stack: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryExhausted(Event):
    """An operation's last exception was given to its caller; ``stop_reason`` says why.

    ``fingerprints`` as in ``RetrySucceeded``; ``same_failure`` says that every attempt failed with
    the one there is. ``stack`` and ``counted`` as in ``RetryScheduled``, ``waits`` as in
    ``RetrySucceeded``.
    """

    operation: str
    attempt: int
    elapsed_seconds: float
    error_type: str
    exception_type: str
    message: str
    stop_reason: str
    fingerprints: tuple[Fingerprint, ...] = ()
    same_failure: bool = False
    stack: str | None = None
    counted: bool = False
    waits: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerTransition(Event):
    """A circuit breaker changed its state."""

    service_name: str
    from_state: str
    to_state: str
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackUsed(Event):
    """``position`` (1 is the first fallback) answered in place of the primary.

    ``error_type`` is that of the primary's failure.
    """

    operation: str
    fallback: str
    position: int
    error_type: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackExhausted(Event):
    """Neither the primary, which failed by ``error_type``, nor one of ``fallbacks`` answered."""

    operation: str
    fallbacks: int
    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadRejected(Event):
    """A call found no slot in a bulkhead, and no room or time to wait for one."""

    bulkhead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited(Event):
    """A rate limiter refused a call; it has a token again after ``retry_after`` seconds."""

    limiter: str
    retry_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStarted(Event):
    """A call took longer than ``delay_seconds``; attempt ``attempt`` was started beside it."""

    operation: str
    attempt: int
    delay_seconds: float
