"""Outcomes of retries: what is counted, when it is enough, and who is never overruled."""

import itertools
import math
from fractions import Fraction

import pytest

from seawall.classification import (
    Classifier,
    ErrorType,
    Fingerprint,
    Layer,
    Outcome,
    Outcomes,
    Verdict,
)
from seawall.classification.fingerprint import fingerprint_of, template_of
from seawall.classification.outcome import chance_above
from seawall.errors import InvalidConfigError
from seawall.events import RetryExhausted
from seawall.learning import Delta, OutcomeLearner
from seawall.retry import call
from seawall.retry.policy import RetryPolicy
from support.operations import RecordingBus, Script


class LoadError(Exception):
    pass


WEIRD = "zork 17 flibber"
FINGERPRINT = fingerprint_of(LoadError(WEIRD))


class FakeStore:
    """Keeps sums, as the table does; ``broken`` makes it fail."""

    def __init__(self):
        self.sums, self.broken, self.days = {}, False, 3

    async def add(self, deltas):
        if self.broken:
            raise ConnectionError("the store is away")
        for each in deltas:
            key = (each.operation, each.fingerprint)
            one, two = self.sums.get(key, (0, 0))
            self.sums[key] = (one + each.recovered, two + each.lasting)

    async def load(self):
        return [
            Outcome(
                operation=operation,
                fingerprint=fingerprint,
                recovered=recovered,
                lasting=lasting,
                lasting_days=min(lasting, self.days),
            )
            for (operation, fingerprint), (recovered, lasting) in self.sums.items()
        ]

    async def forget(self, operation, fingerprint):
        gone = [key for key in self.sums if operation in (None, key[0])]
        for key in gone:
            del self.sums[key]
        return len(gone)


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def site(store, clock):
    """A learner, its classifier and a policy that both of them hear."""

    class Site:
        classifier = Classifier(learned=False)
        bus = RecordingBus()
        learner = OutcomeLearner(store, Outcomes(), clock=clock)

        async def run(self, *outcomes):
            policy = RetryPolicy(
                max_retries=2,
                initial_delay=1,
                bus=self.bus,
                classifier=self.classifier,
                clock=clock,
            )
            operation = Script(*outcomes)
            operation.__qualname__ = "load"
            return await call(policy, operation)

        async def fails(self, *outcomes):
            with pytest.raises(type(outcomes[-1])):
                await self.run(*outcomes)

    made = Site()
    made.classifier.outcomes = made.learner.outcomes
    made.bus.subscribe(made.learner.hear)
    return made


def outcome(recovered, lasting, days=5):
    return Outcome(
        operation="load",
        fingerprint=FINGERPRINT,
        recovered=recovered,
        lasting=lasting,
        lasting_days=days,
    )


@pytest.mark.parametrize(
    ("recovered", "lasting", "days", "verdict"),
    [
        (0, 0, 0, None),
        (3, 0, 0, None),
        (4, 0, 0, Verdict.PASSES),
        (6, 3, 2, None),
        (60, 30, 2, Verdict.PASSES),
        (0, 12, 5, None),
        (0, 13, 5, Verdict.LASTS),
        (0, 1000, 1, None),
        (5, 100, 9, Verdict.LASTS),
        (30, 70, 9, None),
        (10**9, 10**3, 9, Verdict.PASSES),
    ],
)
def test_outcome_says_nothing_before_its_bound(recovered, lasting, days, verdict):
    """A day's outage isn't enough for "lasts", however many calls it took down."""
    assert outcome(recovered, lasting, days).verdict is verdict


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_chance_above_is_the_tail_of_the_beta_distribution(share):
    """Checked against the exact sum in fractions, which can't round."""
    exact_share = Fraction(share)
    for recovered, lasting in itertools.product((0, 1, 4, 17), (0, 2, 13, 40)):
        n = recovered + lasting + 1
        exact = sum(
            math.comb(n, k) * exact_share**k * (1 - exact_share) ** (n - k)
            for k in range(recovered + 1)
        )
        assert chance_above(share, recovered, lasting) == pytest.approx(float(exact), abs=1e-12)


async def test_learner_counts_a_failure_that_a_retry_got_over(site, store):
    assert await site.run(LoadError(WEIRD), LoadError("zork 18 flibber"), "rows") == "rows"
    await site.learner.exchange()
    assert store.sums == {("load", FINGERPRINT): (1, 0)}


async def test_learner_after_enough_recoveries_calls_the_failure_transient(site):
    assert site.classifier.classify(LoadError(WEIRD), "load") is ErrorType.UNKNOWN
    for _ in range(4):
        await site.run(LoadError(WEIRD), "rows")
    await site.learner.exchange()
    found = site.classifier.explain(LoadError("zork 99 flibber"), "load")
    assert (found.error_type, found.layer) == (ErrorType.TRANSIENT, Layer.OUTCOME)
    assert found.detail == "4 of 4 retried calls of load recovered"
    assert site.classifier.classify(LoadError(WEIRD), "other") is ErrorType.UNKNOWN
    assert site.classifier.classify(LoadError("another text"), "load") is ErrorType.UNKNOWN


