"""Slow trends in a short series, whatever its distribution."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from seawall.statistics.distribution import normal_quantile, normal_two_sided
from seawall.statistics.proportion import CONFIDENCE, Interval


@dataclass(frozen=True, slots=True)
class MannKendall:
    """Whether a series goes one way.

    Attributes:
        s: pairs that rise less pairs that fall.
        variance: of ``s`` without a trend, ties corrected.
        z: ``s`` in standard deviations, with a continuity correction; above 0 rises.
        p: how likely a series without a trend is so far from even.
    """

    s: int
    variance: float
    z: float
    p: float


@dataclass(frozen=True, slots=True)
class TheilSen:
    """The slope of a series: the median of all pairs' slopes, which outliers don't move.

    Attributes:
        slope: change of y for each unit of x.
        intercept: y where x is 0: the median of what is left without the slope.
        interval: where the slope lies.
    """

    slope: float
    intercept: float
    interval: Interval


def mann_kendall(values: Sequence[float]) -> MannKendall:
    """The Mann-Kendall test (1945, 1975), two-sided; no evidence (p = 1) from fewer than three."""
    s = sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))
    variance = _variance(values)
    if len(values) < 3 or variance <= 0:
        return MannKendall(s, variance, 0.0, 1.0)
    z = math.copysign(max(0, abs(s) - 1), s) / math.sqrt(variance)
    return MannKendall(s, variance, z, min(1.0, normal_two_sided(z)))


def _variance(values: Sequence[float]) -> float:
    count = len(values)
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values())
    return (count * (count - 1) * (2 * count + 5) - ties) / 18


def theil_sen(
    values: Sequence[float],
    at: Sequence[float] | None = None,
    *,
    confidence: float = CONFIDENCE,
) -> TheilSen:
    """Theil's slope (1950) with Sen's interval (1968), over ``at`` or over 0, 1, 2, ….

    Raises:
        ValueError: there are fewer than two distinct points, or not as many of both.
    """
    places = range(len(values)) if at is None else at
    if len(places) != len(values):
        raise ValueError(f"there are {len(values)} values at {len(places)} places: give as many")
    pairs = combinations(zip(places, values, strict=True), 2)
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairs if x2 != x1)
    if not slopes:
        raise ValueError("a slope needs values at two places at least")
    slope = median(slopes)
    # Sen's ranks around the median: how far pairs may lie on the other side by chance.
    deviation = math.sqrt(_variance(values)) * normal_quantile(0.5 + confidence / 2)
    high = min(round((len(slopes) + deviation) / 2), len(slopes) - 1)
    low = max(round((len(slopes) - deviation) / 2) - 1, 0)
    intercept = median(values) - slope * median(places)
    return TheilSen(slope, intercept, Interval(slopes[low], slopes[high]))
