"""What is noticed of failures, machines and budgets."""

from dataclasses import dataclass
from uuid import UUID

from seawall.events.event import Event


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
class TelemetryDropped(Event):
    """Rows of telemetry were not written: too many waited, or the database was out of reach.

    ``count`` since the last such event; one a second at the most.
    """

    count: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryActionTaken(Event):
    """A row of ``recovery_actions`` was written, or its outcome is known; see its columns.

    ``outcome`` is ``succeeded``, ``failed``, or None while nobody knows; ``summary`` is masked.
    """

    action_id: UUID
    action: str
    outcome: str | None
    automatic: bool
    error_type: str | None
    operation: str | None
    pattern_id: str | None
    summary: str
