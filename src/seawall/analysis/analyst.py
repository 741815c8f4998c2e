"""Puts an analysis together, and tells the fleet's listeners of changes."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import anyio

from seawall.analysis.causes import find_causes, shares, sudden_failures
from seawall.analysis.findings import (
    change_points,
    factor_of,
    last_raised,
    rate_of,
    raw_changes,
    reliability_of,
    seasons_of,
    trend_of,
)
from seawall.analysis.model import ChangePoint, FailureAnalysis
from seawall.analysis.outlook import look_ahead
from seawall.analysis.store import (
    AnalysisStore,
    Bucket,
    BudgetUse,
    Reading,
    RunHistory,
    Series,
    ToldChange,
    ValueCount,
)
from seawall.analysis.summary import summary_of
from seawall.config import Range
from seawall.events import EventBus, FailureRateChanged

_DAYS = Range(int, 1, 90)
_WATCHED_DAYS = 30
_SUDDEN_MINUTES = (10, 55)  # before the five that are under way
_TOLD_WITHIN = timedelta(days=1)


class Analyst:
    """Analyses failures of pipelines; what takes long is computed in a thread.

    Args:
        store: the counts.
        bus: who hears of changes.
    """

    def __init__(self, store: AnalysisStore, bus: EventBus) -> None:
        self._store, self._bus = store, bus

    async def analyze(
        self, pipeline_id: str, days: int = 30, quarantine_limit: int | None = None
    ) -> FailureAnalysis:
        """See ``ErrorRecoveryManager.analyze_failures``.

        Raises:
            InvalidConfigError: ``days`` isn't from 1 to 90, or the limit isn't above 0.
        """
        _DAYS.check("days", days)
        if quarantine_limit is not None:
            Range(int, 1).check("quarantine_limit", quarantine_limit)
        store = self._store
        series = await store.series(pipeline_id, days)
        buckets = _unit(series)[1]
        changes = await anyio.to_thread.run_sync(change_points, buckets)
        window = await self._window(pipeline_id, days, series, changes)
        runs = await store.runs(pipeline_id, days)
        readings = await store.disks()
        if quarantine_limit is not None:
            readings.append(await store.quarantine(pipeline_id, quarantine_limit))
        budget = await store.budget(pipeline_id, days)
        build = functools.partial(
            build_analysis, pipeline_id, days, series, changes, window, runs, readings, budget
        )
        return await anyio.to_thread.run_sync(build)

    async def _window(
        self, pipeline_id: str, days: int, series: Series, changes: Sequence[ChangePoint]
    ) -> "Window":
        """The time whose failures are to be explained, and what was counted then and before."""
        now = series.now
        since, until, is_rise = last_raised(changes, now - timedelta(days=days), now)
        if not is_rise or until < now:
            spot = await self._sudden(pipeline_id, days, series)
            if spot is not None:
                return spot
        values = await self._store.values(pipeline_id, days, since, until)
        return Window(since, until, values, is_rise=is_rise)

    async def _sudden(self, pipeline_id: str, days: int, series: Series) -> "Window | None":
        now = series.now
        factor = factor_of(_unit(series)[1])(now)
        for minutes in _SUDDEN_MINUTES:
            since = slot_of(now) - timedelta(minutes=minutes)
            values = await self._store.values(pipeline_id, days, since, now)
            if found := sudden_failures(values, factor):
                return Window(since, now, values, is_rise=True, sudden=found)
        return None

    async def watch(self) -> list[FailureRateChanged]:
        """Tell of the changes that nobody was told of; what was told now.

        Raises whatever the store does.
        """
        told: list[FailureRateChanged] = []
        for pipeline_id in await self._store.failing():
            for change in await self._recent(pipeline_id):
                if await self._store.tell(pipeline_id, change):
                    event = await self._event(pipeline_id, change)
                    self._bus.emit(event)
                    told.append(event)
        return told

    async def _recent(self, pipeline_id: str) -> list[ToldChange]:
        """What changed within the last day, in the whole or, where that is as ever, in a part."""
        series = await self._store.series(pipeline_id, _WATCHED_DAYS)
        found = await anyio.to_thread.run_sync(changes_to_tell, _unit(series)[1], series.now)
        if found and found[-1].is_rise:
            return found
        spot = await self._sudden(pipeline_id, _WATCHED_DAYS, series)
        return found if spot is None else [*found, _told_spot(spot)]

    async def _event(self, pipeline_id: str, change: ToldChange) -> FailureRateChanged:
        found = await self.analyze(pipeline_id, _WATCHED_DAYS)
        return FailureRateChanged(
            pipeline_id=pipeline_id,
            subject=change.subject or None,
            direction="rise" if change.is_rise else "fall",
            began_at=change.began_at.isoformat(),
            rate_before=change.rate_before,
            rate_after=change.rate_after,
            summary=found.summary,
        )


def _unit(series: Series) -> tuple[str, Sequence[Bucket]]:
    """Ends of work; ends of runs where a pipeline has nothing else."""
    if any(each.total for each in series.work):
        return "work", series.work
    return "runs", series.runs


@dataclass(frozen=True, slots=True)
class Window:
    """A time to be explained, and each value's counts in it and before it."""

    since: datetime
    until: datetime
    values: Sequence[ValueCount]
    is_rise: bool
    sudden: Sequence[ValueCount] = ()


