"""Changes in failure rates: silent on constant series, quick on steps."""

import math
import random
from statistics import median

import pytest

from seawall.statistics import BinomialCusum, find_changes

HOURS = 720


def _series(generator, rates, volume):
    """Buckets of about ``volume`` calls, which fail at each bucket's rate."""
    for rate in rates:
        total = volume if volume >= 1 else int(generator.random() < volume)
        yield _binomial(generator, total, rate), total


def _binomial(generator, total, rate):
    """By the gaps between failures: quick where failures are rare."""
    failures, place = 0, -1
    while rate > 0:
        place += 1 + int(math.log(1 - generator.random()) / math.log1p(-rate))
        if place >= total:
            break
        failures += 1
    return failures


@pytest.mark.parametrize(("volume", "rate"), [(100, 0.02), (2, 0.05)])
def test_constant_series_raise_at_most_two_alarms_of_200(volume, rate):
    generator = random.Random(20)
    alarmed = sum(
        bool(find_changes(_series(generator, [rate] * HOURS, volume))) for _ in range(200)
    )
    assert alarmed <= 2


@pytest.mark.parametrize(
    ("volume", "before", "after", "most"),
    [(100, 0.02, 0.10, 3), (1000, 0.01, 0.02, 5), (20, 0.02, 0.40, 3), (10, 0.01, 0.30, 5)],
)
def test_step_is_found_within_a_few_buckets(volume, before, after, most):
    generator = random.Random(21)
    delays, misplaced = [], []
    for _ in range(20):
        rates = [before] * 240 + [after] * 120
        changes = find_changes(_series(generator, rates, volume))
        change = next(each for each in changes if each.detected >= 240)
        assert change.is_rise
        delays.append(change.detected - 240 + 1)
        misplaced.append(abs(change.began - 240))
    assert median(delays) <= most
    assert median(misplaced) <= 1


def test_end_of_an_outage_is_a_fall_and_rates_are_told():
    generator = random.Random(22)
    rates = [0.01] * 300 + [0.5] * 30 + [0.01] * 100
    rise, fall = find_changes(_series(generator, rates, 60))
    assert rise.is_rise
    assert not fall.is_rise
    assert abs(rise.began - 300) <= 1
    assert abs(fall.began - 330) <= 1
    assert rise.rate_before == pytest.approx(0.01, abs=0.005)
    assert rise.rate_after == pytest.approx(0.5, abs=0.1)
    assert fall.rate_before == pytest.approx(0.5, abs=0.05)


def test_nothing_is_said_of_a_series_without_history():
    assert find_changes([(9, 10)]) == []


def test_what_is_known_of_before_counts_as_history():
    assert [each.began for each in find_changes([(9, 10)], usual=(10, 1000))] == [0]


def test_empty_buckets_change_nothing():
    assert find_changes([(0, 0)] * 1000) == []


def test_series_that_always_fails_raises_nothing_until_it_recovers():
    assert find_changes([(5, 5)] * 100) == []
    assert [each.began for each in find_changes([(5, 5)] * 100 + [(0, 5)] * 5)] == [100]


def test_threshold_follows_the_stated_run_length():
    cusum = BinomialCusum(buckets_between_false_alarms=1000, odds_ratios=(2, 4))
    assert cusum.threshold == pytest.approx(math.log(4000))


def test_false_alarms_are_as_rare_as_stated():
    """At a run length of 500, in 20,000 buckets: 40 were allowed."""
    cusum = BinomialCusum(buckets_between_false_alarms=500, usual=(2000, 40_000))
    generator = random.Random(23)
    buckets = _series(generator, [0.05] * 20_000, 20)
    assert 0 < sum(cusum.add(*bucket) is not None for bucket in buckets) <= 40


@pytest.mark.parametrize(
    "options",
    [
        {"buckets_between_false_alarms": 0.5},
        {"odds_ratios": ()},
        {"odds_ratios": (1.0, 2.0)},
        {"usual": (3, 2)},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="not"):
        BinomialCusum(**options)
