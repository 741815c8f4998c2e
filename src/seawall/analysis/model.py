"""What an analysis of failures found, as plain values."""

import math
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from seawall.statistics import Interval, wilson_interval

CERTAIN = 0.95


class Basis(StrEnum):
    """What a cause was found by.

    ``CONTRAST``: in the same time, work with it fails more often than work without it.
    ``ERRORS``: failures of this kind became more frequent when the rate rose.
    ``APPEARED``: it was first seen when the rate rose; a coincidence in time, no contrast.
    ``SUDDEN``: in the last minutes it fails far more often than it ever did.
    ``SEASON``: failures keep to this time, cycle after cycle.
    """

    CONTRAST = "contrast"
    ERRORS = "errors"
    APPEARED = "appeared"
    SUDDEN = "sudden"
    SEASON = "season"


@dataclass(frozen=True, slots=True)
class Rate:
    """``failures`` of ``total``; the interval holds the rate behind them (95 %)."""

    failures: int
    total: int
    rate: float
    interval: Interval

    @classmethod
    def of(cls, failures: int, total: int) -> "Rate":
        rate = failures / total if total else 0.0
        return cls(failures, total, rate, wilson_interval(failures, total))


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A failure rate that changed.

    Attributes:
        began_at: start of the first five minutes with the new rate; of the first hour, where it is
            more than a day ago.
        detected_at: start of those in which it became certain.
        before: the rate since the change before.
        after: the rate from then to the next change, or to now.
    """

    began_at: datetime
    detected_at: datetime
    before: Rate
    after: Rate

    @property
    def direction(self) -> str:
        """``rise`` or ``fall``."""
        return "rise" if self.after.rate > self.before.rate else "fall"


@dataclass(frozen=True, slots=True)
class Trend:
    """A slow drift of the daily failure rate.

    Attributes:
        days: days that it is seen over.
        slope: change of the rate a day (0.01 is one percentage point).
        interval: where the slope lies.
        certainty: that there is one (1 less p of Mann-Kendall).
    """

    days: int
    slope: float
    interval: Interval
    certainty: float

    @property
    def is_certain(self) -> bool:
        return self.certainty >= 0.99 and self.slope != 0


@dataclass(frozen=True, slots=True)
class Season:
    """Failure rates by hour (0 to 23) or weekday (0 is Monday), in UTC; the highest first."""

    groups: tuple[tuple[int, Rate], ...]
    certainty: float

    @property
    def is_certain(self) -> bool:
        return self.certainty >= 0.99  # two are tried in every analysis


@dataclass(frozen=True, slots=True)
class Reliability:
    """How long it is between outages, and from an outage to the next good run.

    Attributes:
        runs: that ended.
        failed_runs: those that failed or were abandoned.
        outages: one or more failed runs in a row.
        mtbf_seconds: mean time between outages, of the time in between; None without one.
        mtbf_interval: where it lies (95 %); without an upper end where there was no outage.
        recovery_seconds: mean time from the first failed run's end to the next good one's.
        longest_recovery_seconds: the longest of them.
        down_since: the outage that lasts; None where there is none.
    """

    runs: int
    failed_runs: int
    outages: int
    mtbf_seconds: float | None
    mtbf_interval: Interval | None
    recovery_seconds: float | None
    longest_recovery_seconds: float | None
    down_since: datetime | None


@dataclass(frozen=True, slots=True)
class Cause:
    """What sets failures apart.

    Attributes:
        dimension: step, host, release, partition, ``step × host``, ``step × release``,
            error_type, exception, hour or weekday.
        value: its value.
        rate: of the work with it.
        lift: how many times the rate without it (before it, by ``basis``); may be infinite.
        lift_interval: where the lift lies (95 %).
        certainty: that it isn't chance: 1 less p, corrected for all that were tried.
        basis: what it was found by.
    """

    dimension: str
    value: str
    rate: Rate
    lift: float
    lift_interval: Interval
    certainty: float
    basis: Basis


@dataclass(frozen=True, slots=True)
class Share:
    """One error type's, or exception's, part in the failures."""

    dimension: str
    value: str
    failures: int
    share: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """A resource on its way to its end.

    Attributes:
        resource: what it is.
        unit: what ``used`` and ``limit`` are in.
        used: now.
        limit: where it ends.
        per_day: how fast it is used.
        ends_at: when it runs out at that pace.
        earliest: the interval's beginning (95 %).
        latest: its end; None where it may never run out.
    """

    resource: str
    unit: str
    used: float
    limit: float
    per_day: float
    ends_at: datetime
    earliest: datetime
    latest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureAnalysis:
    """What fails in a pipeline, since when, where, why, and what runs out next.

    Attributes:
        unit: ``work``: a success is a committed batch or a step that ended well, a failure a step
            that failed; ``runs`` where a pipeline has runs only.
        failures: their rate over the whole time.
        changes: changes of the rate, oldest first.
        trend: of the daily rate; None from fewer than seven days.
        causes: what sets the failures apart, from ``causes_since`` to ``causes_until``: the last
            time the rate was raised, or all of it; the strongest first.
        is_sudden: that time is the last minutes: a part of the pipeline began to fail that is too
            small to move the whole rate yet.
        error_types: the parts of error types and exceptions in the failures of that time.
        outlook: what runs out, the first first.
        summary: the same in sentences.
    """

    pipeline_id: str
    analyzed_at: datetime
    days: int
    unit: str
    failures: Rate
    changes: tuple[ChangePoint, ...]
    trend: Trend | None
    by_hour: Season
    by_weekday: Season
    reliability: Reliability
    causes: tuple[Cause, ...]
    causes_since: datetime
    causes_until: datetime
    error_types: tuple[Share, ...]
    outlook: tuple[Outlook, ...]
    is_sudden: bool = False
    summary: str = ""

    @property
    def last_change(self) -> ChangePoint | None:
        return self.changes[-1] if self.changes else None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it: times in ISO 8601, infinite numbers as None."""
        found: dict[str, Any] = _plain(asdict(self))
        for each, change in zip(found["changes"], self.changes, strict=True):
            each["direction"] = change.direction
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