async def test_learner_counts_one_outage_once(site, store, clock):
    for _ in range(20):
        await site.fails(LoadError(WEIRD))
    await site.learner.exchange()
    assert store.sums == {("load", FINGERPRINT): (0, 1)}
    await clock.sleep(600)
    await site.fails(LoadError(WEIRD))
    await site.learner.exchange()
    assert store.sums == {("load", FINGERPRINT): (0, 2)}


async def test_learner_after_enough_vain_retries_says_that_the_failure_lasts(site, store, clock):
    for _ in range(13):
        await site.fails(LoadError(WEIRD))
        await clock.sleep(600)
    await site.learner.exchange()
    assert site.classifier.classify(LoadError(WEIRD), "load") is ErrorType.CONFIGURATION
    operation = Script(LoadError(WEIRD))
    operation.__qualname__ = "load"
    policy = RetryPolicy(max_retries=2, classifier=site.classifier, clock=clock)
    with pytest.raises(LoadError):
        await call(policy, operation)
    assert operation.count == 1


async def test_learner_counts_no_retries_that_failed_in_different_ways(site, store):
    await site.fails(LoadError(WEIRD), LoadError("something else"), LoadError(WEIRD))
    await site.fails(LoadError(WEIRD), ConnectionResetError("x"), LoadError(WEIRD))
    await site.learner.exchange()
    assert store.sums == {}


async def test_learner_counts_nothing_that_a_table_decides(site, store):
    await site.run(ConnectionResetError(104, "x"), TimeoutError(), "rows")
    await site.run(OSError(28, "full"), "rows")
    await site.run(LoadError("connection timed out"), "rows")
    await site.learner.exchange()
    assert store.sums == {}


def test_outcomes_never_overrule_a_table_a_code_a_message_or_a_rule():
    classifier = Classifier([(LookupError, ErrorType.SYSTEM)])
    classifier.outcomes = Outcomes()
    failures = [
        TimeoutError(), OSError(28, "x"), LoadError("permission denied"), ValueError("x"),
        KeyError("x"),
    ]  # fmt: skip
    before = [classifier.classify(each) for each in failures]
    classifier.outcomes.put(
        Outcome(
            operation="load",
            fingerprint=fingerprint_of(each),
            recovered=recovered,
            lasting=100 - recovered,
            lasting_days=9,
        )
        for each in failures
        for recovered in (0, 100)
    )
    assert [classifier.classify(each, "load") for each in failures] == before


async def test_learner_keeps_what_the_store_would_not_take(site, store):
    store.broken = True
    await site.run(LoadError(WEIRD), "rows")
    with pytest.raises(ConnectionError):
        await site.learner.exchange()
    await site.run(LoadError(WEIRD), "rows")
    await site.learner.flush()
    store.broken = False
    await site.learner.exchange()
    assert store.sums == {("load", FINGERPRINT): (2, 0)}


async def test_learner_that_forgets_drops_what_waits_too(site, store):
    await site.run(LoadError(WEIRD), "rows")
    await site.learner.exchange()
    await site.run(LoadError(WEIRD), "rows")
    assert await site.learner.forget("load", None) == 1
    await site.learner.exchange()
    assert site.learner.outcomes.known() == []


async def test_retry_events_carry_no_fingerprint_where_nobody_learns(clock):
    bus = RecordingBus()
    policy = RetryPolicy(max_retries=1, bus=bus, classifier=Classifier(), clock=clock)
    with pytest.raises(LoadError):
        await call(policy, Script(LoadError(WEIRD)))
    (ended,) = (each for each in bus.events if isinstance(each, RetryExhausted))
    assert ended.fingerprints == ()


def test_learner_refuses_an_interval_that_is_none(store):
    with pytest.raises(InvalidConfigError, match="flush_seconds"):
        OutcomeLearner(store, Outcomes(), flush_seconds=0)


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("row 17 of 3.5 GB at 10:15:07", "row <*> of <*> GB at <*>"),
        ("no user 'anna@example.com' in \"shop\"", "no user <*> in <*>"),
        ("can't read /data/in/7.csv", "can't read <*>"),
        ("job 3f2504e0-4f89-11d3-9a0c-0305e82c3301 is 0x1f", "job <*> is <*>"),
        ("GET https://h/x?key=secret failed", "GET <*> failed"),
        ("first line\nsecond", "first line"),
        ("", ""),
    ],
)
def test_template_keeps_the_words_and_no_values(text, template):
    assert template_of(text) == template


def test_fingerprint_tells_types_codes_and_templates_apart():
    other = type("OtherError", (Exception,), {})
    coded = LoadError(WEIRD)
    coded.status_code = 299
    found = {
        fingerprint_of(each) for each in (LoadError(WEIRD), LoadError("x"), other(WEIRD), coded)
    }
    assert len({each.key for each in found}) == 4
    assert fingerprint_of(LoadError("zork 99999 flibber")) == FINGERPRINT
    assert Fingerprint(*FINGERPRINT) == FINGERPRINT
    assert Delta("load", FINGERPRINT, 1, 0).fingerprint.template == "zork <*> flibber"
