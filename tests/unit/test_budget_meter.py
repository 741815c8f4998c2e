"""Rows counted in memory, and what the policy makes of an exhausted budget."""

import pytest

from seawall import ErrorBudgetExhaustedError
from seawall.budget.counts import Counts, Sli
from seawall.budget.guard import BudgetGuard
from seawall.budget.meter import RowMeter
from seawall.budget.store import Exhausted
from seawall.events import BatchCommitted, Event
from seawall.scope import Scope, scoped


class Rows:
    def __init__(self):
        self.written, self.error = [], None

    async def add_rows(self, rows):
        if self.error is not None:
            raise self.error
        self.written.append(dict(rows))


def batch(pipeline_id, good, bad):
    return BatchCommitted(
        scope=Scope(pipeline_id), partition=0, batch_id="b", read_count=good + bad,
        write_count=good, skip_count=bad, elapsed_seconds=0.1,
    )  # fmt: skip


async def test_meter_sums_up_by_pipeline_and_writes_once():
    store = Rows()
    meter = RowMeter(store, "default")
    for event in (batch("a", 5, 1), batch("a", 5, 0), batch(None, 1, 0), batch("b", 0, 0), Event()):
        meter.hear(event)
    await meter.flush()
    await meter.flush()
    assert store.written == [{"a": Counts(10, 1), "default": Counts(1, 0)}]


async def test_meter_keeps_what_could_not_be_written():
    store = Rows()
    meter = RowMeter(store, "default")
    meter.hear(batch("a", 5, 1))
    store.error = ConnectionError()
    with pytest.raises(ConnectionError):
        await meter.flush()
    meter.hear(batch("a", 5, 1))
    store.error = None
    await meter.flush()
    assert store.written == [{"a": Counts(10, 2)}]


def test_meter_is_bounded_and_counts_what_it_drops():
    meter = RowMeter(Rows(), "default")
    for n in range(10_002):
        meter.hear(batch(f"p{n}", 1, 0))
    meter.hear(batch("p0", 1, 0))
    assert meter.dropped == 2


GONE = Exhausted(pipeline_id="p", sli=Sli.RUNS, counts=Counts(7, 3), objective=0.99, window_days=30)


@pytest.mark.parametrize("policy", ["none", "tighten", "stop"])
def test_guard_without_exhausted_budgets_changes_nothing(policy):
    guard = BudgetGuard(policy, "p")
    guard.check("p")
    assert guard.limit(3) == 3


def test_guard_that_stops_names_what_was_and_what_to_do():
    guard = BudgetGuard("stop", "default")
    guard.put([GONE])
    guard.check("q")
    with pytest.raises(ErrorBudgetExhaustedError) as caught:
        guard.check("p")
    assert (caught.value.pipeline_id, caught.value.bad, caught.value.total) == ("p", 3, 10)
    assert "3 of 10 runs of the last 30 days were bad" in str(caught.value)
    assert guard.cap is None


def test_guard_that_tightens_halves_the_retries_of_the_pipeline_at_work():
    guard = BudgetGuard("tighten", "p")
    guard.put([GONE])
    guard.check("p")
    assert [guard.cap(n) for n in (0, 1, 3, 10)] == [0, 0, 1, 5]
    with scoped(Scope("q")):
        assert guard.cap(3) == 3
    guard.put([])
    assert guard.cap(3) == 3


async def test_retry_asks_its_cap_at_each_failure():
    from seawall.retry import RetryPolicy, call

    allowed, calls = [5], []

    async def failing():
        calls.append(1)
        if len(calls) == 2:
            allowed[0] = 1
        raise ConnectionResetError

    policy = RetryPolicy(max_retries=5, initial_delay=0, cap=lambda retries: allowed[0])
    with pytest.raises(ConnectionResetError) as caught:
        await call(policy, failing)
    assert len(calls) == 2
    assert caught.value.seawall_stop_reason == "budget_exhausted"
