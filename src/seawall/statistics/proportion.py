"""What counts of failures say of their rate."""

import math
from dataclasses import dataclass
from enum import StrEnum

from seawall.statistics.distribution import beta_below, beta_quantile, normal_quantile

CONFIDENCE = 0.95
_SAME = 1 + 1e-7  # two chances that differ by less are the same, rounded


class Side(StrEnum):
    """Which rates speak against the expected one."""

    GREATER = "greater"
    LESS = "less"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, both included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson_interval(failures: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """Where the rate behind ``failures`` of ``total`` lies (Wilson's score interval, 1927).

    From 0 to 1 where nothing was counted. Quick; ``exact_interval`` never covers less than asked.

    Raises:
        ValueError: the counts or the confidence make no sense.
    """
    _check(failures, total, confidence)
    return score_interval(failures, total, normal_quantile(0.5 + confidence / 2))


def score_interval(failures: int, total: float, z: float) -> Interval:
    """Wilson's interval for a given normal quantile."""
    if total == 0:
        return Interval(0.0, 1.0)
    share, square = failures / total, z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = z * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    half /= 1 + square / total
    low = 0.0 if failures == 0 else max(0.0, middle - half)
    return Interval(low, 1.0 if failures == total else min(1.0, middle + half))


def exact_interval(failures: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """Where the rate lies, never covering less than asked (Clopper and Pearson, 1934).

    Raises:
        ValueError: the counts or the confidence make no sense.
    """
    _check(failures, total, confidence)
    rest = (1 - confidence) / 2
    low = 0.0 if failures == 0 else beta_quantile(rest, failures, total - failures + 1)
    high = 1.0 if failures == total else beta_quantile(1 - rest, failures + 1, total - failures)
    return Interval(low, high)


def binomial_at_most(failures: int, total: int, rate: float) -> float:
    """How likely at most ``failures`` of ``total`` are, where each fails with chance ``rate``."""
    if failures < 0:
        return 0.0
    return 1.0 if failures >= total else beta_below(1 - rate, total - failures, failures + 1)


def binomial_at_least(failures: int, total: int, rate: float) -> float:
    """How likely at least ``failures`` of ``total`` are, where each fails with chance ``rate``."""
    if failures <= 0:
        return 1.0
    return 0.0 if failures > total else beta_below(rate, failures, total - failures + 1)


def binomial_test(failures: int, total: int, rate: float, side: Side = Side.GREATER) -> float:
    """How likely so many failures, or more extreme ones, are at that rate: an exact p-value.

    Both sides sum the counts that are no likelier than the one found.

    Raises:
        ValueError: the counts or the rate make no sense.
    """
    _check(failures, total, CONFIDENCE)
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate is from 0 to 1, not {rate}")
    if side is Side.GREATER:
        return binomial_at_least(failures, total, rate)
    if side is Side.LESS:
        return binomial_at_most(failures, total, rate)
    return _both_sides(failures, total, rate)


def _both_sides(failures: int, total: int, rate: float) -> float:
    if rate in (0.0, 1.0):
        return 1.0 if failures == total * rate else 0.0
    found = _chance(failures, total, rate) * _SAME
    expected = total * rate
    if failures == expected:
        return 1.0
    # The other tail begins where counts become as unlikely; they fall monotonically from the mode.
    if failures < expected:
        low, high = math.ceil(expected), total + 1
        while low < high:
            middle = (low + high) // 2
            if _chance(middle, total, rate) <= found:
                high = middle
            else:
                low = middle + 1
        other = binomial_at_least(low, total, rate)
        return min(1.0, binomial_at_most(failures, total, rate) + other)
    low, high = -1, math.floor(expected)
    while low < high:
        middle = (low + high + 1) // 2
        if _chance(middle, total, rate) <= found:
            low = middle
        else:
            high = middle - 1
    return min(1.0, binomial_at_least(failures, total, rate) + binomial_at_most(low, total, rate))


def _chance(failures: int, total: int, rate: float) -> float:
    if not 0 <= failures <= total:
        return 0.0
    return math.exp(
        log_choose(total, failures)
        + failures * math.log(rate)
        + (total - failures) * math.log1p(-rate)
    )


def log_choose(total: int, part: int) -> float:
    """The logarithm of the number of ways to choose ``part`` of ``total``."""
    return math.lgamma(total + 1) - math.lgamma(part + 1) - math.lgamma(total - part + 1)


def _check(failures: int, total: int, confidence: float) -> None:
    if not 0 <= failures <= total:
        raise ValueError(f"failures are from 0 to the total of {total}, not {failures}")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence is between 0 and 1, such as 0.95, not {confidence}")
