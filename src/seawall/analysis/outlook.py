"""What runs out next, and when. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from seawall.analysis.model import Outlook
from seawall.analysis.store import BudgetUse, Reading
from seawall.statistics import Interval, mann_kendall, theil_sen, wilson_interval

_DAY = 86_400.0
_FEWEST_POINTS = 6
_MOST_POINTS = 200  # a slope takes time by the square
_LATEST_POINTS = 12
_HORIZON_DAYS = 365.0
_BUDGET = "error budget"


def look_ahead(
    now: datetime, readings: Iterable[Reading], budget: BudgetUse | None
) -> tuple[Outlook, ...]:
    """What certainly runs out within a year, the first first."""
    found = [look for reading in readings if (look := _of_reading(now, reading)) is not None]
    if budget is not None and (look := _of_budget(now, budget)) is not None:
        found.append(look)
    return tuple(sorted(found, key=lambda each: each.ends_at))


def _of_reading(now: datetime, reading: Reading) -> Outlook | None:
    """By the whole series, or by its end where that is steeper: a disk may fill in an hour."""
    points = reading.points[-_MOST_POINTS:]
    looks = [
        look
        for part in (points, points[-_LATEST_POINTS:])
        if (look := _extrapolated(now, reading, part)) is not None
    ]
    return min(looks, key=lambda each: each.ends_at, default=None)


def _extrapolated(
    now: datetime, reading: Reading, points: Sequence[tuple[float, float]]
) -> Outlook | None:
    if len(points) < _FEWEST_POINTS or len({at for at, _ in points}) < _FEWEST_POINTS:
        return None
    values = [value for _, value in points]
    trend, slope = mann_kendall(values), theil_sen(values, [at for at, _ in points])
    if trend.p >= 0.01 or slope.slope <= 0 or slope.interval.low <= 0:
        return None
    return _outlook(
        now,
        reading.resource,
        reading.unit,
        (values[-1], reading.limit),
        slope.slope,
        slope.interval,
    )


def _of_budget(now: datetime, budget: BudgetUse) -> Outlook | None:
    """By the last day's failures: what they take of the failures that the objective allows."""
    total, recent = budget.good + budget.bad, budget.recent_good + budget.recent_bad
    allowed = (1 - budget.objective) * total
    if not recent or not budget.recent_bad or not allowed:
        return None
    share, bounds = budget.recent_bad / recent, wilson_interval(budget.recent_bad, recent)
    per_second = recent / budget.recent_seconds
    # What is bad beyond the objective: at that share or below it the budget lasts.
    burn, low, high = (
        (each - (1 - budget.objective)) * per_second / allowed * 100
        for each in (share, bounds.low, bounds.high)
    )
    if burn <= 0:
        return None
    used = budget.bad / allowed * 100
    return _outlook(now, _BUDGET, "percent", (used, 100.0), burn, Interval(low, high))


def _outlook(
    now: datetime,
    resource: str,
    unit: str,
    use: tuple[float, float],
    slope: float,
    interval: Interval,
) -> Outlook | None:
    used, limit = use
    left = max(0.0, limit - used)
    if left / slope > _HORIZON_DAYS * _DAY:
        return None
    latest_in = left / interval.low if interval.low > 0 else None
    if latest_in is not None and latest_in > 10 * _HORIZON_DAYS * _DAY:
        latest_in = None
    return Outlook(
        resource=resource,
        unit=unit,
        used=used,
        limit=limit,
        per_day=slope * _DAY,
        ends_at=now + timedelta(seconds=left / slope),
        earliest=now + timedelta(seconds=left / interval.high),
        latest=None if latest_in is None else now + timedelta(seconds=latest_in),
    )
