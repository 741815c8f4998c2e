"""Counting failures by pattern, in memory: once each, exact in a storm, bounded."""

import tracemalloc
from uuid import UUID

from seawall import ErrorType, PatternMiner
from seawall.events import ErrorLogged, RetryExhausted, RetryScheduled, RunEnded
from seawall.patterns.counter import FailureCounter, others_of
from seawall.patterns.gathered import OTHER, Gathered, merged_counts
from seawall.scope import Scope


class SteppedClock:
    """Monotonic time that a test moves."""

    def __init__(self):
        self.now = 50.0

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


def scheduled(message, error_type="transient", *, scope=None, **fields):
    return RetryScheduled(
        scope=scope or Scope("p"),
        operation="load",
        attempt=1,
        wait_seconds=0,
        elapsed_seconds=0,
        error_type=error_type,
        exception_type="LoadError",
        message=message,
        **fields,
    )


def exhausted(message, **fields):
    return RetryExhausted(
        scope=Scope("p"),
        operation="load",
        attempt=2,
        elapsed_seconds=0,
        error_type="transient",
        exception_type="LoadError",
        message=message,
        stop_reason="max_retries",
        **fields,
    )


def logged(message, **fields):
    return ErrorLogged(
        error_id=UUID(int=7),
        error_type="transient",
        exception_type="x.LoadError",
        message=message,
        stack=None,
        fingerprint="f",
        **fields,
    )


def made(mask=lambda text: text, **options):
    clock = SteppedClock()
    miner = PatternMiner(**options)
    counter = FailureCounter(miner, mask=mask, pipeline_id="default", host="h", clock=clock)
    return counter, miner, clock


def test_counter_counts_each_failure_once():
    counter, _, _ = made()
    counter.hear(scheduled("part 1 is away now"))
    counter.hear(exhausted("part 2 is away now"))
    counter.hear(exhausted("part 2 is away now", counted=True))
    counter.hear(logged("part 2 is away now", counted=True))
    counter.hear(logged("part 3 is away now"))
    counter.hear(RunEnded(status="failed", elapsed_seconds=1))
    (found,) = counter.take().values()
    assert found.count == 3
    assert found.seen_in["pipelines"] == {"p": 2, "default": 1}
    assert found.sample_ids == [UUID(int=7), UUID(int=7)]
    assert counter.take() == {}


def test_counter_times_are_the_databases():
    counter, _, clock = made()
    counter.set_time(1_000_000.0, clock.monotonic())
    counter.hear(scheduled("part 1 is away now"))
    clock.now += 30_000
    counter.hear(scheduled("part 1 is away now"))
    (found,) = counter.take().values()
    assert (found.first, found.last) == (1_000_000.0, 1_030_000.0)
    assert found.buckets == {("p", 993_600): 1, ("p", 1_015_200): 1}


def test_counter_storm_counts_exactly_masks_few_and_keeps_its_memory():
    """200,000 failures: all counted, one in two hundred or so read, no memory gained."""
    masked = []
    counter, miner, _ = made(mask=lambda text: masked.append(1) or text)
    events = [scheduled(f"row {n} of part {n % 7} refused by node{n}") for n in range(1_000)]
    for event in events:
        counter.hear(event)
    for _ in range(179):
        for event in events:
            counter.hear(event)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        for event in events:
            counter.hear(event)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    (found,) = counter.take().values()
    assert found.count == 200_000
    assert sum(found.buckets.values()) == 200_000
    assert found.seen_in["hosts"] == {"h": 200_000}
    assert after - before < 100_000
    assert 64 < len(masked) < 1_500
    assert miner.observed == len(masked)


def test_counter_endless_variety_is_exact_and_bounded():
    """Messages, pipelines, steps and releases that never repeat."""
    counter, _, _ = made(max_templates=64)
    for n in range(9_000):
        letters = "".join(chr(97 + int(digit)) for digit in str(n))
        scope = Scope(f"p{n}", None, f"s{n}", f"r{n}")
        counter.hear(scheduled(f"{letters} {letters[::-1]} {letters}", "data", scope=scope))
    found = counter.take()
    assert sum(each.count for each in found.values()) == 9_000
    assert len(found) <= 64
    for each in found.values():
        assert sum(each.buckets.values()) == each.count
        for dimension in ("pipelines", "steps", "releases"):
            assert sum(each.seen_in[dimension].values()) == each.count
            assert len(each.seen_in[dimension]) <= 51
    assert others_of(ErrorType.DATA) in found


def test_gathered_an_outage_of_months_keeps_its_counts_in_bounded_memory():
    found = Gathered(ErrorType.DATA, 0.0, 0.0)
    for n in range(1_000):
        found.see(n * 21_600.0, "p", None, "h", None)
    assert len(found.buckets) == 200
    assert sum(found.buckets.values()) == 1_000


def test_gathered_under_two_ids_of_one_pattern_adds_up():
    one, two = Gathered(ErrorType.DATA, 5.0, 5.0), Gathered(ErrorType.DATA, 1.0, 1.0)
    one.see(5.0, "p", "s", "h", None)
    two.see(1.0, "q", "s", "h", "v2")
    one.take(two)
    assert (one.count, one.first, one.last) == (2, 1.0, 5.0)
    assert one.seen_in["steps"] == {"s": 2}
    assert one.buckets == {("p", 0): 1, ("q", 0): 1}


def test_merged_counts_keep_what_is_seen_now_and_every_sum():
    old = {f"r{n:02}": 100 - n for n in range(20)}
    merged = merged_counts(old, {"new": 1}, "releases")
    assert merged["new"] == 1
    assert merged[OTHER] == 81  # the rarest of the old ones
    assert sum(merged.values()) == sum(old.values()) + 1
    again = merged_counts(merged, {"newer": 2, OTHER: 3}, "releases")
    assert len(again) == 21
    assert sum(again.values()) == sum(merged.values()) + 5
