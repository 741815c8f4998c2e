"""Every metric there is, once: from events to measurements, for Prometheus and OpenTelemetry."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from seawall.circuitbreaker import CircuitBreaker, CircuitState
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
from seawall.health.reading import HealthStatus, Reading
from seawall.instrumentation.metric import Kind, Measurement, Metric
from seawall.instrumentation.names import Names

# Batches take milliseconds to minutes; waits likewise; runs and steps seconds to hours.
_SHORT = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_LONG = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0, 10_000.0, 36_000.0)

METRICS: list[Metric] = []  # those that events feed


def _metric(
    name: str,
    kind: Kind,
    unit: str,
    text: str,
    labels: str = "",
    buckets: tuple[float, ...] = (),
) -> Metric:
    metric = Metric(name, kind, unit, text, tuple(labels.split()), buckets)
    METRICS.append(metric)
    return metric


def _counter(name: str, unit: str, text: str, labels: str) -> Metric:
    return _metric(name, Kind.COUNTER, unit, text, labels)


def _gauge(name: str, unit: str, text: str, labels: str) -> Metric:
    return _metric(name, Kind.GAUGE, unit, text, labels)


def _seconds(name: str, text: str, labels: str, buckets: tuple[float, ...]) -> Metric:
    return _metric(name, Kind.HISTOGRAM, "s", text, labels, buckets)


ATTEMPTS = _counter(
    "retry.attempts",
    "{attempt}",
    "Attempts of calls that failed at least once: retried, gave_up, or succeeded at last.",
    "operation error_type outcome",
)
EXHAUSTED = _counter(
    "retry.exhausted",
    "{call}",
    "Calls whose last exception was given to the caller, by why they stopped.",
    "operation stop_reason",
)
RETRY_WAIT = _seconds("retry.wait", "Waits before a retry.", "operation", _SHORT)
TRANSITIONS = _counter(
    "circuit_breaker.transitions",
    "{transition}",
    "Changes of state of circuit breakers, as this worker saw them.",
    "service from_state to_state",
)
FALLBACKS = _counter("fallbacks", "{call}", "Calls that a fallback answered.", "operation fallback")
FALLBACKS_EXHAUSTED = _counter(
    "fallbacks.exhausted",
    "{call}",
    "Calls that neither the primary nor a fallback answered.",
    "operation error_type",
)
REJECTIONS = _counter(
    "bulkhead.rejections", "{call}", "Calls that found no slot in a bulkhead.", "bulkhead"
)
LIMITED = _counter("rate_limited", "{call}", "Calls that a rate limiter refused.", "limiter")
HEDGES = _counter("hedges", "{attempt}", "Attempts started beside a slow one.", "operation")

SAVED = _counter(
    "checkpoints.saved", "{checkpoint}", "Saved by checkpoint_progress.", "pipeline step"
)
BATCHES = _counter("batches", "{batch}", "Batches committed.", "pipeline step")
BATCH_SECONDS = _seconds(
    "batch.duration", "From a batch's begin to its commit.", "pipeline step", _SHORT
)
ROWS_READ = _counter("rows.read", "{row}", "Records read, by committed batches.", "pipeline step")
ROWS_LOADED = _counter("rows.loaded", "{row}", "Records loaded and committed.", "pipeline step")
ROWS_QUARANTINED = _counter(
    "rows.quarantined",
    "{row}",
    "Records set aside, with the commit of their batch or by a call.",
    "pipeline step",
)
BATCH_RETRIES = _counter(
    "batch.retries", "{batch}", "Batches rolled back and run again.", "pipeline step"
)
STUCK_BATCHES = _counter(
    "batches.stuck", "{batch}", "Batches in flight for longer than they should.", "pipeline step"
)
LEASES_LOST = _counter(
    "leases.lost", "{lease}", "Steps that another worker took over.", "pipeline step"
)
STEPS = _counter("steps", "{step}", "Steps left.", "pipeline step status error_type")
STEP_SECONDS = _seconds("step.duration", "How long steps took.", "pipeline step status", _LONG)
RUNS = _counter("runs", "{run}", "Runs left by this worker.", "pipeline status error_type")
RUNS_STARTED = _counter("runs.started", "{run}", "Runs entered by this worker.", "pipeline")
RUN_SECONDS = _seconds("run.duration", "How long runs took.", "pipeline status", _LONG)
ABANDONED = _counter(
    "runs.abandoned", "{run}", "Runs whose workers had all vanished.", "pipeline status"
)
STUCK_RUNS = _counter("runs.stuck", "{run}", "Runs that saved nothing for too long.", "pipeline")

ERRORS = _counter("errors.logged", "{error}", "Rows of error_details.", "pipeline error_type")
ACTIONS = _counter(
    "recovery.actions",
    "{action}",
    "Recovery actions, when they are taken and when their outcome is known.",
    "pipeline action outcome",
)
OUTAGES = _counter(
    "journal.outages",
    "{outage}",
    "Times that this worker could not reach PostgreSQL, so that rows went to its journal.",
    "pipeline",
)
JOURNAL_ROWS = _counter(
    "journal.rows",
    "{row}",
    "Rows that were waiting in the journal: replayed to the database, or refused by it.",
    "pipeline outcome",
)
JOURNAL_DAMAGED = _counter(
    "journal.damaged", "By", "Bytes of the journal that could not be read.", "pipeline"
)
DROPPED = _counter("telemetry.dropped", "{row}", "Rows of telemetry not written.", "pipeline")
PATTERNS = _counter(
    "error_patterns",
    "{pattern}",
    "Error patterns seen for the first time in the fleet (new) or again (regression).",
    "pipeline kind error_type",
)
RATE_CHANGES = _counter(
    "failure_rate.changes",
    "{change}",
    "Changes of a pipeline's failure rate, told by one worker of the fleet.",
    "pipeline direction",
)
FAILURE_RATE = _gauge(
    "failure_rate", "1", "A pipeline's failure rate since its last change, 0 to 1.", "pipeline"
)
BUDGET_ALERTS = _counter(
    "budget.alerts",
    "{alert}",
    "Error budget alerts, told by one worker of the fleet.",
    "pipeline sli severity state",
)
BUDGET_FIRING = _gauge(
    "budget.alert_level",
    "",
    "Error budget alert as this worker told it last: 0 none, 1 ticket, 2 page.",
    "pipeline sli",
)
BURN_RATE = _gauge(
    "budget.burn_rate",
    "",
    "Burn rate of the error budget when its alert fired; 0 once that is resolved.",
    "pipeline sli window",
)
HEALTH_CHANGES = _counter(
    "health.changes",
    "{change}",
    "Crossings of health thresholds, there and back.",
    "reading to_status",
)

# Looked at whenever they are asked for, not fed by events.
BREAKER_STATE = Metric(
    "circuit_breaker.state",
    Kind.GAUGE,
    "",
    "1 for the state that the circuit breaker is in, 0 for the others.",
    ("service", "state"),
)
HEALTH_READING = Metric(
    "health.reading",
    Kind.GAUGE,
    "",
    "Readings of the last background sample, in the unit that their name ends in.",
    ("reading", "subject"),
)
HEALTH_STATUS = Metric(
    "health.status", Kind.GAUGE, "", "Readings judged: 0 ok, 1 warn, 2 critical.",
    ("reading", "subject"),
)  # fmt: skip
OBSERVED = (BREAKER_STATE, HEALTH_READING, HEALTH_STATUS)

_LEVELS = {"ticket": 1.0, "page": 2.0}


def _scheduled(event: RetryScheduled) -> Iterator[Measurement]:
    yield ATTEMPTS, 1, (event.operation, event.error_type, "retried")
    yield RETRY_WAIT, event.wait_seconds, (event.operation,)


def _exhausted(event: RetryExhausted) -> Iterator[Measurement]:
    yield ATTEMPTS, 1, (event.operation, event.error_type, "gave_up")
    yield EXHAUSTED, 1, (event.operation, event.stop_reason)


def _committed(event: BatchCommitted) -> Iterator[Measurement]:
    labels = (event.scope.pipeline_id, event.scope.step)
    yield BATCHES, 1, labels
    yield BATCH_SECONDS, event.elapsed_seconds, labels
    yield ROWS_READ, event.read_count, labels
    yield ROWS_LOADED, event.write_count, labels
    yield ROWS_QUARANTINED, event.skip_count, labels


def _set_aside(event: RecordsQuarantined) -> Iterator[Measurement]:
    yield ROWS_QUARANTINED, event.count, (event.scope.pipeline_id, event.scope.step)


def _step_ended(event: StepEnded) -> Iterator[Measurement]:
    pipeline, step = event.scope.pipeline_id, event.scope.step
    yield STEPS, 1, (pipeline, step, event.status, event.error_type)
    yield STEP_SECONDS, event.elapsed_seconds, (pipeline, step, event.status)


def _run_ended(event: RunEnded) -> Iterator[Measurement]:
    pipeline = event.scope.pipeline_id
    yield RUNS, 1, (pipeline, event.status, event.error_type)
    yield RUN_SECONDS, event.elapsed_seconds, (pipeline, event.status)


def _rate_changed(event: FailureRateChanged) -> Iterator[Measurement]:
    yield RATE_CHANGES, 1, (event.pipeline_id, event.direction)
    if event.subject is None:  # else it is a part's, and parts are many
        yield FAILURE_RATE, event.rate_after, (event.pipeline_id,)


def _replayed(event: JournalReplayed) -> Iterator[Measurement]:
    pipeline = event.scope.pipeline_id
    yield JOURNAL_ROWS, event.rows, (pipeline, "replayed")
    yield JOURNAL_ROWS, event.refused, (pipeline, "refused")
    yield JOURNAL_DAMAGED, event.damaged_bytes, (pipeline,)


def _dropped(event: TelemetryDropped) -> Iterator[Measurement]:
    yield DROPPED, event.count, (event.scope.pipeline_id,)


def _budget(event: BudgetAlert) -> Iterator[Measurement]:
    of = (event.pipeline_id, event.sli)
    fires = event.state == "firing"
    yield BUDGET_ALERTS, 1, (*of, event.severity, event.state)
    yield BUDGET_FIRING, _LEVELS.get(event.severity, 1.0) if fires else 0, of
    yield BURN_RATE, event.long_burn_rate if fires else 0, (*of, "long")
    yield BURN_RATE, event.short_burn_rate if fires else 0, (*of, "short")


def _one(metric: Metric, *names: str) -> Callable[[Any], Iterator[Measurement]]:
    """One more, labelled by the event's (or its scope's, ``@``) attributes."""

    def of(event: Any) -> Iterator[Measurement]:
        values = tuple(
            getattr(event.scope, name[1:]) if name[0] == "@" else getattr(event, name)
            for name in names
        )
        yield metric, 1, values

    return of


def _succeeded(event: RetrySucceeded) -> Iterator[Measurement]:
    yield ATTEMPTS, 1, (event.operation, None, "succeeded")


TABLE: dict[type[Event], Callable[[Any], Iterator[Measurement]]] = {
    RetryScheduled: _scheduled,
    RetrySucceeded: _succeeded,
    RetryExhausted: _exhausted,
    BreakerTransition: _one(TRANSITIONS, "service_name", "from_state", "to_state"),
    FallbackUsed: _one(FALLBACKS, "operation", "fallback"),
    FallbackExhausted: _one(FALLBACKS_EXHAUSTED, "operation", "error_type"),
    BulkheadRejected: _one(REJECTIONS, "bulkhead"),
    RateLimited: _one(LIMITED, "limiter"),
    HedgeStarted: _one(HEDGES, "operation"),
    BatchCommitted: _committed,
    RecordsQuarantined: _set_aside,
    CheckpointSaved: _one(SAVED, "@pipeline_id", "@step"),
    TelemetryDropped: _dropped,
    BatchRetried: _one(BATCH_RETRIES, "@pipeline_id", "@step"),
    BatchStuck: _one(STUCK_BATCHES, "@pipeline_id", "@step"),
    LeaseLost: _one(LEASES_LOST, "@pipeline_id", "@step"),
    StepEnded: _step_ended,
    RunStarted: _one(RUNS_STARTED, "@pipeline_id"),
    RunEnded: _run_ended,
    RunAbandoned: _one(ABANDONED, "@pipeline_id", "status"),
    RunStuck: _one(STUCK_RUNS, "@pipeline_id"),
    ErrorLogged: _one(ERRORS, "@pipeline_id", "error_type"),
    RecoveryActionTaken: _one(ACTIONS, "@pipeline_id", "action", "outcome"),
    JournalOpened: _one(OUTAGES, "@pipeline_id"),
    JournalReplayed: _replayed,
    PatternSeen: _one(PATTERNS, "@pipeline_id", "kind", "error_type"),
    FailureRateChanged: _rate_changed,
    BudgetAlert: _budget,
    HealthChanged: _one(HEALTH_CHANGES, "reading", "to_status"),
}


def measurements(event: Event, pipeline_id: str) -> Iterator[Measurement]:
    """What ``event`` adds to; nothing for a kind of event that the table doesn't know.

    Args:
        event: what happened.
        pipeline_id: the pipeline of what happened outside a run.
    """
    rule = TABLE.get(type(event))
    if rule is None:
        return
    for metric, value, labels in rule(event):
        if labels[0] is None and metric.labels[0] == "pipeline":
            labels = (pipeline_id, *labels[1:])  # noqa: PLW2901
        yield metric, value, labels


class Observable(Protocol):
    """What can be looked at: the manager."""

    def circuit_breakers(self) -> list[CircuitBreaker]: ...
    def latest_health(self) -> Sequence[Reading]: ...


def observed(
    managers: Iterable[Observable], names: Names
) -> dict[Metric, dict[tuple[str, ...], float]]:
    """The metrics of ``OBSERVED`` as they are now; of what shares its labels, the highest."""
    found: dict[Metric, dict[tuple[str, ...], float]] = {metric: {} for metric in OBSERVED}
    for manager in managers:
        for breaker in manager.circuit_breakers():
            _note(found, of_breaker(breaker.name, breaker.state), names)
        for reading in manager.latest_health():
            _note(found, of_reading(reading), names)
    return found


def _note(
    found: dict[Metric, dict[tuple[str, ...], float]],
    seen: Iterator[Measurement],
    names: Names,
) -> None:
    for metric, value, labels in seen:
        shown = names.of(metric, labels)
        found[metric][shown] = max(value, found[metric].get(shown, value))


def of_breaker(service_name: str, now: CircuitState) -> Iterator[Measurement]:
    """The state of one breaker."""
    for state in CircuitState:
        yield BREAKER_STATE, float(state is now), (service_name, state.value)


def of_reading(reading: Reading) -> Iterator[Measurement]:
    """One reading of the machine or the process."""
    labels = (reading.name, reading.subject)
    yield HEALTH_READING, reading.value, labels
    yield HEALTH_STATUS, HealthStatus(reading.status).severity, labels
