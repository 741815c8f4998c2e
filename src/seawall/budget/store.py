"""Where counts, objectives and alerts are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from seawall.budget.alert import Reading
from seawall.budget.counts import Counts, Sli
from seawall.budget.rule import BurnRule, Severity
from seawall.budget.status import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A pipeline that may be in an outage: enough failed, or its alert fires.

    Attributes:
        pipeline_id: the pipeline.
        objective: what was set by a call; None for nothing.
        firing: the alert that fires now.
        severity: that alert's.
        readings: of each rule's windows, which begin after the last alert's end.
    """

    pipeline_id: str
    objective: float | None
    firing: UUID | None
    severity: Severity | None
    readings: Sequence[Reading]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBudgetAlert:
    """One outage, as it was alerted on.

    Attributes:
        alert_id: its key.
        pipeline_id: the pipeline.
        sli: what was counted.
        state: ``firing`` or ``resolved``.
        severity: of the rule that fired last.
        rule: that rule.
        objective: what was aimed at.
        long_burn_rate: of its long window when it fired.
        short_burn_rate: of its short window then.
        bad: bad ones in its long window then.
        total: all in it.
        fired_at: when the alert began.
        resolved_at: when it was over.
    """

    alert_id: UUID
    pipeline_id: str
    sli: Sli
    state: str
    severity: Severity
    rule: str
    objective: float
    long_burn_rate: float
    short_burn_rate: float
    bad: int
    total: int
    fired_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What an alert is to say of the rule that fires."""

    severity: Severity
    rule: str
    objective: float
    long_burn_rate: float
    short_burn_rate: float
    bad: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A pipeline with failures in its window.

    Attributes:
        pipeline_id: the pipeline.
        sli: what is counted.
        counts: of the window.
        objective: what was set by a call; None for nothing.
    """

    pipeline_id: str
    sli: Sli
    counts: Counts
    objective: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """A pipeline whose budget is gone.

    Attributes:
        pipeline_id: the pipeline.
        sli: what is counted.
        counts: of the window.
        objective: what is aimed at.
        window_days: days of the window.
    """

    pipeline_id: str
    sli: Sli
    counts: Counts
    objective: float
    window_days: float


class BudgetStore(Protocol):
    """Counts that runs are added to by the store itself, in the transaction of their end."""

    async def add_rows(self, rows: Mapping[str, Counts]) -> None:
        """Add rows, by pipeline, to the minute that it is."""
        ...

    async def measure(
        self, pipeline_id: str, sli: Sli, window_seconds: float, windows: Sequence[float]
    ) -> Measured:
        """The counts of one pipeline, of its window and of shorter ones; in seconds."""
        ...

    async def set_objective(self, pipeline_id: str, sli: Sli, objective: float | None) -> None:
        """Set what is aimed at; None leaves it to the configuration."""
        ...

    async def forgive(self, pipeline_id: str, sli: Sli) -> None:
        """Count from the next minute on; an alert that fires is over."""
        ...

    async def suspects(
        self, sli: Sli, rules: Sequence[BurnRule], least: int, short_events: int
    ) -> list[Suspect]:
        """Pipelines with ``least`` bad ones in the longest window, and those that are firing.

        Rows are looked at only where an objective for them was set. A short window reaches back
        until it holds ``short_events``.
        """
        ...

    async def fire(self, pipeline_id: str, sli: Sli, firing: Firing) -> None:
        """An alert begins; nothing where one fires already."""
        ...

    async def escalate(self, alert_id: UUID, firing: Firing) -> None:
        """An alert that fires becomes one of another severity."""
        ...

    async def resolve(self, alert_id: UUID) -> None:
        """An alert is over."""
        ...

    async def unannounced(self) -> list[ErrorBudgetAlert]:
        """Alerts whose last change nobody was told."""
        ...

    async def mark_announced(self, alert: ErrorBudgetAlert) -> None:
        """It was told; nothing where it has changed since."""
        ...

    async def alerts(self, pipeline_id: str | None, limit: int) -> list[ErrorBudgetAlert]:
        """Alerts, the last first."""
        ...

    async def spent(self, window_days: float, least: int) -> list[Spent]:
        """Pipelines with ``least`` bad ones in the window; rows as in ``suspects``."""
        ...

    async def put_exhausted(self, exhausted: Sequence[Exhausted]) -> None:
        """These are the pipelines whose budget is gone, and no others."""
        ...

    async def exhausted(self) -> list[Exhausted]:
        """The pipelines whose budget is gone."""
        ...

    async def has_run(self, run_id: str) -> bool:
        """Whether the run was begun before."""
        ...

    async def fold(self) -> None:
        """Sum old minutes up to hours; drop what is too old to be asked for."""
        ...
