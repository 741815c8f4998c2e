"""When operations recover: the distribution of the time to recovery, from interval-censored calls.

A retry tells only that the operation recovered between two attempts, or not yet. The distribution
is found by self-consistency (Turnbull 1976, "The empirical distribution function with arbitrarily
grouped, censored and truncated data"), over buckets of time; where nobody looked, a weak prior
says that an operation may still recover, so that looking there is worth a try until it was vain.
"""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass

from seawall.tuning.model import EDGES, NEVER, Interval

_ROUNDS = 40
# In a bucket where nobody waited one in ten recovers, as if ten calls had shown it.
PRIOR_CASES = 10.0
PRIOR_HAZARD = 0.1


@dataclass(frozen=True, slots=True)
class Recovery:
    """Of the calls that failed once, the share that has recovered after a time.

    Attributes:
        shares: up to each of ``EDGES``, growing; what is left of 1 never recovers.
        cases: calls that it is made from.
        seen_until: the longest wait, in seconds, that any call was watched for.
    """

    shares: tuple[float, ...]
    cases: int
    seen_until: float

    def by(self, seconds: float) -> float:
        """The share that has recovered after so many seconds; even within a bucket."""
        at = bisect.bisect_left(EDGES, seconds)
        if at == len(EDGES):
            return self.shares[-1]
        start = EDGES[at - 1] if at else 0.0
        below = self.shares[at - 1] if at else 0.0
        share: float = below + (self.shares[at] - below) * (seconds - start) / (EDGES[at] - start)
        return share


def recovery_of(counts: Mapping[Interval, int]) -> Recovery:
    """The distribution that the counts speak for."""
    seen = max((_watched(each) for each in counts), default=-1)
    shares = _self_consistent(counts, seen)
    recovered, exposed = [0.0] * len(EDGES), [0.0] * len(EDGES)
    for interval, count in counts.items():
        low, high = _range(interval, seen)
        left = mass = sum(shares[low:high])
        for at in range(_watched(interval) + 1 if mass > 0 else 0):
            exposed[at] += count * left / mass
            if low <= at < high:
                recovered[at] += count * shares[at] / mass
                left -= shares[at]
    alive, sums = 1.0, []
    for gone, watched in zip(recovered, exposed, strict=True):
        alive *= 1.0 - (gone + PRIOR_CASES * PRIOR_HAZARD) / (max(gone, watched) + PRIOR_CASES)
        sums.append(1.0 - alive)
    return Recovery(tuple(sums), sum(counts.values()), EDGES[seen] if seen >= 0 else 0.0)


def _self_consistent(counts: Mapping[Interval, int], seen: int) -> list[float]:
    """The share of each bucket that was watched, and, last, of those who recovered later."""
    shares = [1.0 / (seen + 2)] * (seen + 2)
    for _ in range(_ROUNDS):
        expected = [0.0] * len(shares)
        for interval, count in counts.items():
            low, high = _range(interval, seen)
            mass = sum(shares[low:high])
            for at in range(low, high if mass > 0 else low):
                expected[at] += count * shares[at] / mass
        total = sum(expected)
        shares = [each / total for each in expected] if total else shares
    return shares


def _range(interval: Interval, seen: int) -> tuple[int, int]:
    """The buckets, from and to before, in which the call recovered."""
    if interval.succeeded_at == NEVER:
        return interval.failed_until + 1, seen + 2
    return min(interval.failed_until + 1, interval.succeeded_at), interval.succeeded_at + 1


def _watched(interval: Interval) -> int:
    """The last bucket in which somebody looked."""
    return interval.failed_until if interval.succeeded_at == NEVER else interval.succeeded_at
