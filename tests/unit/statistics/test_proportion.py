"""Rates and their intervals agree with scipy's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seawall.statistics import (
    Side,
    binomial_at_least,
    binomial_at_most,
    binomial_test,
    exact_interval,
    mean_interval,
    wilson_interval,
)

COUNTS = [(0, 0), (0, 1), (0, 12), (1, 1), (3, 10), (7, 1000), (999, 1000), (5000, 1_000_000)]
SIDES = {Side.GREATER: "greater", Side.LESS: "less", Side.BOTH: "two-sided"}


@pytest.mark.parametrize(("failures", "total"), COUNTS[1:])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_intervals_equal_scipys(failures, total, confidence):
    model = stats.binomtest(failures, total)
    for method, interval in [("wilson", wilson_interval), ("exact", exact_interval)]:
        expected = model.proportion_ci(confidence, method=method)
        found = interval(failures, total, confidence)
        assert (found.low, found.high) == pytest.approx(
            (expected.low, expected.high), rel=1e-8, abs=1e-12
        )
        assert failures / total in found


def test_interval_of_nothing_is_everything():
    assert (wilson_interval(0, 0).low, wilson_interval(0, 0).high) == (0, 1)
    assert (exact_interval(0, 0).low, exact_interval(0, 0).high) == (0, 1)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 400), st.data(), st.floats(0.001, 0.999))
def test_binomial_test_equals_scipys(total, data, rate):
    failures = data.draw(st.integers(0, total))
    for side, name in SIDES.items():
        expected = stats.binomtest(failures, total, rate, name).pvalue
        assert binomial_test(failures, total, rate, side) == pytest.approx(
            expected, rel=1e-6, abs=1e-12
        )


@pytest.mark.parametrize("rate", [0.0, 1.0])
@pytest.mark.parametrize("failures", [0, 4, 9])
def test_binomial_test_of_a_certain_rate_equals_scipys(failures, rate):
    for side, name in SIDES.items():
        expected = stats.binomtest(failures, 9, rate, name).pvalue
        assert binomial_test(failures, 9, rate, side) == pytest.approx(expected)


def test_binomial_tails_outside_the_counts():
    assert (binomial_at_most(-1, 5, 0.5), binomial_at_most(5, 5, 0.5)) == (0, 1)
    assert (binomial_at_least(0, 5, 0.5), binomial_at_least(6, 5, 0.5)) == (1, 0)


@pytest.mark.parametrize("events", [1, 4, 250])
def test_mean_interval_equals_the_poisson_rates(events):
    seconds = 7200.0
    found = mean_interval(events, seconds)
    assert found.high == pytest.approx(2 * seconds / stats.chi2.ppf(0.025, 2 * events), rel=1e-9)
    assert found.low == pytest.approx(2 * seconds / stats.chi2.ppf(0.975, 2 * events + 2), rel=1e-9)


def test_mean_interval_without_events_has_no_upper_end():
    assert mean_interval(0, 100).high == float("inf")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: wilson_interval(2, 1),
        lambda: wilson_interval(-1, 1),
        lambda: exact_interval(0, 1, 1.0),
        lambda: binomial_test(0, 1, 1.5),
        lambda: mean_interval(-1, 1),
        lambda: mean_interval(1, 1, 0),
    ],
)
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="not"):
        wrong()