def slot_of(moment: datetime) -> datetime:
    """The start of the five minutes that a moment is in."""
    return moment - timedelta(
        minutes=moment.minute % 5, seconds=moment.second, microseconds=moment.microsecond
    )


def _told_spot(window: Window) -> ToldChange:
    worst = window.sudden[0]
    return ToldChange(
        window.since,
        slot_of(window.until),
        worst.failures_before,
        worst.total_before,
        worst.failures,
        worst.total,
        f"{worst.dimension}: {worst.value}",
    )


def changes_to_tell(buckets: Sequence[Bucket], now: datetime) -> list[ToldChange]:
    """The changes that were found within the last day, as they are written down."""
    return [
        ToldChange(
            buckets[each.began].start,
            buckets[each.detected].start,
            each.failures_before,
            each.total_before,
            each.failures_after,
            each.total_after,
        )
        for each in raw_changes(buckets)
        if buckets[each.detected].start >= now - _TOLD_WITHIN
    ]


def build_analysis(
    pipeline_id: str,
    days: int,
    series: Series,
    changes: tuple[ChangePoint, ...],
    window: Window,
    runs: RunHistory,
    readings: Sequence[Reading],
    budget: BudgetUse | None,
) -> FailureAnalysis:
    """The analysis, of everything that was read. Pure."""
    unit, buckets = _unit(series)
    now = series.now
    since, until = window.since, window.until
    inside = rate_of([each for each in buckets if since <= each.start < until])
    before = rate_of([each for each in buckets if each.start < since])
    by_hour, by_weekday = seasons_of(buckets)
    found = FailureAnalysis(
        pipeline_id=pipeline_id,
        analyzed_at=now,
        days=days,
        unit=unit,
        failures=rate_of(buckets),
        changes=changes,
        trend=trend_of(buckets, now),
        by_hour=by_hour,
        by_weekday=by_weekday,
        reliability=reliability_of(runs, now),
        causes=find_causes(
            window.values,
            work=(inside.failures, inside.total),
            work_before=(before.failures, before.total),
            since=since,
            is_rise=window.is_rise,
            sudden=window.sudden,
            seasons={"hour": by_hour, "weekday": by_weekday},
        ),
        causes_since=since,
        causes_until=until,
        error_types=shares(window.values, inside.failures),
        outlook=look_ahead(now, readings, budget),
        is_sudden=bool(window.sudden),
    )
    return replace(found, summary=summary_of(found))
