"""The rules of auto-tuning, by simulation with fixed seeds: what helps is found, and it settles."""

import random
from collections import Counter

import pytest

from seawall.classification import ErrorType
from seawall.tuning.advice import Evidence, advise, forecast
from seawall.tuning.model import EDGES, NEVER, Bounds, Interval, Timing, bucket_of, interval_of
from seawall.tuning.recovery import recovery_of

DEFAULT = Timing(max_retries=3, initial_delay=1.0, backoff_factor=2.0, max_delay=300.0)
NEVER_AT_ALL = 1e9


class Simulation:
    """Calls whose first attempt failed, retried under numbers that follow the advice."""

    def __init__(self, recovers, *, timing=DEFAULT, bounds=None, kind=ErrorType.TRANSIENT, seed=1):
        self.recovers, self.timing, self.bounds = recovers, timing, bounds or Bounds()
        self.kind, self.rng = kind, random.Random(seed)
        self.before, self.counts = None, Counter()
        self.cases = [[0, 0], [0, 0]]
        self.calls, self.changes = [], []

    def run(self, calls=3000):
        for n in range(calls):
            self.call()
            if n % 60 == 59:
                self.look(n)
        return self

    def call(self):
        after, waited, waits, succeeded = self.recovers(self.rng), 0.0, [], False
        for wait in self.timing.waits():
            waits.append(wait * self.rng.uniform(0.9, 1.1))
            waited += waits[-1]
            if waited >= after:
                succeeded = True
                break
        self.calls.append((waited, succeeded))
        if waits:
            self.counts[interval_of(tuple(waits), succeeded=succeeded)] += 1
            self.cases[1][0] += 1
            self.cases[1][1] += succeeded

    def look(self, at):
        (cases_before, successes_before), (cases, successes) = self.cases
        evidence = Evidence(self.counts, cases, successes, 9, cases_before, successes_before)
        advice = advise(evidence, self.timing, self.bounds, self.kind, before=self.before)
        if advice is not None:
            self.before, self.timing = self.timing, advice.timing
            self.cases = [self.cases[1], [0, 0]]
            self.changes.append((at, advice))

    def figures(self, calls):
        return (
            sum(waited for waited, _ in calls) / len(calls),
            sum(succeeded for _, succeeded in calls) / len(calls),
        )

    @property
    def first(self):
        return self.figures(self.calls[:60])

    @property
    def last(self):
        return self.figures(self.calls[-500:])


def lognormal(rng):
    return rng.lognormvariate(1.6, 1.0)


def half_never(rng):
    return 0.5 if rng.random() < 0.6 else NEVER_AT_ALL


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_operation_that_recovers_after_twenty_seconds_gets_waits_that_reach_it(seed):
    """With the default's seven seconds no call succeeds; nobody had ever waited long enough."""
    simulated = Simulation(lambda rng: rng.gauss(20, 2), seed=seed).run()
    assert simulated.first[1] == 0.0
    seconds, success = simulated.last
    print(f"recovers after 20 s: {simulated.timing}; {success:.0%} in {seconds:.1f} s")
    assert success >= 0.98
    assert seconds <= 28
    assert simulated.timing.initial_delay >= 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_operation_that_never_recovers_after_its_second_attempt_gets_fewer(seed):
    simulated = Simulation(half_never, seed=seed).run()
    seconds, success = simulated.last
    print(f"60% at once, else never: {simulated.timing}; {success:.0%} in {seconds:.1f} s")
    assert simulated.timing.max_retries < DEFAULT.max_retries
    assert success >= simulated.figures(simulated.calls)[1] - 0.06
    assert seconds < 0.6 * simulated.first[0]


def test_operation_that_recovers_at_once_is_not_kept_waiting():
    simulated = Simulation(lambda _: 0.05).run()
    assert simulated.last[1] == 1.0
    assert simulated.last[0] < 0.5 * simulated.first[0]


def test_slow_and_varied_recovery_succeeds_more_often():
    simulated = Simulation(lognormal).run()
    assert simulated.last[1] >= simulated.first[1] + 0.1
    assert simulated.last[1] >= 0.97


@pytest.mark.parametrize(
    "recovers",
    [lambda rng: rng.gauss(20, 2), half_never, lambda _: 0.05, lambda _: NEVER_AT_ALL, lognormal],
)
@pytest.mark.parametrize("seed", [4, 5])
def test_numbers_settle_and_do_not_oscillate(recovers, seed):
    simulated = Simulation(recovers, seed=seed).run(4000)
    assert len(simulated.changes) <= 6
    assert [at for at, _ in simulated.changes if at > 3000] in ([], [simulated.changes[-1][0]])
    seen = [advice.timing for _, advice in simulated.changes]
    assert len(set(seen)) == len(seen)  # none is come back to


def test_each_change_stays_within_the_bounds():
    bounds = Bounds(min_delay=0.5, max_delay=5.0, min_retries=2, max_retries=4)
    simulated = Simulation(lognormal, bounds=bounds).run()
    assert simulated.changes
    for _, advice in simulated.changes:
        assert 2 <= advice.timing.max_retries <= 4
        assert all(0.5 <= wait <= 5.0 for wait in advice.timing.waits())


