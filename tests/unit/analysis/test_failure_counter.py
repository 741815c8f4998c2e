"""Counting of ends: each once, dated, bounded, and nothing lost to an outage of the database."""

import pytest

from seawall.analysis import FailureCounter
from seawall.events import (
    BatchCommitted,
    RetryExhausted,
    RetryScheduled,
    RetrySucceeded,
    RunEnded,
    StepEnded,
)
from seawall.scope import Scope

SCOPE = Scope("flights", "r", "load", "1.4")


class Store:
    def __init__(self):
        self.added, self.broken = [], False

    async def add(self, deltas):
        if self.broken:
            raise OSError("cut")
        self.added += deltas

    def counts(self):
        found = {}
        for each in self.added:
            key = each.pipeline_id, each.dimension, each.value
            failures, successes = found.get(key, (0, 0))
            found[key] = failures + each.failures, successes + each.successes
        return found


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def counter(store, clock):
    return FailureCounter(store, pipeline_id="default", host="a", clock=clock)


def batch(scope=SCOPE, partition=0):
    return BatchCommitted(
        scope=scope, partition=partition, batch_id="b", read_count=1, write_count=1, skip_count=0,
        elapsed_seconds=1.0,
    )  # fmt: skip


def step(status="succeeded", scope=SCOPE, error=(None, None)):
    return StepEnded(
        scope=scope, status=status, elapsed_seconds=1.0, error_type=error[0],
        exception_type=error[1],
    )  # fmt: skip


async def test_batches_and_ends_of_steps_are_the_unit_of_every_attribute(counter, store):
    for event in (batch(), batch(), step(), step("failed", error=("transient", "OSError"))):
        counter.hear(event)
    await counter.flush()
    everything = (1, 3)
    assert store.counts() == {
        ("flights", "total", ""): everything,
        ("flights", "step", "load"): everything,
        ("flights", "host", "a"): everything,
        ("flights", "release", "1.4"): everything,
        ("flights", "partition", "0"): everything,
        ("flights", "step × host", "load × a"): everything,
        ("flights", "step × release", "load × 1.4"): everything,
        ("flights", "error_type", "transient"): (1, 0),
        ("flights", "exception", "OSError"): (1, 0),
    }


async def test_cancelled_ends_count_for_nothing(counter, store):
    counter.hear(step("cancelled"))
    counter.hear(RunEnded(status="cancelled", elapsed_seconds=1, scope=SCOPE))
    await counter.flush()
    assert store.added == []


async def test_runs_and_retried_calls_are_counted_beside(counter, store):
    scope = Scope(None, None, None)
    for status in ("succeeded", "failed"):
        counter.hear(RunEnded(status=status, elapsed_seconds=1, scope=SCOPE))
    counter.hear(RetrySucceeded(scope=scope, operation="get", attempt=2, elapsed_seconds=1))
    counter.hear(
        RetryExhausted(scope=scope, operation="get", attempt=3, elapsed_seconds=1, error_type="t",
                       exception_type="E", message="m", stop_reason="max_retries")
    )  # fmt: skip
    counter.hear(
        RetryScheduled(scope=scope, operation="get", attempt=1, wait_seconds=1, elapsed_seconds=1,
                       error_type="t", exception_type="E", message="m")
    )  # fmt: skip
    await counter.flush()
    assert store.counts() == {
        ("flights", "run", ""): (1, 1),
        ("default", "operation", "get"): (1, 1),
    }


async def test_counts_outlast_an_outage_and_keep_their_age(counter, store, clock):
    store.broken = True
    counter.hear(batch())
    with pytest.raises(OSError, match="cut"):
        await counter.flush()
    await clock.sleep(600)
    store.broken = False
    counter.hear(batch())
    await counter.flush()
    ages = sorted({each.age_seconds for each in store.added})
    assert len(ages) == 2
    assert ages[0] <= 10
    assert 580 <= ages[1] <= 600
    assert store.counts()["flights", "total", ""] == (0, 2)


async def test_values_beyond_the_bound_are_one(counter, store):
    for n in range(150):
        counter.hear(step(scope=Scope("flights", "r", f"step {n}")))
    await counter.flush()
    steps = {value: n for (_, dimension, value), n in store.counts().items() if dimension == "step"}
    assert len(steps) == 101
    assert steps["(other)"] == (0, 50)


async def test_memory_is_bounded_while_the_database_is_away(counter):
    for n in range(10_005):
        counter.hear(step(scope=Scope("flights", "r", f"step {n}")))
    assert counter.dropped == 5


async def test_service_flushes_by_itself_and_at_its_end(counter, store, clock):
    await counter.start()
    counter.hear(batch())
    await clock.sleep(11)
    assert store.counts()["flights", "total", ""] == (0, 1)
    counter.hear(batch())
    await counter.aclose()
    assert store.counts()["flights", "total", ""] == (0, 2)
