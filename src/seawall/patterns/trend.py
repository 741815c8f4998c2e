"""Whether a pattern grows: Mann and Kendall's test over counts of equal spans of time."""

from collections.abc import Mapping

from seawall.patterns.gathered import BUCKET_SECONDS
from seawall.patterns.pattern import Trend
from seawall.statistics import mann_kendall

_DAY_SECONDS = 86_400
_LONG_DAYS = 8  # above it, days are compared, else six hours
_MOST_SPANS = 30
_FEWEST = 5  # spans that the test can tell something from
_CHANCE = 0.05


def trend_of(buckets: Mapping[int, int], first_seen: float, *, now: float, days: int) -> Trend:
    """The trend within the last ``days``.

    ``new`` until five spans are over since it was first seen: of six hours; of a day where
    more than eight days are asked for, of several where more than thirty are. Then rising or
    falling, if chance makes such a series less than once in twenty times, else steady. The span
    that isn't over is left out.

    Args:
        buckets: errors by the start of six hours, seconds since the epoch.
        first_seen: likewise, of the first error ever.
        now: likewise.
        days: how many back from today, today included.
    """
    whole = -(-days // _MOST_SPANS) * _DAY_SECONDS
    span = whole if days > _LONG_DAYS else BUCKET_SECONDS
    today = int(now // _DAY_SECONDS) * _DAY_SECONDS
    start = today - (days - 1) * _DAY_SECONDS
    if first_seen > start:
        start += int((first_seen - start) // span) * span
    end = start + int((now - start) // span) * span
    if end - start < _FEWEST * span:
        return Trend.NEW if first_seen >= start else Trend.STEADY
    counts = dict.fromkeys(range(start, end, span), 0)
    for at, count in buckets.items():
        place = start + (at - start) // span * span
        if place in counts:
            counts[place] += count
    test = mann_kendall(list(counts.values()))
    if test.p >= _CHANCE:
        return Trend.STEADY
    return Trend.RISING if test.s > 0 else Trend.FALLING
