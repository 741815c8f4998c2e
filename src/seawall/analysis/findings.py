"""From counts over time to changes, trends, seasons and reliability. Pure."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TypeVar

from seawall.analysis.model import ChangePoint, Rate, Reliability, Season, Trend
from seawall.analysis.store import Bucket, RunHistory
from seawall.statistics import (
    Change,
    find_changes,
    mann_kendall,
    mean_interval,
    seasonality,
    theil_sen,
)

K = TypeVar("K")

_FEWEST_DAYS = 7
_SHRINKAGE = 5.0
_FALSE_ALARM_BUCKETS = 100_000.0  # more than a year of five minutes, but see the docs


def raw_changes(buckets: Sequence[Bucket]) -> list[Change]:
    """What the CUSUM says of the series; a season that is certain is no change each time."""
    factor = factor_of(buckets)
    return find_changes(
        ((each.failures, each.total, factor(each.start)) for each in buckets),
        buckets_between_false_alarms=_FALSE_ALARM_BUCKETS,
    )


def factor_of(buckets: Sequence[Bucket]) -> Callable[[datetime], float]:
    """By how much the rate of a time of day and week usually differs from the mean."""
    hours, weekdays = (_factors(season) for season in seasons_of(buckets))

    def factor(at: datetime) -> float:
        at = at.astimezone(UTC)
        return hours.get(at.hour, 1.0) * weekdays.get(at.weekday(), 1.0)

    return factor


def _factors(season: Season) -> dict[int, float]:
    """By how much each group's rate differs from the mean; of few failures little is believed."""
    if not season.is_certain:
        return {}
    failures = sum(rate.failures for _, rate in season.groups)
    mean = failures / sum(rate.total for _, rate in season.groups)
    return {
        group: (rate.failures + _SHRINKAGE) / (rate.total * mean + _SHRINKAGE)
        for group, rate in season.groups
    }


def change_points(buckets: Sequence[Bucket]) -> tuple[ChangePoint, ...]:
    """The changes, each with the rates of the whole time before and after it."""
    found = raw_changes(buckets)
    edges = [0, *(each.began for each in found), len(buckets)]
    rates = [rate_of(buckets[start:end]) for start, end in pairwise(edges)]
    return tuple(
        ChangePoint(buckets[each.began].start, buckets[each.detected].start, before, after)
        for each, (before, after) in zip(found, pairwise(rates), strict=True)
    )


def rate_of(buckets: Sequence[Bucket]) -> Rate:
    """The rate of all of them."""
    return Rate.of(sum(each.failures for each in buckets), sum(each.total for each in buckets))


def last_raised(
    changes: Sequence[ChangePoint], start: datetime, now: datetime
) -> tuple[datetime, datetime, bool]:
    """When the rate was raised last: from, until, and whether it ever was; else all the time."""
    until = now
    for each in reversed(changes):
        if each.direction == "rise":
            return each.began_at, until, True
        until = each.began_at
    return start, now, False


def trend_of(buckets: Sequence[Bucket], now: datetime) -> Trend | None:
    """The drift of the rates of whole days (UTC)."""
    days = sorted(_sums(buckets, lambda start: start.astimezone(UTC).date()).items())
    rates = [
        (day.toordinal(), failures / total)
        for day, (failures, total) in days
        if total and day < now.astimezone(UTC).date()
    ]
    if len(rates) < _FEWEST_DAYS:
        return None
    values, places = [rate for _, rate in rates], [float(day) for day, _ in rates]
    slope = theil_sen(values, places)
    return Trend(len(rates), slope.slope, slope.interval, 1 - mann_kendall(values).p)


def seasons_of(buckets: Sequence[Bucket]) -> tuple[Season, Season]:
    """By hour of the day, and by weekday, in UTC."""

    def hour(start: datetime) -> datetime:
        return start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)

    def day(start: datetime) -> datetime:
        return hour(start).replace(hour=0)

    return (
        _season(_sums(buckets, hour), lambda start: start.hour),
        _season(_sums(buckets, day), lambda start: start.weekday()),
    )


def _season(sums: dict[datetime, tuple[int, int]], group_of: Callable[[datetime], int]) -> Season:
    found = seasonality((group_of(start), *counts) for start, counts in sums.items())
    groups = tuple((each.group, Rate.of(each.failures, each.total)) for each in found.groups)
    return Season(groups, 1 - found.p)


def _sums(buckets: Sequence[Bucket], key: Callable[[datetime], K]) -> dict[K, tuple[int, int]]:
    sums: dict[K, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for each in buckets:
        failures, total = sums[key(each.start)]
        sums[key(each.start)] = failures + each.failures, total + each.total
    return sums


def reliability_of(history: RunHistory, now: datetime) -> Reliability:
    """Times between outages and to recovery."""
    durations = [
        (each.ended_at - each.began_at).total_seconds()
        for each in history.outages
        if each.ended_at is not None
    ]
    lasting = [each.began_at for each in history.outages if each.ended_at is None]
    down = sum(durations) + sum(((now - each) for each in lasting), timedelta()).total_seconds()
    up, count = max(0.0, history.observed_seconds - down), len(history.outages)
    return Reliability(
        runs=history.runs,
        failed_runs=history.failed_runs,
        outages=count,
        mtbf_seconds=up / count if count else None,
        mtbf_interval=mean_interval(count, up) if history.runs else None,
        recovery_seconds=sum(durations) / len(durations) if durations else None,
        longest_recovery_seconds=max(durations, default=None),
        down_since=lasting[0] if lasting else None,
    )
