"""How a pipeline's error budget stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from seawall.budget.counts import Counts, Sli
from seawall.budget.rule import span

# The windows whose burn rates are told, in seconds.
WINDOWS = (300.0, 1800.0, 3600.0, 21_600.0, 259_200.0)

# The outlook is from the shortest of these that holds enough to speak of a rate.
_RECENT = (3600.0, 21_600.0, 259_200.0)
_ENOUGH = 10

_DAY = 86_400.0


class ErrorBudgetStatus(TypedDict):
    """How a pipeline's error budget stands, at ``measured_at``.

    Attributes:
        pipeline_id: the pipeline.
        sli: what is counted: ``runs`` or ``rows``.
        objective: share of good ones that is aimed at.
        window_days: days of the window that ends now.
        window_start: its start, or when the pipeline was forgiven within it.
        measured_at: now, by the database's clock.
        good: good ones in the window.
        bad: bad ones.
        total: both.
        error_rate_percent: share of bad ones; 0 where there was nothing.
        allowed_bad: bad ones that the objective has room for among so many.
        budget_remaining_percent: of the budget; below 0 where it is overdrawn.
        budget_exceeded: whether there were more bad ones than allowed.
        burn_rates: by window (``5m``, ``30m``, ``1h``, ``6h``, ``3d``): how many times faster than
            sustainable the budget goes.
        exhausted_at: when the budget is used up if things go on as they do; when that was noticed
            where it is; None where it lasts.
    """

    pipeline_id: str
    sli: str
    objective: float
    window_days: float
    window_start: datetime
    measured_at: datetime
    good: int
    bad: int
    total: int
    error_rate_percent: float
    allowed_bad: float
    budget_remaining_percent: float
    budget_exceeded: bool
    burn_rates: dict[str, float]
    exhausted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the store knows of one pipeline.

    Attributes:
        at: now, by the store's clock.
        counts: of the window.
        by_window: of each of ``WINDOWS``, in seconds.
        first_at: when the first one of the window was; None for none.
        objective: what was set by a call; None for nothing.
        counted_from: what was before is forgiven.
        exhausted_at: when it was noticed that the budget was gone; None where it isn't.
    """

    at: datetime
    counts: Counts
    by_window: Mapping[float, Counts]
    first_at: datetime | None = None
    objective: float | None = None
    counted_from: datetime | None = None
    exhausted_at: datetime | None = None


def status_of(
    pipeline_id: str, sli: Sli, objective: float, window_days: float, measured: Measured
) -> ErrorBudgetStatus:
    """What was measured, held against the objective."""
    counts, start = measured.counts, measured.at - timedelta(days=window_days)
    exceeded = counts.exceeds(objective)
    if exceeded:
        exhausted_at: datetime | None = measured.exhausted_at or measured.at
    else:
        exhausted_at = _exhausted_at(measured, objective, window_days)
    return ErrorBudgetStatus(
        pipeline_id=pipeline_id,
        sli=sli.value,
        objective=objective,
        window_days=window_days,
        window_start=max(start, measured.counted_from or start),
        measured_at=measured.at,
        good=counts.good,
        bad=counts.bad,
        total=counts.total,
        error_rate_percent=100 * counts.error_rate,
        allowed_bad=counts.allowed(objective),
        budget_remaining_percent=100 * (1 - counts.burn_rate(objective)),
        budget_exceeded=exceeded,
        burn_rates={
            span(seconds): each.burn_rate(objective) for seconds, each in measured.by_window.items()
        },
        exhausted_at=exhausted_at,
    )


def seconds_to_exhaustion(
    counts: Counts, burn_rate: float, objective: float, observed: float, window: float
) -> float | None:
    """Seconds until the budget is gone at ``burn_rate``; None where it lasts.

    Runs go on coming as often as they did. While there is less history than a window, each also
    adds to the budget; after that, what the window forgets is taken for good ones, so that the
    answer is never too late.

    Args:
        counts: of the window.
        burn_rate: now.
        objective: what is aimed at.
        observed: seconds of the window that there is history of.
        window: its seconds.
    """
    if burn_rate <= 1 or not counts.total:
        return None
    left = counts.allowed(objective) - counts.bad
    allowance = counts.allowed(objective) / max(observed, 60.0)  # bad ones a second
    growing = max(0.0, window - observed)
    used = (burn_rate - 1) * allowance
    if left <= used * growing:
        return left / used
    return growing + (left - used * growing) / (burn_rate * allowance)


def _exhausted_at(measured: Measured, objective: float, window_days: float) -> datetime | None:
    if measured.first_at is None:
        return None
    recent = measured.counts
    for seconds in _RECENT:
        if seconds in measured.by_window and measured.by_window[seconds].total >= _ENOUGH:
            recent = measured.by_window[seconds]
            break
    observed = (measured.at - measured.first_at).total_seconds()
    window = window_days * _DAY
    seconds_left = seconds_to_exhaustion(
        measured.counts, recent.burn_rate(objective), objective, min(observed, window), window
    )
    if seconds_left is None or seconds_left > 100 * 365 * _DAY:
        return None
    return measured.at + timedelta(seconds=seconds_left)
