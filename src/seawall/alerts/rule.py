"""From events to signals: what is worth telling a person."""

from collections.abc import Callable, Mapping
from typing import Any

from seawall.alerts.alert import Severity, Signal
from seawall.alerts.store import Growth
from seawall.events import (
    BatchStuck,
    BreakerTransition,
    BudgetAlert,
    Event,
    FailureRateChanged,
    HealthChanged,
    JournalOpened,
    JournalReplayed,
    LeaseLost,
    PatternSeen,
    RecoveryActionTaken,
    RunAbandoned,
    RunEnded,
    RunStuck,
)

Rule = Callable[[Any], Signal | None]

_HOUR, _DAY = 3600.0, 86_400.0
_OPEN = ("open", "forced_open")

# Readings that say that much is done, not that something is about to fail.
_BUSY = ("cpu_percent", "pool_percent")


def breaker_opened(event: BreakerTransition) -> Signal | None:
    """A breaker is open, until it is closed again; its trials in between change nothing."""
    if event.to_state not in (*_OPEN, "closed"):
        return None
    service = event.service_name
    return Signal(
        key=f"breaker_opened:{service}",
        rule="breaker_opened",
        firing=event.to_state in _OPEN,
        severity=Severity.WARNING,
        title=f"Circuit breaker of {service} is open",
        message=f"Calls to {service} are refused: {event.reason}. Look at the service; the breaker "
        "tries it again by itself.",
        labels={"service": service},
        sequence=event.epoch,
    )


def run_failed(event: RunEnded) -> Signal | None:
    """A run failed, until a run of the pipeline succeeds."""
    pipeline = event.scope.pipeline_id
    if pipeline is None or event.status not in ("failed", "succeeded"):
        return None
    return Signal(
        key=f"run_failed:{pipeline}",
        rule="run_failed",
        firing=event.status == "failed",
        severity=Severity.WARNING,
        title=f"A run of {pipeline} failed",
        message=f"Run {event.scope.run_id} ended with {event.message} ({event.error_type}). Start "
        "it again under the same id: it goes on where it was.",
        pipeline_id=pipeline,
        labels={"error_type": event.error_type or ""},
    )


def batch_stuck(event: BatchStuck) -> Signal:
    scope = event.scope
    return Signal(
        key=f"batch_stuck:{scope.run_id}:{scope.step}:{event.partition}",
        rule="batch_stuck",
        severity=Severity.WARNING,
        title=f"Step {scope.step} of {scope.run_id} hangs",
        message=f"A batch has been in flight for {event.elapsed_seconds:.0f} s, in {event.where}.",
        pipeline_id=scope.pipeline_id,
        labels={"step": scope.step or ""},
        quiet_seconds=_HOUR,
    )


def lease_lost(event: LeaseLost) -> Signal:
    scope = event.scope
    return Signal(
        key=f"lease_lost:{scope.run_id}:{scope.step}:{event.partition}",
        rule="lease_lost",
        severity=Severity.INFO,
        title=f"Step {scope.step} of {scope.run_id} was taken over",
        message="Another worker goes on with it; nothing is lost. If nobody meant to, look why "
        "this worker was silent for longer than its lease.",
        pipeline_id=scope.pipeline_id,
        labels={"step": scope.step or ""},
        quiet_seconds=_HOUR,
    )


def failure_rate(event: FailureRateChanged) -> Signal:
    """A pipeline fails more often, until it fails less often again; of a part of it, for a day."""
    what = event.pipeline_id if event.subject is None else f"{event.pipeline_id}, {event.subject}"
    return Signal(
        key=f"failure_rate:{event.pipeline_id}:{event.subject or ''}",
        rule="failure_rate",
        firing=event.direction == "rise",
        severity=Severity.WARNING,
        title=f"The failure rate of {what} went from {event.rate_before:.2%} to "
        f"{event.rate_after:.2%}",
        message=event.summary,
        pipeline_id=event.pipeline_id,
        labels={} if event.subject is None else {"subject": event.subject},
        quiet_seconds=None if event.subject is None else 24 * _HOUR,
    )


def escalated(event: RecoveryActionTaken) -> Signal | None:
    """Something was left to a person: too many automatic actions, or somebody's own decision."""
    if event.action != "escalate":
        return None
    pipeline = event.scope.pipeline_id
    return Signal(
        key=f"escalated:{pipeline}:{event.operation or ''}",
        rule="escalated",
        severity=Severity.WARNING,
        title=f"{pipeline or 'A pipeline'} needs a person",
        message=event.summary,
        pipeline_id=pipeline,
        labels={} if event.operation is None else {"operation": event.operation},
        quiet_seconds=_HOUR,
    )


def quarantine_growth(growth: Growth) -> Signal:
    """A pipeline sets more aside than it does on other days."""
    return Signal(
        key=f"quarantine_growth:{growth.pipeline_id}",
        rule="quarantine_growth",
        severity=Severity.WARNING,
        title=f"The quarantine of {growth.pipeline_id} grows",
        message=f"{growth.today:,} records were set aside today, {growth.usual:,.0f} on the usual "
        f"day; most of them: {growth.reason}. Look at some, mend the source or the table, and "
        "reprocess them.",
        pipeline_id=growth.pipeline_id,
        quiet_seconds=2 * _HOUR,
    )