def test_a_change_is_one_limited_step():
    simulated = Simulation(lambda rng: rng.gauss(50, 2)).run(60)
    ((_, advice),) = simulated.changes
    assert sum(advice.timing.waits()) <= 2.5 * 7
    assert advice.timing.initial_delay <= 8
    assert advice.timing.max_retries <= 5


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        ((49, 0, 9), ErrorType.TRANSIENT),  # too few calls
        ((500, 0, 2), ErrorType.TRANSIENT),  # all of them in twenty minutes
        ((500, 0, 9), ErrorType.DATA),  # the matrix retries none
        ((500, 0, 9), ErrorType.CONFIGURATION),
    ],
)
def test_nothing_is_changed_without_enough_evidence(evidence, kind):
    cases, successes, episodes = evidence
    counts = {Interval(bucket_of(7.0), NEVER): cases}
    assert advise(Evidence(counts, cases, successes, episodes), DEFAULT, Bounds(), kind) is None
    same = Evidence(counts, 500, 0, 9)
    assert advise(same, DEFAULT, Bounds(), ErrorType.TRANSIENT) is not None


def test_system_failures_get_no_more_retries_than_the_matrix_allows():
    counts = {Interval(bucket_of(3.0), NEVER): 500}
    advice = advise(Evidence(counts, 500, 0, 9), DEFAULT, Bounds(), ErrorType.SYSTEM)
    assert advice.timing.max_retries <= 2


def test_a_change_that_did_harm_is_taken_back():
    counts = {Interval(-1, bucket_of(1.0)): 300}
    worse = Timing(max_retries=1, initial_delay=0.5, backoff_factor=2.0, max_delay=60.0)
    evidence = Evidence(counts, 100, 60, 1, 200, 190)
    advice = advise(evidence, worse, Bounds(), ErrorType.TRANSIENT, before=DEFAULT)
    assert (advice.timing, advice.reverts) == (DEFAULT, True)
    assert advice.reason == (
        "taken back: retries succeeded in 60% of 100 calls since the last change, and in 95% of 200"
        " before it"
    )
    doubtful = Evidence(counts, 100, 92, 1, 200, 190)
    found = advise(doubtful, worse, Bounds(), ErrorType.TRANSIENT, before=DEFAULT)
    assert found is None or not found.reverts


def test_reason_tells_the_evidence_and_what_is_expected():
    simulated = Simulation(half_never).run(60)
    reason = simulated.changes[0][1].reason
    assert reason.startswith("retries succeeded in ")
    assert "of 60 calls, half of them within 1 s: with " in reason
    assert "(now " in reason


def test_distribution_follows_what_calls_showed():
    """Of 100 calls 60 had recovered by 1 s, 30 more by 4 s; ten never did in 16 s."""
    counts = {
        Interval(-1, bucket_of(1.0)): 6000,
        Interval(bucket_of(1.0), bucket_of(4.0)): 3000,
        Interval(bucket_of(16.0), NEVER): 1000,
    }
    recovery = recovery_of(counts)
    assert recovery.by(1.0) == pytest.approx(0.6, abs=0.01)
    assert recovery.by(4.0) == pytest.approx(0.9, abs=0.01)
    assert recovery.by(16.0) == pytest.approx(0.9, abs=0.02)
    assert (recovery.cases, recovery.seen_until) == (10_000, 16.0)
    assert recovery.by(EDGES[-1] * 10) == recovery.shares[-1] <= 1.0
    grows = [recovery.by(second / 4) for second in range(200)]
    assert grows == sorted(grows)


def test_forecast_adds_up_waits_and_failures():
    counts = {Interval(-1, bucket_of(1.0)): 100_000, Interval(bucket_of(8.0), NEVER): 100_000}
    timing = Timing(max_retries=2, initial_delay=1.0, backoff_factor=3.0, max_delay=60.0)
    found = forecast(timing, recovery_of(counts), Bounds(failure_seconds=100))
    assert found.success == pytest.approx(0.5, abs=0.01)
    assert found.seconds == pytest.approx(0.5 * 1 + 0.5 * 4, abs=0.1)
    assert found.cost == pytest.approx(2.5 + 0.5 * 100 + 0.25 * 1.5, abs=1.0)


def test_buckets_hold_their_edge_and_what_is_below_it():
    for at, edge in enumerate(EDGES):
        assert bucket_of(edge) == at
        assert bucket_of(edge * 1.01) == min(at + 1, len(EDGES) - 1)
    assert bucket_of(0.0) == 0
    assert interval_of((1.0,), succeeded=True) == Interval(-1, bucket_of(1.0))
    assert interval_of((1.0, 2.0), succeeded=True) == Interval(bucket_of(1.0), bucket_of(3.0))
    assert interval_of((1.0, 2.0), succeeded=False) == Interval(bucket_of(3.0), NEVER)
