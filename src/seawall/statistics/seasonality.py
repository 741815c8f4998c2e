"""Whether failures keep to certain hours or weekdays."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from seawall.statistics.distribution import f_above
from seawall.statistics.proportion import Interval, wilson_interval

_FEWEST_CYCLES = 3  # seen less often, a season can't be told from an outage


@dataclass(frozen=True, slots=True)
class GroupRate:
    """The failure rate of one hour of the day, or one day of the week."""

    group: int
    failures: int
    total: int
    interval: Interval

    @property
    def rate(self) -> float:
        return self.failures / self.total


@dataclass(frozen=True, slots=True)
class Seasonality:
    """How failure rates differ between the groups of a cycle.

    Attributes:
        f: differences between groups, by the differences within them.
        p: how likely that is without a season.
        groups: the rate of each group that was seen, the highest first.
    """

    f: float
    p: float
    groups: tuple[GroupRate, ...]


def seasonality(buckets: Iterable[tuple[int, int, int]]) -> Seasonality:
    """Whether groups differ, of buckets of (group, failures, total), one a group and cycle.

    An F test of Pearson's residuals between groups by those within: one outage, however large,
    differs within its group too, and makes no season. Groups seen in fewer than three cycles, or
    without one failure or success anywhere, are no evidence (p = 1).
    """
    groups: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for group, failures, total in buckets:
        if total:
            groups[group].append((failures, total))
    sums = {
        group: (sum(each[0] for each in found), sum(each[1] for each in found))
        for group, found in groups.items()
    }
    rates = sorted(
        (
            GroupRate(group, failures, total, wilson_interval(failures, total))
            for group, (failures, total) in sums.items()
        ),
        key=lambda each: (-each.rate, each.group),
    )
    f, p = _test(groups, sums)
    return Seasonality(f, p, tuple(rates))


def _test(
    groups: dict[int, list[tuple[int, int]]], sums: dict[int, tuple[int, int]]
) -> tuple[float, float]:
    failed, everything = (sum(each[i] for each in sums.values()) for i in (0, 1))
    cells = sum(len(found) for found in groups.values())
    if len(groups) < 2 or failed in (0, everything) or cells < _FEWEST_CYCLES * len(groups):
        return 0.0, 1.0
    rate = failed / everything
    variance = rate * (1 - rate)
    between = math.fsum((k - n * rate) ** 2 / (n * variance) for k, n in sums.values())
    within = math.fsum(
        (k - n * sums[group][0] / sums[group][1]) ** 2 / (n * variance)
        for group, found in groups.items()
        for k, n in found
    )
    above, below = len(groups) - 1, cells - len(groups)
    # Never less spread than chance has: buckets that agree too well are few, not precise.
    f = (between / above) / max(1.0, within / below)
    return f, f_above(f, above, below)
