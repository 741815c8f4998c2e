"""What does being seen cost: an event, a batch's span, a call, an exception?

Prints microseconds (median of short rounds that take turns) with nothing, and with each of the
log, Prometheus and OpenTelemetry on. OpenTelemetry runs its SDK, with processors whose exporters
drop everything. ``--json`` prints the same as JSON.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import statistics
import time

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from prometheus_client import CollectorRegistry, generate_latest

from seawall import ErrorRecoveryManager
from seawall.events import BatchCommitted, ErrorLogged, RetryScheduled, StepEnded
from seawall.instrumentation import opentelemetry, prometheus
from seawall.instrumentation.logs import log_events
from seawall.instrumentation.names import Names
from seawall.instrumentation.exceptions import Exceptions
from seawall.clock import uuid7
from seawall.masking import default_masker
from seawall.retry import retry
from seawall.scope import Scope, scoped
from seawall.tracing import close_span, open_span

SCOPE = Scope("flights", "flights-1", "load")
MESSAGE = "could not connect to host api.example.com port 443: connection refused"


class NoSpans(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS


class NoLogs(LogRecordExporter):
    def export(self, batch):
        return LogRecordExportResult.SUCCESS

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30_000):
        return True


def providers(sampler):
    traces, logs = TracerProvider(sampler=sampler), LoggerProvider()
    traces.add_span_processor(BatchSpanProcessor(NoSpans()))
    logs.add_log_record_processor(BatchLogRecordProcessor(NoLogs()))
    return {
        "tracer_provider": traces, "logger_provider": logs, "meter_provider": MeterProvider()
    }  # fmt: skip


WAYS = (
    "nothing", "a listener", "log, level off", "log", "prometheus", "opentelemetry",
    "opentelemetry, not sampled",
)  # fmt: skip


def managers():
    """A manager for each way to be seen."""
    dsn = "postgresql://nobody@localhost/nothing"
    made = {name: ErrorRecoveryManager(dsn, pipeline_id="p") for name in WAYS}
    made["a listener"].bus.subscribe(lambda event: None)
    log_events(made["log"], most_per_minute=10_000)
    log_events(made["log, level off"])
    prometheus.instrument(made["prometheus"], CollectorRegistry())
    opentelemetry.instrument(made["opentelemetry"], **providers(ALWAYS_ON))
    opentelemetry.instrument(made["opentelemetry, not sampled"], **providers(ALWAYS_OFF))
    return made


EVENTS = {
    "a batch": lambda: BatchCommitted(
        partition=0, batch_id="b" * 32, read_count=1000, write_count=998, skip_count=2,
        elapsed_seconds=0.2,
    ),
    "a step": lambda: StepEnded(status="succeeded", elapsed_seconds=3.0),
    "a failed attempt": lambda: RetryScheduled(
        operation="fetch", attempt=1, wait_seconds=0.0, elapsed_seconds=0.1,
        error_type="transient", exception_type="ConnectionError", message=MESSAGE,
    ),
    "a logged error": lambda: ErrorLogged(
        error_id=uuid7(), error_type="transient", exception_type="ConnectionError",
        message=MESSAGE, stack=None, fingerprint="f" * 32,
    ),
}  # fmt: skip


def emitted(bus, make):
    if bus.listeners:
        bus.emit(make())


def span_of(bus):
    close_span(open_span(bus, "batch", batch_id="b" * 32, partition=0, attempt=1, records=9), None)


def subjects():
    """By row and column, a callable."""
    found = {}
    for name, manager in managers().items():
        bus = manager.bus
        for what, make in EVENTS.items():
            found[what, name] = lambda bus=bus, make=make: emitted(bus, make)
        found["a batch's span", name] = lambda bus=bus: span_of(bus)
    error = failure()
    traces = providers(ALWAYS_ON)
    tracer = traces["tracer_provider"].get_tracer("bench")
    exceptions = Exceptions(traces["logger_provider"].get_logger("bench"), "p", default_masker)
    event = EVENTS["a logged error"]()

    def as_span_event():
        span = tracer.start_span("x")
        span.record_exception(error)
        span.end()

    def span_alone():
        tracer.start_span("x").end()

    found["an exception", "as a log record (ours)"] = lambda: exceptions.hear(event)
    found["an exception", "as a span event"] = as_span_event
    found["an exception", "the span of that alone"] = span_alone
    names, metric = Names(), next(iter(prometheus.METRICS))
    found["bounded labels", "known"] = lambda: names.of(metric, ("fetch", "transient", "retried"))
    return found


def failure():
    def deep(levels):
        if levels:
            return deep(levels - 1)
        raise ConnectionError(MESSAGE)

    try:
        deep(20)
    except ConnectionError as error:
        return error


def timed(subject, number):
    began = time.perf_counter()
    for _ in range(number):
        subject()
    return (time.perf_counter() - began) / number * 1e6


async def retried(rounds, number):
    """A call that succeeds, under a retry of each manager."""
    taken = {}

    async def operation():
        return None

    calls = {name: retry(bus=manager.bus)(operation) for name, manager in managers().items()}
    for _ in range(rounds):
        for name, call in {"bare await": operation, **calls}.items():
            began = time.perf_counter()
            for _ in range(number):
                await call()
            taken.setdefault(("a call that succeeds", name), []).append(
                (time.perf_counter() - began) / number * 1e6
            )
    return taken


def scrape():
    """Seconds for a scrape of 1,000 label sets a metric of batches and steps."""
    registry = CollectorRegistry()
    manager = ErrorRecoveryManager("postgresql://nobody@localhost/nothing", pipeline_id="p")
    prometheus.instrument(manager, registry)
    for pipeline in range(10):
        for step in range(100):
            with scoped(Scope(f"p{pipeline}", "r", f"s{step}")):
                manager.bus.emit(EVENTS["a batch"]())
                manager.bus.emit(EVENTS["a step"]())
    began = time.perf_counter()
    size = len(generate_latest(registry))
    return time.perf_counter() - began, size


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in ("seawall", "ErrorRecoveryManager"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        logger.addHandler(logging.FileHandler(os.devnull))
    found = subjects()
    taken = {}
    with scoped(SCOPE):
        for _ in range(options.rounds):
            for key, subject in found.items():
                off = key[1] == "log, level off"
                logging.disable(logging.CRITICAL if off else logging.NOTSET)
                gc.collect()
                taken.setdefault(key, []).append(timed(subject, options.calls))
        logging.disable(logging.NOTSET)
        taken |= asyncio.run(retried(options.rounds, options.calls * 20))
    medians = {key: statistics.median(times) for key, times in taken.items()}
    seconds, size = scrape()
    if options.json:
        rows = {" / ".join(key): value for key, value in medians.items()}
        print(json.dumps({"us": rows, "scrape_seconds": seconds, "scrape_bytes": size}, indent=1))
        return
    for row in dict.fromkeys(key[0] for key in medians):
        print(f"{row}, microseconds")
        for (each, column), value in medians.items():
            if each == row:
                print(f"  {column:<32}{value:>10.3f}")
    print(f"a scrape of 1,000 pipelines and steps: {seconds * 1e3:.0f} ms, {size:,} bytes")


if __name__ == "__main__":
    main()
