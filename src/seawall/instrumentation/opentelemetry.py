"""Metrics, spans and exceptions for OpenTelemetry. Needs the extra ``opentelemetry``."""

import functools
from collections.abc import Callable, Iterable

from opentelemetry import metrics, trace
from opentelemetry._logs import LoggerProvider, get_logger_provider
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import TracerProvider

from seawall._version import __version__
from seawall.events import Event
from seawall.instrumentation.exceptions import Exceptions
from seawall.instrumentation.metric import Kind, Metric
from seawall.instrumentation.metrics import METRICS, OBSERVED, measurements, observed
from seawall.instrumentation.names import Names
from seawall.instrumentation.spans import Attempts, Spans
from seawall.manager import ErrorRecoveryManager
from seawall.quarantine.payload import PayloadForm

_SCOPE = "seawall"


def instrument(
    manager: ErrorRecoveryManager,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
) -> Callable[[], None]:
    """Report what ``manager`` does; the returned function ends it.

    Metrics are those of Prometheus, named ``seawall.retry.attempts`` and so on. Runs, steps and
    batches are spans, and your own spans inside are their children. Attempts of calls that failed
    are spans made when the attempt is over. Exceptions are log records, each once.

    Args:
        manager: started or not. One tracer a manager: the last one counts.
        tracer_provider: None: the global one; as are the two below.
        meter_provider: for metrics.
        logger_provider: for exceptions.
    """
    tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
    meter = (meter_provider or metrics.get_meter_provider()).get_meter(_SCOPE, __version__)
    logger = (logger_provider or get_logger_provider()).get_logger(_SCOPE, __version__)
    masker = PayloadForm.of(manager.config).masker
    names = Names()
    spans = Spans(tracer, manager.pipeline_id, names, masker)
    counting = _Metrics(meter, manager, names)
    undos = [
        manager.bus.subscribe(counting.hear),
        manager.bus.subscribe(Exceptions(logger, manager.pipeline_id, masker).hear),
        manager.bus.subscribe(Attempts(tracer, names, masker).hear),
        counting.stop,
    ]
    manager.bus.tracer = spans

    def undo() -> None:
        for each in undos:
            each()
        if manager.bus.tracer is spans:
            manager.bus.tracer = None

    return undo


class _Metrics:
    """The table's metrics as instruments of one meter."""

    def __init__(self, meter: metrics.Meter, manager: ErrorRecoveryManager, names: Names) -> None:
        self._manager: ErrorRecoveryManager | None = manager
        self._pipeline_id, self._names = manager.pipeline_id, names
        self._attributes: dict[tuple[Metric, tuple[str, ...]], dict[str, str]] = {}
        self._adders = {metric: _adder(meter, metric) for metric in METRICS}
        for metric in OBSERVED:
            meter.create_observable_gauge(
                _name(metric),
                [functools.partial(self._observe, metric)],
                unit=metric.unit,
                description=metric.help,
            )

    def hear(self, event: Event) -> None:
        for metric, value, labels in measurements(event, self._pipeline_id):
            key = (metric, self._names.of(metric, labels))
            attributes = self._attributes.get(key)
            if attributes is None:
                attributes = self._attributes[key] = _attributes(*key)
            self._adders[metric](value, attributes)

    def stop(self) -> None:
        """Observe nothing more: a meter keeps its instruments for good."""
        self._manager = None

    def _observe(self, metric: Metric, _options: CallbackOptions) -> Iterable[Observation]:
        manager = self._manager
        if manager is None:
            return
        for labels, value in observed([manager], self._names)[metric].items():
            yield Observation(value, _attributes(metric, labels))


def _name(metric: Metric) -> str:
    return f"seawall.{metric.name}"


def _attributes(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    pairs = zip(metric.labels, labels, strict=True)
    return {f"seawall.{label}": value for label, value in pairs if value}


def _adder(meter: metrics.Meter, metric: Metric) -> Callable[[float, dict[str, str]], None]:
    name, unit, text = _name(metric), metric.unit, metric.help
    if metric.kind is Kind.COUNTER:
        return meter.create_counter(name, unit, text).add
    if metric.kind is Kind.GAUGE:
        return meter.create_gauge(name, unit, text).set
    return meter.create_histogram(
        name, unit, text, explicit_bucket_boundaries_advisory=metric.buckets
    ).record
