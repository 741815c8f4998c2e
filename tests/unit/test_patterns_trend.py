"""Whether a pattern grows: the spans that are compared, and what counts as new."""

import pytest

from seawall import Trend
from seawall.patterns.trend import trend_of

DAY, SPAN = 86_400, 21_600
NOW = 20_000 * DAY + 3 * SPAN + 100.0  # three whole spans of today are over
START = 20_000 * DAY - 6 * DAY


def series(counts, start=START, span=SPAN):
    return {start + n * span: count for n, count in enumerate(counts) if count}


@pytest.mark.parametrize(
    ("counts", "trend"),
    [
        (range(1, 28), Trend.RISING),
        (range(27, 0, -1), Trend.FALLING),
        ([5, 3] * 13 + [5], Trend.STEADY),
        ([7] * 27, Trend.STEADY),
        ([0] * 18 + [9] * 9, Trend.RISING),
    ],
)
def test_trend_of_a_week_compares_six_hours(counts, trend):
    assert trend_of(series(counts), 0.0, now=NOW, days=7) is trend


def test_trend_leaves_out_the_span_that_is_not_over():
    counts = [*range(1, 28), 0]
    assert trend_of(series(counts), 0.0, now=NOW, days=7) is Trend.RISING
    early = 20_000 * DAY + 1.0  # a day has just begun
    assert trend_of(series([9] * 24), 0.0, now=early, days=7) is Trend.STEADY


def test_trend_is_new_until_five_spans_are_over():
    first = NOW - 4 * SPAN
    assert trend_of(series([9]), first, now=NOW, days=7) is Trend.NEW
    assert trend_of({}, 0.0, now=NOW, days=1) is Trend.STEADY  # old, and too short a look
    old = START + 0.0
    assert trend_of(series([1] * 27), old, now=NOW, days=7) is Trend.STEADY


@pytest.mark.parametrize("days", [30, 90])
def test_trend_of_months_compares_days(days):
    start = 20_000 * DAY - (days - 1) * DAY
    rising = series(range(1, days), start, DAY)
    assert trend_of(rising, 0.0, now=NOW, days=days) is Trend.RISING
    young = 20_000 * DAY - 8 * DAY
    grown = series(range(1, 9), young, DAY)
    assert trend_of(grown, young + 5.0, now=NOW, days=30) is Trend.RISING
