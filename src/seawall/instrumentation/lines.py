"""Every log line there is, once: from events to a logger, a level and a sentence."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from seawall.events import (
    BatchCommitted,
    BatchRetried,
    BatchStuck,
    BreakerTransition,
    BudgetAlert,
    BulkheadRejected,
    CheckpointSaved,
    ErrorLogged,
    Event,
    FailureRateChanged,
    FallbackExhausted,
    FallbackUsed,
    HealthChanged,
    HedgeStarted,
    JournalOpened,
    JournalReplayed,
    LeaseLost,
    PatternSeen,
    RateLimited,
    RecordsQuarantined,
    RecoveryActionTaken,
    RetryExhausted,
    RetryScheduled,
    RetrySucceeded,
    RunAbandoned,
    RunEnded,
    RunStarted,
    RunStuck,
    StepEnded,
    TelemetryDropped,
)

_DEBUG, _INFO, _WARNING, _ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

MANAGER = "ErrorRecoveryManager"


@dataclass(frozen=True, slots=True)
class Line:
    """How one kind of event is logged.

    Attributes:
        logger: its name.
        level: or what gives it.
        text: a sentence over the extras, in the form of ``%(name)s``.
        key: the extras that tell what is the same, when there is much of it.
    """

    logger: str
    level: int | Callable[[Any], int]
    text: str | Callable[[Any], str]
    key: tuple[str, ...] = ()

    def level_of(self, event: Event) -> int:
        return self.level if isinstance(self.level, int) else self.level(event)

    def text_of(self, event: Event) -> str:
        return self.text if isinstance(self.text, str) else self.text(event)


def _by_status(event: StepEnded | RunEnded) -> int:
    return _ERROR if event.status == "failed" else _INFO


def _ended(what: str) -> Callable[[Any], str]:
    def text(event: StepEnded | RunEnded) -> str:
        end = f"{what} %(status)s after %(elapsed_seconds).3f s"
        return end if event.message is None else f"{end}: %(error_message)s"

    return text


def _of_breaker(event: BreakerTransition) -> int:
    return _WARNING if event.to_state in ("open", "forced_open") else _INFO


def _of_budget(event: BudgetAlert) -> int:
    if event.state != "firing":
        return _INFO
    return _ERROR if event.severity == "page" else _WARNING


# Who tells these logs them too: a line of ours would be the second.
SELF_LOGGED = frozenset({HealthChanged, BatchStuck, JournalOpened, JournalReplayed})

LINES: dict[type[Event], Line] = {
    RetryScheduled: Line(
        "seawall.retry", _INFO,
        "%(operation)s: attempt %(attempt)d failed (%(error_type)s), again in "
        "%(wait_seconds).3f s: %(exception_type)s: %(error_message)s",
        ("operation", "exception_type"),
    ),
    RetrySucceeded: Line(
        "seawall.retry", _INFO,
        "%(operation)s succeeded at attempt %(attempt)d after %(elapsed_seconds).3f s",
        ("operation",),
    ),
    RetryExhausted: Line(
        "seawall.retry", _WARNING,
        "%(operation)s gave up after attempt %(attempt)d (%(stop_reason)s, %(error_type)s): "
        "%(exception_type)s: %(error_message)s",
        ("operation", "exception_type", "stop_reason"),
    ),
    BreakerTransition: Line(
        "seawall.circuitbreaker", _of_breaker,
        "circuit breaker of %(service_name)s: %(from_state)s -> %(to_state)s: %(reason)s",
        ("service_name", "to_state"),
    ),
    FallbackUsed: Line(
        "seawall.fallback", _WARNING,
        "%(operation)s: answered by fallback %(position)d, %(fallback)s",
        ("operation", "fallback"),
    ),
    FallbackExhausted: Line(
        "seawall.fallback", _WARNING,
        "%(operation)s failed (%(error_type)s), and none of %(fallbacks)d fallbacks answered",
        ("operation", "error_type"),
    ),
    BulkheadRejected: Line(
        "seawall.bulkhead", _WARNING, "bulkhead %(bulkhead)s is full: a call was refused",
        ("bulkhead",),
    ),
    RateLimited: Line(
        "seawall.ratelimiter", _INFO,
        "rate limiter %(limiter)s refused a call: free again in %(retry_after).3f s",
        ("limiter",),
    ),
    HedgeStarted: Line(
        "seawall.hedge", _DEBUG,
        "%(operation)s took longer than %(delay_seconds).3f s: attempt %(attempt)d beside it",
        ("operation",),
    ),
    BatchCommitted: Line(
        "seawall.checkpoint", _DEBUG,
        "batch %(batch_id)s committed in %(elapsed_seconds).3f s: %(read_count)d read, "
        "%(write_count)d loaded, %(skip_count)d set aside",
        ("pipeline_id", "step"),
    ),
    CheckpointSaved: Line(
        "seawall.checkpoint", _DEBUG, "checkpoint of step %(step)s of run %(run_id)s saved",
        ("pipeline_id", "step"),
    ),
    TelemetryDropped: Line(
        "seawall.recorder", _WARNING, "%(count)d rows of telemetry were dropped", ("pipeline_id",)
    ),
    RecordsQuarantined: Line(
        "seawall.quarantine", _WARNING, "%(count)d records set aside (%(error_type)s): %(reason)s",
        ("pipeline_id", "step", "reason"),
    ),
    BatchRetried: Line(
        "seawall.checkpoint", _WARNING,
        "batch %(batch_id)s was rolled back at attempt %(attempt)d and runs again: "
        "%(exception_type)s: %(error_message)s",
        ("pipeline_id", "step", "exception_type"),
    ),
    LeaseLost: Line(
        "seawall.checkpoint", _WARNING,
        "step %(step)s of run %(run_id)s, partition %(partition)d, is another worker's now",
        ("pipeline_id", "step"),
    ),
    StepEnded: Line(
        "seawall.checkpoint", _by_status, _ended("step %(step)s of run %(run_id)s"),
        ("pipeline_id", "status", "error_type"),
    ),
    RunStarted: Line(MANAGER, _INFO, "run %(run_id)s of %(pipeline_id)s starts", ("pipeline_id",)),
    RunEnded: Line(
        MANAGER, _by_status, _ended("run %(run_id)s of %(pipeline_id)s"),
        ("pipeline_id", "status", "error_type"),
    ),
    RunAbandoned: Line(
        MANAGER, _ERROR, "run %(run_id)s is %(status)s: %(workers)s vanished", ("pipeline_id",)
    ),
    RunStuck: Line(
        MANAGER, _WARNING, "run %(run_id)s has saved nothing for %(stalled_seconds).0f s",
        ("pipeline_id",),
    ),
    ErrorLogged: Line(
        MANAGER, _ERROR, "%(error_type)s error %(error_id)s: %(exception_type)s: %(error_message)s",
        ("pipeline_id", "exception_type", "fingerprint"),
    ),
    PatternSeen: Line(
        MANAGER, _WARNING, "%(kind)s error pattern %(pattern_id)s: %(error_message_pattern)s",
        ("pipeline_id", "kind"),
    ),
    RecoveryActionTaken: Line(
        MANAGER, _INFO, "recovery action %(action)s: %(summary)s",
        ("pipeline_id", "action", "outcome"),
    ),
    FailureRateChanged: Line(
        MANAGER, lambda event: _WARNING if event.direction == "rise" else _INFO,
        "failure rate of %(pipeline_id)s went from %(rate_before).4f to %(rate_after).4f: "
        "%(summary)s",
        ("pipeline_id", "subject", "direction"),
    ),
    BudgetAlert: Line(
        MANAGER, _of_budget,
        "error budget of %(pipeline_id)s (%(sli)s), %(severity)s %(state)s: burn rate "
        "%(long_burn_rate).1f over the long window, %(short_burn_rate).1f over the short one",
        ("pipeline_id", "sli", "severity", "state"),
    ),
}  # fmt: skip

# Names that a log record has for itself.
_RENAMED = {"message": "error_message"}
_LEFT_OUT = ("scope", "fingerprints", "same_failure", "counted")


# Whatever could begin a line, or steer a terminal.
_WRITTEN_OUT = {
    place: f"\\x{place:02x}" for place in (*range(32), *range(127, 160)) if place not in (9, 10, 13)
} | {9: "\\t", 10: "\\n", 13: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def one_line(text: str) -> str:
    """The text with its control characters written out, so that it can't forge a line."""
    return text if text.isprintable() else text.translate(_WRITTEN_OUT)


def extras(event: Event, clean: Callable[[str], str]) -> dict[str, Any]:
    """The event's fields and scope as a log record's extras; ``clean`` is for every text."""
    scope = event.scope
    found: dict[str, Any] = {
        "event_type": type(event).__name__,
        "pipeline_id": scope.pipeline_id and one_line(scope.pipeline_id),
        "run_id": scope.run_id and one_line(scope.run_id),
        "step": scope.step and one_line(scope.step),
        "release": scope.release and one_line(scope.release),
    }
    for field in fields(event):
        if field.name in _LEFT_OUT:
            continue
        value = getattr(event, field.name)
        if isinstance(value, UUID):
            value = str(value)
        elif isinstance(value, str):
            value = clean(value)
        name = _RENAMED.get(field.name, field.name)
        if value is not None or name not in found:
            found[name] = value
    return found
