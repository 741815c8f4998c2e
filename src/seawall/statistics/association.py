"""What sets failures apart from successes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seawall.statistics.distribution import chi_square_above, normal_above, normal_quantile
from seawall.statistics.proportion import CONFIDENCE, Interval, log_choose

_FEWEST_EXPECTED = 5.0  # below it chi-square isn't to be trusted (Cochran)
_MOST_EXACT = 1_000_000
_SAME = 1 + 1e-7


@dataclass(frozen=True, slots=True)
class Table:
    """Failures and successes with an attribute, and those without it."""

    failures: int
    successes: int
    other_failures: int
    other_successes: int

    def __post_init__(self) -> None:
        if min(self.failures, self.successes, self.other_failures, self.other_successes) < 0:
            raise ValueError(f"counts aren't negative: {self}")

    @property
    def with_it(self) -> int:
        return self.failures + self.successes

    @property
    def without_it(self) -> int:
        return self.other_failures + self.other_successes

    @property
    def total(self) -> int:
        return self.with_it + self.without_it

    @property
    def gain(self) -> float:
        """How much better two rates explain the counts than one: a likelihood ratio (G-squared)."""
        failed, succeeded = (
            self.failures + self.other_failures,
            self.successes + self.other_successes,
        )
        cells = (
            (self.failures, self.with_it * failed),
            (self.successes, self.with_it * succeeded),
            (self.other_failures, self.without_it * failed),
            (self.other_successes, self.without_it * succeeded),
        )
        return 2 * math.fsum(
            found * math.log(found * self.total / product) for found, product in cells if found
        )

    @property
    def smallest_expected(self) -> float:
        """The least of the four counts that would be expected without an association."""
        failed = self.failures + self.other_failures
        rows = min(self.with_it, self.without_it)
        return rows * min(failed, self.total - failed) / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Association:
    """How an attribute goes with failures.

    Attributes:
        lift: the failure rate with it, by the rate without; infinite where none fail without.
        interval: where the lift lies.
        p: how likely so many failures with it are, were it unrelated; one-sided.
    """

    lift: float
    interval: Interval
    p: float


def fisher_exact(table: Table) -> tuple[float, float]:
    """Fisher's exact test (1935): p for more failures with it than by chance, and for both sides.

    Takes time in proportion to the smallest of the sums.
    """
    failed, rows, total = table.failures + table.other_failures, table.with_it, table.total
    least, most = max(0, failed - table.without_it), min(failed, rows)
    ways = log_choose(total, failed)
    chances = [
        math.exp(log_choose(rows, k) + log_choose(table.without_it, failed - k) - ways)
        for k in range(least, most + 1)
    ]
    found = chances[table.failures - least] * _SAME
    greater = math.fsum(chances[table.failures - least :])
    both = math.fsum(chance for chance in chances if chance <= found)
    return min(1.0, greater), min(1.0, both)


def chi_square(groups: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Pearson's test that groups of (failures, total) fail alike: chi-square and its p."""
    used = [(failures, total) for failures, total in groups if total]
    failed, everything = sum(each[0] for each in used), sum(each[1] for each in used)
    if len(used) < 2 or failed in (0, everything):
        return 0.0, 1.0
    rate = failed / everything
    statistic = math.fsum(
        (failures - total * rate) ** 2 / (total * rate * (1 - rate)) for failures, total in used
    )
    return statistic, chi_square_above(statistic, len(used) - 1)


def associate(table: Table, confidence: float = CONFIDENCE) -> Association:
    """Whether failures are more frequent with an attribute than without it, and by how much.

    Exact where counts are small, else by chi-square with Yates' correction. The interval is Katz's
    (1978), with half a case added where a count is zero.
    """
    if not table.with_it or not table.without_it:
        return Association(1.0, Interval(0.0, math.inf), 1.0)
    lift, interval = _lift(table, confidence)
    if table.smallest_expected < _FEWEST_EXPECTED and _is_small(table):
        return Association(lift, interval, fisher_exact(table)[0])
    return Association(lift, interval, normal_above(_corrected_z(table)))


def _is_small(table: Table) -> bool:
    return min(table.failures + table.other_failures, table.with_it) <= _MOST_EXACT


def _lift(table: Table, confidence: float) -> tuple[float, Interval]:
    rate, other = table.failures / table.with_it, table.other_failures / table.without_it
    lift = rate / other if other else math.inf if rate else 1.0
    half = 0.5 if not table.failures or not table.other_failures else 0.0
    a, b = table.failures + half, table.other_failures + half
    n, m = table.with_it + half, table.without_it + half
    error = math.sqrt(max(0.0, 1 / a - 1 / n + 1 / b - 1 / m))
    reach = math.exp(normal_quantile(0.5 + confidence / 2) * error)
    middle = (a / n) / (b / m)
    high = math.inf if math.isinf(lift) else middle * reach
    return lift, Interval(middle / reach, high)


def _corrected_z(table: Table) -> float:
    failed = table.failures + table.other_failures
    expected = failed * table.with_it / table.total
    rate = failed / table.total
    variance = table.with_it * table.without_it / table.total * rate * (1 - rate)
    if variance <= 0:
        return 0.0
    distance = table.failures - expected
    return math.copysign(max(0.0, abs(distance) - 0.5), distance) / math.sqrt(variance)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for how many were tried (Holm, 1979), in the order given.

    The chance that even one of those below 0.05 is there by chance is below 0.05.
    """
    count, highest = len(p_values), 0.0
    corrected = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[index] * (count - rank)))
        corrected[index] = highest
    return corrected
