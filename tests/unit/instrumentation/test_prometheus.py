"""Prometheus scrapes what happened, from a real endpoint."""

import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount

from seawall import ErrorRecoveryManager
from seawall.errors import CircuitOpenError
from seawall.events import BatchCommitted
from seawall.health.reading import HealthStatus, Reading
from seawall.instrumentation.metrics import METRICS, OBSERVED
from seawall.instrumentation.prometheus import exposed_name, instrument, metrics_app
from support.every_event import KINDS, event_of
from support.serving import get, serving

pytestmark = pytest.mark.real_time  # a server


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def manager():
    return ErrorRecoveryManager("postgresql://nobody@localhost/nothing", pipeline_id="p")


def has_samples(registry):
    return [sample for family in registry.collect() for sample in family.samples]


async def scraped(app, headers=()):
    async with serving(Starlette(routes=[Mount("/metrics", app)])) as port:
        status, found, body = await get(port, "/metrics/", headers=headers)
    assert status == 200
    return found, body.decode()


async def fail():
    raise ConnectionError("no route")


async def test_what_happened_is_scraped_from_a_real_endpoint(manager, registry):
    app = metrics_app(manager, registry)
    for kind in KINDS:
        manager.bus.emit(event_of(kind))
    manager.bus.emit(
        event_of(BatchCommitted, read_count=10, write_count=8, skip_count=2, elapsed_seconds=0.2)
    )
    breaker = manager.circuit_breaker("api", failure_threshold=1)
    with pytest.raises(ConnectionError):
        await breaker.call(fail)
    with pytest.raises(CircuitOpenError):
        await breaker.call(fail)
    found, text = await scraped(app)
    assert found["content-type"].startswith("text/plain")

    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name, tuple(sample.labels.values())] = sample.value
    of = ("flights", "load")
    assert samples["seawall_rows_loaded_total", of] == 8 + 3
    assert samples["seawall_rows_quarantined_total", of] == 2 + 3 + 3
    assert samples["seawall_batch_duration_seconds_count", of] == 2
    assert samples["seawall_batch_duration_seconds_sum", of] == 0.2 + 1.5
    assert samples["seawall_batch_duration_seconds_bucket", ("0.3", *of)] == 1
    attempts = ("a error_type", "a operation", "retried")
    assert samples["seawall_retry_attempts_total", attempts] == 1
    assert samples["seawall_circuit_breaker_state", ("api", "open")] == 1
    assert samples["seawall_circuit_breaker_state", ("api", "closed")] == 0
    assert samples["seawall_circuit_breaker_transitions_total", ("closed", "api", "open")] == 1

    shown = {name.removesuffix("_count") for name, _ in samples}
    not_fed = {"seawall_health_reading", "seawall_health_status", "seawall_failure_rate_ratio"}
    names = {exposed_name(metric) for metric in (*METRICS, *OBSERVED)}
    assert names - shown == not_fed

    if shutil.which("promtool"):
        lint = subprocess.run(
            ["promtool", "check", "metrics"], input=text, text=True, capture_output=True
        )
        assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


async def test_open_metrics_are_given_to_who_asks(manager, registry):
    app = metrics_app(manager, registry)
    manager.bus.emit(event_of(BatchCommitted))
    found, text = await scraped(app, {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert found["content-type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_readings_are_those_of_the_last_sample(manager, registry):
    instrument(manager, registry)
    reading = Reading(
        name="disk_percent", subject="/data", value=97.0, status=HealthStatus.CRITICAL, says="full"
    )
    manager.latest_health = lambda: [reading]
    labels = {"reading": "disk_percent", "subject": "/data"}
    assert registry.get_sample_value("seawall_health_reading", labels) == 97
    assert registry.get_sample_value("seawall_health_status", labels) == 2


def test_managers_share_a_registry_and_leave_it_as_it_was(manager, registry):
    other = ErrorRecoveryManager("postgresql://nobody@localhost/nothing", pipeline_id="q")
    undo, undo_other, again = (
        instrument(manager, registry), instrument(other, registry), instrument(manager, registry)
    )  # fmt: skip

    def batches():
        labels = {"pipeline": "flights", "step": "load"}
        return registry.get_sample_value("seawall_batches_total", labels)

    manager.bus.emit(event_of(BatchCommitted))
    other.bus.emit(event_of(BatchCommitted))
    assert batches() == 2  # the same manager twice is counted once
    again()
    again()  # does nothing
    manager.bus.emit(event_of(BatchCommitted))
    assert batches() == 3
    undo()
    manager.bus.emit(event_of(BatchCommitted))
    assert batches() == 3
    assert manager.bus.listeners == ()
    undo_other()
    assert has_samples(registry) == []
    instrument(manager, registry)()


@pytest.mark.parametrize("first", [True, False])
async def test_a_breaker_that_is_open_in_one_manager_is_shown_as_open(manager, registry, first):
    other = ErrorRecoveryManager("postgresql://nobody@localhost/nothing", pipeline_id="q")
    for each in (manager, other):
        instrument(each, registry)
        each.circuit_breaker("api", failure_threshold=1)
    with pytest.raises(ConnectionError):
        await (manager if first else other).circuit_breaker("api").call(fail)
    labels = {"service": "api", "state": "open"}
    assert registry.get_sample_value("seawall_circuit_breaker_state", labels) == 1


def test_names_that_are_taken_are_told_and_nothing_is_left_behind(manager, registry):
    other = Counter("seawall_hedges", "Somebody else's.", registry=registry)
    with pytest.raises(ValueError, match="seawall_hedges"):
        instrument(manager, registry)
    assert {sample.name.removesuffix("_created") for sample in has_samples(registry)} == {
        "seawall_hedges_total", "seawall_hedges"
    }  # fmt: skip
    assert manager.bus.listeners == ()
    registry.unregister(other)
    instrument(manager, registry)()
