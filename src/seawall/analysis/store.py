"""Where counts of failures are kept, and what else the analysis reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

WORK = "total"  # ends of work: batches and steps
RUNS = "run"  # ends of runs
OTHER = "(other)"
PAIR = " × "


@dataclass(frozen=True, slots=True)
class Delta:
    """What one worker adds to the counts of one value; ``age_seconds`` ago it happened."""

    pipeline_id: str
    dimension: str
    value: str
    age_seconds: float
    failures: int
    successes: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Ends of work from ``start`` on: of five minutes lately, of an hour before."""

    start: datetime
    failures: int
    total: int


@dataclass(frozen=True, slots=True)
class Series:
    """A pipeline's counts over time, oldest first; ``now`` is the store's clock."""

    now: datetime
    work: Sequence[Bucket]
    runs: Sequence[Bucket]


@dataclass(frozen=True, slots=True)
class ValueCount:
    """One value's counts inside a window, and before it."""

    dimension: str
    value: str
    failures: int
    total: int
    failures_before: int
    total_before: int
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Outage:
    """From the first failed run after a good one to the next good one; None while it lasts."""

    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunHistory:
    """How runs ended; ``observed_seconds`` since the first end."""

    runs: int
    failed_runs: int
    observed_seconds: float
    outages: Sequence[Outage]


@dataclass(frozen=True, slots=True)
class Reading:
    """A resource over time: points of (seconds before now, negative; use) towards ``limit``."""

    resource: str
    unit: str
    limit: float
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """Good and bad runs of the period that a budget is for, and of its last day."""

    objective: float
    good: int
    bad: int
    recent_good: int
    recent_bad: int
    recent_seconds: float


@dataclass(frozen=True, slots=True)
class ToldChange:
    """A change as it is written down."""

    began_at: datetime
    detected_at: datetime
    failures_before: int
    total_before: int
    failures_after: int
    total_after: int
    subject: str = ""  # the part that changed; empty for the whole

    @property
    def rate_before(self) -> float:
        return self.failures_before / self.total_before if self.total_before else 0.0

    @property
    def rate_after(self) -> float:
        return self.failures_after / self.total_after if self.total_after else 0.0

    @property
    def is_rise(self) -> bool:
        return self.rate_after > self.rate_before


class AnalysisStore(Protocol):
    """Counts that every worker adds to; times are the store's own."""

    async def add(self, deltas: Sequence[Delta]) -> None:
        """Add counts to those of their five minutes, in one transaction."""
        ...

    async def fold(self) -> None:
        """Turn what is older than a day into hours, and delete what nobody asks for."""
        ...

    async def series(self, pipeline_id: str, days: int) -> Series:
        """The counts of the last ``days``."""
        ...

    async def values(
        self, pipeline_id: str, days: int, since: datetime, until: datetime
    ) -> list[ValueCount]:
        """Each value's counts from ``since`` to before ``until``, and before ``since``."""
        ...

    async def runs(self, pipeline_id: str, days: int) -> RunHistory:
        """How the pipeline's runs ended."""
        ...

    async def disks(self) -> list[Reading]:
        """Percent of each disk in use, over the last day."""
        ...

    async def quarantine(self, pipeline_id: str, limit: float) -> Reading:
        """Open quarantined records, at the end of each day."""
        ...

    async def budget(self, pipeline_id: str, days: int) -> BudgetUse | None:
        """What the error budget holds; None where nothing is counted."""
        ...

    async def failing(self) -> list[str]:
        """Pipelines with a failure in the last day."""
        ...

    async def tell(self, pipeline_id: str, change: ToldChange) -> bool:
        """Write down that a change is told of; False where it, or a later one, was already.

        A part of the pipeline is told of once a day.
        """
        ...
