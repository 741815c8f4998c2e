"""Trends, seasons and associations agree with scipy's tests."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seawall.statistics import (
    Table,
    associate,
    chi_square,
    fisher_exact,
    holm,
    mann_kendall,
    seasonality,
    theil_sen,
)

series = st.lists(st.integers(0, 12), min_size=4, max_size=40).filter(lambda v: len(set(v)) > 1)


@settings(max_examples=80, deadline=None)
@given(series)
def test_mann_kendall_equals_scipys_tau(values):
    found = mann_kendall(values)
    expected = stats.kendalltau(range(len(values)), values, method="asymptotic")
    without_correction = found.s / math.sqrt(found.variance)
    assert 2 * stats.norm.sf(abs(without_correction)) == pytest.approx(expected.pvalue, rel=1e-8)
    corrected = max(0, abs(found.s) - 1) / math.sqrt(found.variance)
    assert abs(found.z) == pytest.approx(corrected)
    assert found.p == pytest.approx(min(1, 2 * stats.norm.sf(corrected)), rel=1e-8)
    assert found.s == sum((b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1 :])


def test_mann_kendall_of_a_constant_or_a_pair_is_no_evidence():
    assert mann_kendall([3, 3, 3, 3]).p == 1
    assert mann_kendall([1, 2]).p == 1


@settings(max_examples=80, deadline=None)
@given(series)
def test_theil_sen_equals_scipys(values):
    places = [3.5 * i - 2 for i in range(len(values))]
    found, expected = theil_sen(values, places), stats.theilslopes(values, places)
    assert found.slope == pytest.approx(expected.slope)
    assert found.intercept == pytest.approx(expected.intercept)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (expected.low_slope, expected.high_slope)
    )


@pytest.mark.parametrize("values", [[], [1.0]])
def test_theil_sen_of_one_point_is_refused(values):
    with pytest.raises(ValueError, match="two places"):
        theil_sen(values)


def test_theil_sen_of_unequal_lengths_is_refused():
    with pytest.raises(ValueError, match="give as many"):
        theil_sen([1, 2, 3], [1, 2])


@settings(max_examples=80, deadline=None)
@given(*[st.integers(0, 60)] * 4)
def test_fisher_exact_equals_scipys(a, b, c, d):
    greater, both = fisher_exact(Table(a, b, c, d))
    grid = [[a, b], [c, d]]
    assert greater == pytest.approx(stats.fisher_exact(grid, "greater").pvalue, rel=1e-7)
    assert both == pytest.approx(stats.fisher_exact(grid).pvalue, rel=1e-6)


def test_chi_square_equals_scipys():
    groups = [(5, 100), (9, 80), (30, 300), (0, 0)]
    expected = stats.chi2_contingency([[f, n - f] for f, n in groups if n], correction=False)
    assert chi_square(groups) == pytest.approx((expected.statistic, expected.pvalue))
    assert chi_square([(0, 10), (0, 20)]) == (0, 1)


def test_association_of_many_equals_scipys_corrected_chi_square():
    table = Table(40, 960, 100, 8900)
    expected = stats.chi2_contingency([[40, 960], [100, 8900]])
    found = associate(table)
    assert found.p == pytest.approx(expected.pvalue / 2)
    assert found.lift == pytest.approx(0.04 / (100 / 9000))
    ratio = stats.contingency.relative_risk(40, 1000, 100, 9000).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((ratio.low, ratio.high))


@given(*[st.integers(1, 500)] * 4)
def test_gain_equals_scipys_likelihood_ratio(a, b, c, d):
    expected = stats.chi2_contingency(
        [[a, b], [c, d]], correction=False, lambda_="log-likelihood"
    ).statistic
    assert Table(a, b, c, d).gain == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_association_of_few_is_exact():
    assert associate(Table(3, 5, 1, 40)).p == pytest.approx(
        stats.fisher_exact([[3, 5], [1, 40]], "greater").pvalue
    )


def test_association_without_failures_elsewhere_has_no_upper_end():
    found = associate(Table(12, 3, 0, 400))
    assert math.isinf(found.lift)
    assert math.isinf(found.interval.high)
    assert found.interval.low > 10
    assert associate(Table(1, 2, 0, 0)).p == 1


def test_counts_below_zero_are_refused():
    with pytest.raises(ValueError, match="negative"):
        Table(-1, 0, 0, 0)


def test_holm_corrects_for_how_many_were_tried():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_value_and_bonferroni(values):
    for p, corrected in zip(values, holm(values), strict=True):
        assert p <= corrected <= min(1, p * len(values))


def _month(rate_of):
    generator = random.Random(5)
    for day in range(28):
        for hour in range(24):
            yield hour, sum(generator.random() < rate_of(day, hour) for _ in range(40)), 40


def test_seasonality_finds_the_hour_and_not_an_outage():
    found = seasonality(_month(lambda _day, hour: 0.10 if hour == 3 else 0.02))
    assert found.p < 1e-6
    assert found.groups[0].group == 3
    assert seasonality(_month(lambda _day, _hour: 0.02)).p > 0.05
    outage = seasonality(_month(lambda day, hour: 0.9 if (day, hour) == (9, 3) else 0.02))
    assert outage.p > 0.001


def test_seasonality_keeps_its_level():
    alarms = 0
    for seed in range(60):
        generator = random.Random(seed)
        buckets = [
            (hour, sum(generator.random() < 0.02 for _ in range(10)), 10)
            for _day in range(14)
            for hour in range(24)
        ]
        alarms += seasonality(buckets).p < 0.05
    assert alarms <= 7  # 3 are expected


def test_seasonality_of_two_cycles_is_no_evidence():
    assert seasonality([(0, 9, 10), (1, 0, 10)] * 2).p == 1
