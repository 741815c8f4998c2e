"""When a failure rate changed: a CUSUM of likelihood ratios over counts in buckets.

Page's CUSUM (1954) for a binomial rate: the log-likelihood ratio of each bucket, of a changed rate
against the usual one, is summed and never falls below zero; the sum's passing ``h`` is an alarm,
and the change began where it last left zero. Several sizes of change are watched at once, up and
down. By Lorden (1971) one such sum reaches h by chance at most once in e^h buckets on average, so
h = ln(ARL x number of sums) holds the stated average run length whatever the volume.

The usual rate isn't known but learnt, so the bound of its confidence interval that makes alarms
rarer is taken for it: little history means few alarms rather than false ones.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seawall.statistics.proportion import score_interval

ODDS_RATIOS = (1.5, 2.0, 4.0, 16.0, 128.0)
BUCKETS_BETWEEN_FALSE_ALARMS = 100_000.0
_BASELINE_Z = 3.0  # one-sided, one in 740: it is looked at again and again as the baseline grows
_LAG = 12  # buckets that wait before they count as usual: a change must not hide itself
_SMALLEST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A failure rate that changed.

    Attributes:
        began: index of the first bucket with the new rate, as well as can be told.
        detected: index of the bucket in which it became certain.
        failures_before: failures since the change before this one, or since the start.
        total_before: what they are of.
        failures_after: failures from ``began`` to ``detected``.
        total_after: what they are of.
        score: the log-likelihood ratio that was reached.
    """

    began: int
    detected: int
    failures_before: int
    total_before: int
    failures_after: int
    total_after: int
    score: float

    @property
    def rate_before(self) -> float:
        return self.failures_before / self.total_before if self.total_before else 0.0

    @property
    def rate_after(self) -> float:
        return self.failures_after / self.total_after if self.total_after else 0.0

    @property
    def is_rise(self) -> bool:
        return self.rate_after > self.rate_before


_Bucket = tuple[int, int, int, float]  # index, failures, total, factor


class _Sum:
    """One CUSUM: for one size and direction of change."""

    __slots__ = ("began", "factor", "score")

    def __init__(self, factor: float) -> None:
        self.factor, self.score, self.began = factor, 0.0, 0

    def add(self, index: int, failures: int, total: int, usual: float) -> None:
        if self.score <= 0:
            self.score, self.began = 0.0, index
        odds = usual / (1 - usual) * self.factor
        changed = odds / (1 + odds)
        self.score += failures * math.log(changed / usual)
        self.score += (total - failures) * (math.log1p(-changed) - math.log1p(-usual))


class BinomialCusum:
    """Takes buckets of a series in order and says when its rate changed; then starts anew from it.

    Args:
        buckets_between_false_alarms: the average run length: how many buckets of a constant series
            pass, on average and at least, from one false alarm to the next.
        odds_ratios: the sizes of change that are watched, above 1; each is watched both ways.
        usual: failures and total that are known of the usual rate from before the series.

    Attributes:
        threshold: the log-likelihood ratio (h) that is an alarm.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        buckets_between_false_alarms: float = BUCKETS_BETWEEN_FALSE_ALARMS,
        odds_ratios: Sequence[float] = ODDS_RATIOS,
        usual: tuple[int, int] = (0, 0),
    ) -> None:
        if buckets_between_false_alarms < 1:
            raise ValueError(
                f"buckets_between_false_alarms is at least 1, not {buckets_between_false_alarms}"
            )
        if not odds_ratios or min(odds_ratios) <= 1:
            raise ValueError(f"odds_ratios are one or more numbers above 1, not {odds_ratios}")
        if not 0 <= usual[0] <= usual[1]:
            raise ValueError(f"usual is failures and their total, not {usual}")
        self.threshold = math.log(buckets_between_false_alarms * 2 * len(odds_ratios))
        self._ratios = tuple(odds_ratios)
        self._index = -1
        self._start([], usual)

    def _start(self, buckets: Iterable[_Bucket], usual: tuple[int, int]) -> None:
        self._failures, self._total = usual
        self._expected = float(self._total)
        self._recent: deque[_Bucket] = deque()
        for bucket in buckets:
            self._learn(bucket)
        self._up = [_Sum(ratio) for ratio in self._ratios]
        self._down = [_Sum(1 / ratio) for ratio in self._ratios]

    def _learn(self, bucket: _Bucket) -> None:
        _, failures, total, factor = bucket
        self._failures += failures
        self._total += total
        self._expected += total * factor

    def add(self, failures: int, total: int, factor: float = 1.0) -> Change | None:
        """Take the next bucket; the change that became certain with it, if one did.

        Args:
            failures: in the bucket.
            total: what they are of.
            factor: by how much its rate usually differs from the mean, such as by its hour.
        """
        self._index += 1
        # As if all had come at the mean rate: few failures where few were to be expected.
        mean = score_interval(self._failures, max(self._failures, self._expected), _BASELINE_Z)
        if total:
            self._weigh(self._up, mean.high * factor, failures, total)
            self._weigh(self._down, mean.low * factor, failures, total)
        self._recent.append((self._index, failures, total, factor))
        best = max((*self._up, *self._down), key=lambda each: each.score)
        if best.score >= self.threshold:
            return self._alarm(best)
        self._age()
        return None

    def _weigh(self, sums: Sequence[_Sum], usual: float, failures: int, total: int) -> None:
        if _SMALLEST < usual < 1 - _SMALLEST:
            for each in sums:
                each.add(self._index, failures, total, usual)

    def _age(self) -> None:
        """What is long enough ago counts as usual, where no sum is in doubt of it."""
        while len(self._recent) > _LAG:
            self._learn(self._recent.popleft())

    def _alarm(self, best: _Sum) -> Change:
        after = [bucket for bucket in self._recent if bucket[0] >= best.began]
        began = after[0][0]
        for bucket in self._recent:
            if bucket[0] < began:
                self._learn(bucket)
        change = Change(
            began=began,
            detected=self._index,
            failures_before=self._failures,
            total_before=self._total,
            failures_after=sum(bucket[1] for bucket in after),
            total_after=sum(bucket[2] for bucket in after),
            score=best.score,
        )
        self._start(after, (0, 0))
        return change


def find_changes(
    buckets: Iterable[tuple[int, int] | tuple[int, int, float]],
    *,
    buckets_between_false_alarms: float = BUCKETS_BETWEEN_FALSE_ALARMS,
    usual: tuple[int, int] = (0, 0),
) -> list[Change]:
    """The changes in a series of (failures, total), in order; see ``add`` for a third, a factor.

    Raises:
        ValueError: an argument is out of range.
    """
    cusum = BinomialCusum(buckets_between_false_alarms=buckets_between_false_alarms, usual=usual)
    found = (cusum.add(*bucket) for bucket in buckets)
    return [change for change in found if change is not None]
