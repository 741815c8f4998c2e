"""One table of metrics, and label values that can't grow without end."""

import dataclasses

import pytest

from seawall.circuitbreaker import CircuitState
from seawall.classification import ErrorType
from seawall.events import (
    BatchCommitted,
    BudgetAlert,
    FailureRateChanged,
    JournalReplayed,
    RecordsQuarantined,
    RunEnded,
)
from seawall.instrumentation.lines import LINES, SELF_LOGGED
from seawall.instrumentation.metric import OPEN, Kind, Metric
from seawall.instrumentation.metrics import METRICS, OBSERVED, TABLE, measurements, of_breaker
from seawall.instrumentation.names import Names
from seawall.scope import NO_SCOPE
from support.every_event import KINDS, event_of

# Their values are enums of ours.
CLOSED = {
    "error_type", "outcome", "stop_reason", "from_state", "to_state", "status", "kind", "direction",
    "sli", "severity", "state", "window", "reading", "to_status",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_has_measurements(kind):
    found = list(measurements(event_of(kind), "p"))
    assert found
    for metric, value, labels in found:
        assert metric in METRICS
        assert len(labels) == len(metric.labels)
        assert value >= 0


def test_every_metric_is_fed_by_an_event():
    fed = {metric for kind in KINDS for metric, *_ in measurements(event_of(kind), "p")}
    events = [event_of(FailureRateChanged, subject=None), event_of(BudgetAlert, state="firing")]
    fed |= {metric for event in events for metric, *_ in measurements(event, "p")}
    assert fed == set(METRICS)
    assert set(TABLE) == set(KINDS)


def test_every_event_is_logged_once():
    assert not set(LINES) & SELF_LOGGED
    assert set(LINES) | SELF_LOGGED == set(KINDS)


def test_metrics_have_names_of_their_own_and_labels_that_are_known():
    metrics = [*METRICS, *OBSERVED]
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert set(metric.labels) <= OPEN | CLOSED, metric.name
        assert metric.help.endswith(".")
        assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(metric.buckets)


def test_no_measurement_shows_a_run_a_batch_or_a_message():
    for kind in KINDS:
        texts = {
            "message": "secret", "run_id": "run-4711", "batch_id": "b-1", "workers": "secret",
            "summary": "secret", "exception_type": "secret", "error_message_pattern": "secret",
            "where": "secret", "pattern_id": "secret", "reason": "secret", "fingerprint": "secret",
        }  # fmt: skip
        names = {field.name for field in dataclasses.fields(kind)}
        event = event_of(kind, **{name: text for name, text in texts.items() if name in names})
        for _, _, labels in measurements(event, "p"):
            assert not {"secret", "run-4711", "b-1"} & set(labels)


def test_a_batch_is_counted_by_its_pipeline_and_step():
    event = event_of(
        BatchCommitted, read_count=10, write_count=8, skip_count=2, elapsed_seconds=0.5
    )
    found = {metric.name: (value, labels) for metric, value, labels in measurements(event, "p")}
    of = ("flights", "load")
    assert found == {
        "batches": (1, of),
        "batch.duration": (0.5, of),
        "rows.read": (10, of),
        "rows.loaded": (8, of),
        "rows.quarantined": (2, of),
    }


def test_records_set_aside_by_a_call_are_quarantined_rows_too():
    ((metric, value, labels),) = measurements(event_of(RecordsQuarantined, count=5), "p")
    assert (metric.name, value, labels) == ("rows.quarantined", 5, ("flights", "load"))


def test_a_journal_that_was_replayed_is_counted():
    event = event_of(JournalReplayed, rows=7, refused=2, damaged_bytes=11)
    found = {(m.name, labels[-1]): value for m, value, labels in measurements(event, "p")}
    assert found == {
        ("journal.rows", "replayed"): 7,
        ("journal.rows", "refused"): 2,
        ("journal.damaged", "flights"): 11,
    }


def test_what_happens_outside_a_run_is_the_managers_pipeline():
    event = event_of(RunEnded, scope=NO_SCOPE, status="failed", error_type="data")
    found = {metric.name: labels for metric, _, labels in measurements(event, "mine")}
    assert found["runs"] == ("mine", "failed", "data")


def test_a_budget_alert_is_shown_until_it_is_resolved():
    def shown(**given):
        event = event_of(BudgetAlert, severity="page", long_burn_rate=14.0, **given)
        return {(m.name, labels[-1]): v for m, v, labels in measurements(event, "p")}

    firing, resolved = shown(state="firing"), shown(state="resolved")
    assert firing["budget.burn_rate", "long"] == 14
    assert firing["budget.alert_level", "a sli"] == 2
    assert resolved["budget.burn_rate", "long"] == resolved["budget.alert_level", "a sli"] == 0


def test_a_breaker_is_in_one_state():
    found = {labels[1]: value for _, value, labels in of_breaker("api", CircuitState.OPEN)}
    assert found.pop("open") == 1
    assert set(found.values()) == {0}
    assert len(found) == len(CircuitState) - 1


STEPS = Metric("steps", Kind.COUNTER, "", "Steps.", ("pipeline", "step", "error_type"))


def test_names_beyond_the_bound_are_other():
    names = Names(most=3)
    shown = [names.of(STEPS, ("p", f"load {day}", "data")) for day in range(1000)]
    assert len(set(shown)) == 4
    assert shown[-1] == ("p", "other", "data")
    assert names.of(STEPS, ("p", "load 1", "data")) == ("p", "load 1", "data")
    assert len(names._sets[STEPS]) == 3


def test_sets_of_labels_are_bounded_too():
    names = Names(most=100)
    shown = {
        names.of(STEPS, (f"p{one}", f"s{two}", kind.value))
        for one in range(100) for two in range(100) for kind in ErrorType
    }  # fmt: skip
    assert len(shown) <= 1_000 + len(ErrorType)
    assert ("other", "other", "data") in shown
    assert Names().of(STEPS, ("p", "s", None)) == ("p", "s", "")


def test_a_name_that_is_no_text_is_made_one():
    shown = Names().name("step", "a\ud800" + "x" * 500)
    assert shown.encode("utf-8")
    assert len(shown) == 200


def test_enums_are_shown_by_their_value():
    assert Names().of(STEPS, ("p", "s", ErrorType.DATA)) == ("p", "s", "data")
