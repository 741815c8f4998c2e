"""OpenTelemetry: metrics by the table, exceptions once, attempts as spans."""

import asyncio

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from seawall import ErrorRecoveryManager
from seawall.errors import ShutdownError
from seawall.events import BatchCommitted, ErrorLogged
from seawall.instrumentation.metrics import METRICS, measurements
from seawall.instrumentation.opentelemetry import instrument
from seawall.retry import retry
from seawall.scope import Scope, scoped
from seawall.tracing import close_span, open_span, spanned
from support.every_event import KINDS, event_of


class Seen:
    """What the SDK's in-memory exporters have."""

    def __init__(self, manager):
        self._spans, self._logs, self._reader = (
            InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
        )  # fmt: skip
        traces, logs = TracerProvider(), LoggerProvider()
        traces.add_span_processor(SimpleSpanProcessor(self._spans))
        logs.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.tracer = traces.get_tracer("test")
        self.undo = instrument(
            manager,
            tracer_provider=traces,
            meter_provider=MeterProvider([self._reader]),
            logger_provider=logs,
        )

    @property
    def spans(self):
        return list(self._spans.get_finished_spans())

    @property
    def logs(self):
        return [each.log_record for each in self._logs.get_finished_logs()]

    def metrics(self):
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def manager():
    return ErrorRecoveryManager("postgresql://nobody@localhost/nothing", pipeline_id="p")


@pytest.fixture
def seen(manager):
    seen = Seen(manager)
    yield seen
    seen.undo()


def test_metrics_are_those_of_the_table(manager, seen):
    fed = set()
    for kind in KINDS:
        event = event_of(kind)
        fed |= {f"seawall.{metric.name}" for metric, *_ in measurements(event, "p")}
        manager.bus.emit(event)
    manager.circuit_breaker("api")
    found = seen.metrics()
    assert set(found) == fed | {"seawall.circuit_breaker.state"}
    assert len(fed) == len(METRICS) - 1  # the event is of a part of the pipeline
    (point,) = found["seawall.rows.loaded"].data.data_points
    assert point.value == 3
    assert point.attributes == {"seawall.pipeline": "flights", "seawall.step": "load"}
    assert found["seawall.rows.loaded"].unit == "{row}"
    duration = found["seawall.batch.duration"]
    assert duration.unit == "s"
    assert duration.data.data_points[0].explicit_bounds[0] == 0.001
    states = {
        point.attributes["seawall.state"]: point.value
        for point in found["seawall.circuit_breaker.state"].data.data_points
    }
    assert states["closed"] == 1
    assert sum(states.values()) == 1


def test_nothing_is_reported_once_it_is_undone(manager, seen):
    manager.circuit_breaker("api")
    seen.undo()
    manager.bus.emit(event_of(BatchCommitted))
    with spanned(manager.bus, "run"):
        pass
    assert seen.spans == []
    assert seen.metrics() == {}
    assert manager.bus.listeners == ()


async def test_an_exception_is_recorded_once_in_the_span_around_it(manager, seen):
    @retry(bus=manager.bus, max_retries=2, initial_delay=0)
    async def connect():
        raise ConnectionError("no route to postgresql://me:hunter2@db/x")

    with seen.tracer.start_as_current_span("mine") as mine:
        with pytest.raises(ConnectionError):
            await connect()
        # The same, as it is logged later on.
        manager.bus.emit(event_of(ErrorLogged, counted=True))
    (record,) = seen.logs
    assert record.attributes["exception.type"] == "ConnectionError"
    assert "hunter2" not in str(record.attributes) + str(record.body)
    assert record.attributes["seawall.error_type"] == "transient"
    assert record.severity_text == "ERROR"
    assert record.span_id == mine.get_span_context().span_id
    assert all(not span.events for span in seen.spans)


def test_an_exception_that_was_only_logged_is_recorded(manager, seen):
    event = event_of(ErrorLogged, pattern_id="p-1")
    manager.bus.emit(event)
    (record,) = seen.logs
    assert record.attributes["seawall.error_id"] == str(event.error_id)
    assert record.attributes["seawall.pattern_id"] == "p-1"
    assert record.attributes["seawall.run_id"] == "run-4711"


@pytest.mark.real_time  # the times of spans are wall-clock times
async def test_attempts_of_a_call_that_failed_are_spans(manager, seen):
    calls = 0

    @retry(bus=manager.bus, max_retries=3, initial_delay=0.05, backoff_factor=1)
    async def flaky():
        nonlocal calls
        calls += 1
        with seen.tracer.start_as_current_span("inside"):
            if calls == 2:
                await asyncio.sleep(0.05)
            if calls < 3:
                raise ConnectionError("no route")

    with seen.tracer.start_as_current_span("mine") as mine:
        await flaky()
    attempts = [span for span in seen.spans if span.name.startswith("attempt ")]
    assert [span.attributes["seawall.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.status.status_code for span in attempts] == [
        StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET
    ]  # fmt: skip
    around = mine.get_span_context().span_id
    assert {span.parent.span_id for span in attempts} == {around}
    first, second, third = attempts
    assert 0.04e9 < second.start_time - first.end_time < 5e9
    assert 0.04e9 < second.end_time - second.start_time < 5e9
    assert second.end_time <= third.start_time <= third.end_time
    inside = [span for span in seen.spans if span.name == "inside"]
    assert {span.parent.span_id for span in inside} == {around}


async def test_a_call_that_succeeds_at_once_makes_no_span(manager, seen):
    @retry(bus=manager.bus)
    async def works():
        return 1

    assert await works() == 1
    assert seen.spans == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("password=hunter2"), StatusCode.ERROR),
        (ShutdownError("told to stop"), StatusCode.UNSET),
        (KeyboardInterrupt(), StatusCode.UNSET),
        (None, StatusCode.UNSET),
    ],
)
def test_a_span_tells_of_failures_and_not_of_stops(error, status, manager, seen):
    with scoped(Scope("flights", "run-1", "load", "1.2")):
        span = open_span(manager.bus, "batch", batch_id="b", attempt=2)
        with seen.tracer.start_as_current_span("inside"):
            pass
        close_span(span, error)
    with seen.tracer.start_as_current_span("after"):
        pass
    inside, batch, after = seen.spans
    assert inside.parent.span_id == batch.context.span_id
    assert after.parent is None
    assert batch.name == "batch load"
    assert batch.status.status_code is status
    assert "hunter2" not in str(batch.status.description)
    assert batch.events == ()
    assert batch.attributes["seawall.run_id"] == "run-1"
    assert batch.attributes["seawall.attempt"] == 2


def test_an_error_without_a_text_ends_its_span(manager, seen):
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    with pytest.raises(Broken), spanned(manager.bus, "run"):
        raise Broken
    (span,) = seen.spans
    assert span.status.description.endswith("Broken")
