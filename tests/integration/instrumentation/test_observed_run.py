"""A real run over a real database, as Prometheus, OpenTelemetry, the log and a probe see it."""

import json
import logging

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from seawall import ErrorRecoveryManager
from seawall.instrumentation.asgi import health_app
from seawall.instrumentation.logs import log_events
from seawall.instrumentation.opentelemetry import instrument
from seawall.instrumentation.prometheus import metrics_app
from support.serving import get, serving


@pytest.fixture
async def manager(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("CREATE TABLE rows (id int PRIMARY KEY, word text NOT NULL)")
    await connection.close()
    config = {"health_interval_seconds": 0.1, "health_thresholds": {"memory_percent": None,
              "disk_percent": None, "disk_inodes_percent": None}}  # fmt: skip
    async with ErrorRecoveryManager(database_dsn, config=config, pipeline_id="p") as manager:
        yield manager


class Telemetry:
    def __init__(self, manager):
        self._spans, self._logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
        traces, logs = TracerProvider(), LoggerProvider()
        traces.add_span_processor(SimpleSpanProcessor(self._spans))
        logs.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.tracer = traces.get_tracer("user")
        self.undo = instrument(
            manager,
            tracer_provider=traces,
            meter_provider=MeterProvider(),
            logger_provider=logs,
        )

    @property
    def spans(self):
        return list(self._spans.get_finished_spans())

    @property
    def logs(self):
        return [each.log_record for each in self._logs.get_finished_logs()]

    def named(self, name):
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def telemetry(manager):
    telemetry = Telemetry(manager)
    yield telemetry
    telemetry.undo()


def numbers(position):
    return ((n, None if n == 7 else "x") for n in range((position or 0) + 1, 31))


JOB = {"step": "load", "size": 10, "position": lambda row: row[0]}


async def test_a_run_is_one_trace_and_the_users_spans_are_inside(manager, telemetry):
    async def sink(tx, batch):
        with telemetry.tracer.start_as_current_span("mine"):
            await tx.load("rows", batch.records)

    async def plain():
        with telemetry.tracer.start_as_current_span("inside the step"):
            return 1

    async with manager.run("flights", "r-1", release="1.2") as run:
        await manager.stream(numbers, sink, run_id=run.run_id, **JOB)
        await run.step("count", plain)
    (root,) = telemetry.named("run flights")
    assert root.parent is None
    assert root.attributes["seawall.run_id"] == "r-1"
    assert root.attributes["seawall.release"] == "1.2"
    assert {span.context.trace_id for span in telemetry.spans} == {root.context.trace_id}
    (step,), (count,) = telemetry.named("step load"), telemetry.named("step count")
    assert step.parent.span_id == count.parent.span_id == root.context.span_id
    batches = telemetry.named("batch load")
    assert len(batches) == 3
    assert {span.parent.span_id for span in batches} == {step.context.span_id}
    assert [span.attributes["seawall.records"] for span in batches] == [10, 10, 10]
    mine = telemetry.named("mine")
    assert [span.parent.span_id for span in mine] == [span.context.span_id for span in batches]
    (inside,) = telemetry.named("inside the step")
    assert inside.parent.span_id == count.context.span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_batches_side_by_side_and_acknowledged_ones_have_their_own_spans(manager, telemetry):
    async def sink(tx, batch):
        with telemetry.tracer.start_as_current_span("mine") as span:
            span.set_attribute("batch", batch.id)
            await tx.load("rows", batch.records)

    await manager.stream(numbers, sink, run_id="r-2", concurrency=2, **JOB)
    batches = {
        span.attributes["seawall.batch_id"]: span.context.span_id
        for span in telemetry.named("batch load")
    }
    assert len(batches) == 3
    for span in telemetry.named("mine"):
        assert span.parent.span_id == batches[span.attributes["batch"]]
    async with manager.checkpoint("r-3", "send", size=20) as cp:
        async for batch in cp.batches(range(30)):
            async with batch.acknowledge():
                with telemetry.tracer.start_as_current_span("sent"):
                    pass
    sent, out = telemetry.named("sent"), telemetry.named("batch send")
    assert [span.parent.span_id for span in sent] == [span.context.span_id for span in out]
    assert len(out) == 2


async def test_a_run_that_fails_records_its_exception_once(manager, telemetry):
    async def sink(tx, batch):
        raise ValueError("no such thing: password=hunter2")

    with pytest.raises(ValueError, match="no such thing"):
        async with manager.run("flights", "r-4") as run:
            await manager.stream(numbers, sink, run_id=run.run_id, **JOB)
    for name in ("run flights", "step load", "batch load"):
        (span,) = telemetry.named(name)
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == "ValueError"
        assert "hunter2" not in span.status.description
        assert span.events == ()
    (record,) = telemetry.logs
    assert record.attributes["exception.type"] == "ValueError"
    assert record.trace_id == telemetry.named("run flights")[0].context.trace_id
    assert "hunter2" not in str(record.body)
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_a_scrape_the_log_and_the_probes_tell_the_same(manager, caplog):
    caplog.set_level(logging.DEBUG, "seawall.checkpoint")
    caplog.set_level(logging.DEBUG, "ErrorRecoveryManager")
    registry = CollectorRegistry()
    log_events(manager)
    app = Starlette(
        routes=[Mount("/metrics", metrics_app(manager, registry)), Mount("/", health_app(manager))]
    )
    async with manager.run("flights", "r-5") as run:
        await manager.stream(numbers, "rows", run_id=run.run_id, **JOB)
    async with serving(app) as port:
        text = (await get(port, "/metrics/"))[2].decode()
        assert [(await get(port, path))[0] for path in ("/live", "/ready", "/health")] == [200] * 3
        health = json.loads((await get(port, "/health"))[2])
    assert health["worker"]["pipeline_id"] == "p"
    of = 'pipeline="flights",step="load"'
    assert f"seawall_rows_loaded_total{{{of}}} 29.0" in text
    assert f"seawall_rows_quarantined_total{{{of}}} 1.0" in text
    assert f"seawall_batch_duration_seconds_count{{{of}}} 3.0" in text
    assert 'seawall_runs_total{error_type="",pipeline="flights",status="succeeded"} 1.0' in text
    assert "r-5" not in text
    committed = [r for r in caplog.records if getattr(r, "event_type", "") == "BatchCommitted"]
    assert [(r.run_id, r.read_count) for r in committed] == [("r-5", 10)] * 3
    started, ended = [r for r in caplog.records if r.name == "ErrorRecoveryManager"]
    assert started.getMessage() == "run r-5 of flights starts"
    assert "run r-5 of flights succeeded" in ended.getMessage()