def run_abandoned(event: RunAbandoned) -> Signal:
    """All workers of a run vanished, until a run of the pipeline succeeds."""
    pipeline = event.scope.pipeline_id
    return Signal(
        key=f"run_failed:{pipeline}",
        rule="run_failed",
        firing=event.status != "succeeded",
        severity=Severity.WARNING,
        title=f"A run of {pipeline} was abandoned",
        message=f"Run {event.scope.run_id} is {event.status}: {event.workers} vanished. Look for "
        "an out-of-memory kill or a lost machine, and start it again under the same id: it goes on "
        "where it was.",
        pipeline_id=pipeline,
    )


def run_stuck(event: RunStuck) -> Signal:
    scope = event.scope
    return Signal(
        key=f"run_stuck:{scope.run_id}",
        rule="run_stuck",
        severity=Severity.WARNING,
        title=f"Run {scope.run_id} is stuck",
        message=f"It has saved nothing for {event.stalled_seconds / 60:.0f} minutes; step "
        f"{event.step}, {event.workers}. Look at what the step waits for; killed, another worker "
        "goes on where it was.",
        pipeline_id=scope.pipeline_id,
        labels={"step": event.step or ""},
        quiet_seconds=_DAY,
    )


def health_changed(event: HealthChanged) -> Signal:
    """A reading is over its threshold, until it is back."""
    subject = "" if event.subject is None else f":{event.subject}"
    severity = Severity.CRITICAL if event.to_status == "critical" else Severity.WARNING
    if event.reading in _BUSY:
        severity = Severity.INFO
    return Signal(
        key=f"health:{event.reading}:{event.source}{subject}",
        rule="health",
        firing=event.to_status != "ok",
        severity=severity,
        title=f"{event.source}: {event.message}",
        message=f"{event.message}. {event.advice or ''}",
        labels={"reading": event.reading, "source": event.source},
        quiet_seconds=_DAY,  # its worker may end before it is back
    )


def error_budget(event: BudgetAlert) -> Signal:
    """A pipeline's error budget goes too fast, until it no longer does."""
    percent, aimed = 100 * event.bad / max(1, event.total), 100 * (1 - event.objective)
    return Signal(
        key=f"error_budget:{event.pipeline_id}:{event.sli}",
        rule="error_budget",
        firing=event.state == "firing",
        severity=Severity.CRITICAL if event.severity == "page" else Severity.WARNING,
        title=f"The error budget of {event.pipeline_id} burns {event.long_burn_rate:.3g}x",
        message=f"{event.bad} of {event.total} {event.sli} were bad ({percent:.3g} %, and "
        f"{aimed:.3g} % is the objective's room), by the rule {event.rule}. Look at its error "
        "patterns, and run the failed runs again under their ids once the cause is gone.",
        pipeline_id=event.pipeline_id,
        labels={"sli": event.sli, "budget_severity": event.severity},
    )


def pattern_seen(event: PatternSeen) -> Signal:
    """A kind of error that nobody has seen before, or one that was taken for mended."""
    returned = event.kind == "regression"
    return Signal(
        key=f"pattern_{event.kind}:{event.pattern_id}",
        rule=f"pattern_{event.kind}",
        severity=Severity.WARNING if returned else Severity.INFO,
        title="A resolved error is back" if returned else "A new kind of error",
        message=f"{event.error_message_pattern} ({event.error_type}). "
        f"See `seawall patterns list`, pattern {event.pattern_id}.",
        pipeline_id=event.scope.pipeline_id,
        labels={"pattern_id": event.pattern_id, "error_type": event.error_type},
        quiet_seconds=_DAY,
    )


def journal(event: JournalOpened | JournalReplayed) -> Signal:
    """Rows wait on a worker's disk, until they are in the database."""
    return Signal(
        key=f"journal:{event.host}:{event.folder}",
        rule="journal",
        firing=isinstance(event, JournalOpened),
        severity=Severity.WARNING,
        title=f"{event.host} could not reach PostgreSQL",
        message=f"Errors and quarantined records went to the journal in {event.folder}, and are "
        "brought to the database by themselves. Look at the server and the way to it; while rows "
        "wait, that folder must not be lost.",
        labels={"host": event.host},
    )


RULES: Mapping[type[Event], Rule] = {
    BreakerTransition: breaker_opened,
    RunEnded: run_failed,
    BatchStuck: batch_stuck,
    LeaseLost: lease_lost,
    RunAbandoned: run_abandoned,
    RunStuck: run_stuck,
    HealthChanged: health_changed,
    BudgetAlert: error_budget,
    FailureRateChanged: failure_rate,
    RecoveryActionTaken: escalated,
    PatternSeen: pattern_seen,
    JournalOpened: journal,
    JournalReplayed: journal,
}
