"""What happened, as frozen values, and the bus that takes them to whoever listens.

Every part reports by ``bus.emit(event)`` and by nothing else; tables, log lines, metrics and
alerts are listeners. A listener is a plain callable: one that raises is logged and harms nobody.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from seawall.classification import Fingerprint
from seawall.scope import Scope, current_scope
from seawall.tracing import Tracer

_logger = logging.getLogger("seawall.events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base of all events.

    Attributes:
        scope: the run and step in whose context it happened.
    """

    scope: Scope = field(default_factory=current_scope.get)


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
    where nobody learns from outcomes.
    """

    operation: str
    attempt: int
    elapsed_seconds: float
    fingerprints: tuple[Fingerprint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryExhausted(Event):
    """An operation's last exception was given to its caller; ``stop_reason`` says why.

    ``fingerprints`` as in ``RetrySucceeded``; ``same_failure`` says that every attempt failed with
    the one there is. ``stack`` and ``counted`` as in ``RetryScheduled``.
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
    """``position`` (1 is the first fallback) answered in place of the primary."""

    operation: str
    fallback: str
    position: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCommitted(Event):
    """A batch's rows, its quarantined rows and its position are committed."""

    partition: int
    batch_id: str
    read_count: int
    write_count: int
    skip_count: int
    elapsed_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStuck(Event):
    """A batch has been in flight for longer than it should; ``where`` is what it waits in."""

    partition: int
    batch_id: str
    elapsed_seconds: float
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost(Event):
    """Another worker has taken the step over: this one can commit nothing more."""

    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRetried(Event):
    """A batch was rolled back and is run again as a whole."""

    partition: int
    batch_id: str
    attempt: int
    exception_type: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded(Event):
    """A step was left, streaming or ``run.step``; a kept result that was given again is no end.

    ``status`` is ``succeeded``, ``failed`` or ``cancelled`` (stopped, or taken over by another
    worker). ``error_type`` is there where it failed, ``exception_type`` and ``message`` (secrets
    masked) wherever an exception ended it.
    """

    status: str
    elapsed_seconds: float
    partition: int = 0
    error_type: str | None = None
    exception_type: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRateChanged(Event):
    """A pipeline's failure rate went up or down; told once a change, by one worker of the fleet.

    ``subject`` is the part whose rate it is (``step × host: load × a``), None for the whole;
    ``began_at`` is ISO 8601 in UTC; rates are 0 to 1; ``summary`` says it in sentences, with what
    sets the failures apart.
    """

    pipeline_id: str
    subject: str | None
    direction: str
    began_at: str
    rate_before: float
    rate_after: float
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """A run's scope was left; ``status`` is ``succeeded``, ``failed`` or ``cancelled``."""

    status: str
    elapsed_seconds: float
    error_type: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAbandoned(Event):
    """All workers of a run have vanished; ``status`` is what it ended as.

    ``abandoned``, or as the last worker that left it in order. Told once, by whoever found it; its
    scope is the run's.
    """

    status: str
    workers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStuck(Event):
    """A run's workers live, but it has saved nothing for ``stalled_seconds``.

    Told once in the fleet, until it goes on and gets stuck again; its scope is the run's.
    """

    stalled_seconds: float
    step: str | None
    workers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged(Event):
    """A reading of the machine or the process crossed a threshold, or came back.

    ``reading`` is its name, ``subject`` which disk, ``source`` whose it is: the host where all its
    processes read the same, else the worker. These three tell what is the same; statuses are
    ``ok``, ``warn`` and ``critical``. ``message`` says it in words, ``advice`` what to do (None
    when it is ok again).
    """

    reading: str
    subject: str | None
    source: str
    from_status: str
    to_status: str
    value: float
    threshold: float | None
    message: str
    advice: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetAlert(Event):
    """A pipeline's error budget goes too fast, or no longer does; told by one worker of the fleet.

    ``state`` is ``firing`` or ``resolved``, ``severity`` ``page`` or ``ticket``, ``sli`` ``runs``
    or ``rows``. The figures are of ``rule`` when it fired: the burn rates of its windows, and what
    its long one held. An outage is told once as firing (twice where a ticket becomes a page) and
    once as resolved; a worker that dies in the middle of telling leaves it to be told again.
    """

    alert_id: UUID
    pipeline_id: str
    sli: str
    state: str
    severity: str
    rule: str
    objective: float
    long_burn_rate: float
    short_burn_rate: float
    bad: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLogged(Event):
    """A row of ``error_details`` is written.

    Attributes:
        error_id: its key.
        error_type: the recovery class.
        exception_type: qualified name; of a group with one member, that member's.
        message: secrets masked; of that member likewise.
        stack: as in ``RetryScheduled``.
        fingerprint: the row's.
        operation: the call that failed, where it was named.
        pattern_id: the pattern as known at that moment.
        counted: a ``RetryExhausted`` has told of this failure.
    """

    error_id: UUID
    error_type: str
    exception_type: str
    message: str
    stack: str | None
    fingerprint: str
    operation: str | None = None
    pattern_id: str | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalOpened(Event):
    """PostgreSQL can't be reached: durable rows go to the journal in ``folder`` from now on."""

    host: str
    folder: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalReplayed(Event):
    """The journal's rows are in the database; ``refused`` and ``damaged_bytes`` are set aside."""

    host: str
    folder: str
    rows: int
    refused: int
    damaged_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternSeen(Event):
    """An error pattern was seen for the first time in the fleet, or after it had been resolved.

    Emitted in one worker of the fleet, when its counts are written (``scope`` names the pipeline).

    Attributes:
        kind: ``new`` or ``regression``.
        pattern_id: the pattern.
        error_message_pattern: the message, ``<*>`` for what varies.
        error_type: the recovery class.
        frequency: errors of it that this worker had when it told.
    """

    kind: str
    pattern_id: str
    error_message_pattern: str
    error_type: str
    frequency: int


Listener = Callable[[Event], object]


class EventBus:
    """Takes each event to every listener, in order of subscription.

    May be shared between tasks and threads; listeners run in the emitter's. With no listener,
    callers skip making the event: ``if bus.listeners: bus.emit(...)``. ``tracer`` makes spans,
    where one is set.
    """

    __slots__ = ("listeners", "token", "tracer")

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)  # names it in marks on exceptions
        self.listeners: tuple[Listener, ...] = ()
        self.tracer: Tracer | None = None

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add ``listener``; the returned function takes it away again."""
        self.listeners = (*self.listeners, listener)

        def unsubscribe() -> None:
            self.listeners = tuple(each for each in self.listeners if each is not listener)

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Give ``event`` to every listener; one that raises is logged, the others still hear it."""
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:
                _logger.exception("listener %r failed on %s", listener, type(event).__name__)


default_bus = EventBus()
