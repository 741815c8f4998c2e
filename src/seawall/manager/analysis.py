"""The front door's analysis: what failed, why, and what to do."""

from collections.abc import Sequence

from seawall.analysis import FailureAnalysis
from seawall.budget.counts import Sli
from seawall.budget.status import ErrorBudgetStatus
from seawall.budget.store import ErrorBudgetAlert
from seawall.health import Reading, SystemHealth
from seawall.manager.base import Base
from seawall.patterns import ErrorPattern, PatternStatus


class AnalysisMethods(Base):
    """Patterns, budgets, failures, actions and health."""

    async def get_system_health(self) -> SystemHealth:
        """How this worker's machine, process and event loop are at this moment, and what to do.

        Started, it also has the latest sample of every worker of the fleet. Not started, there is
        neither a lag of the event loop nor a use of the pool, and it takes 0.1 s: the processors
        are measured over that.
        """
        return await self._services.system_health()

    def latest_health(self) -> Sequence[Reading]:
        """This worker's readings of the last background sample; none before the first.

        Costs nothing; ``get_system_health`` reads anew.
        """
        return self._services.latest_readings()

    async def get_error_budget_status(
        self,
        pipeline_id: str | None = None,
        time_window_days: float = 30,
        *,
        sli: Sli | str = Sli.RUNS,
    ) -> ErrorBudgetStatus:
        """How a pipeline's error budget stands.

        Args:
            pipeline_id: None: that of the run around the call, else the manager's own.
            time_window_days: above 0, at most 400. Where it begins more than four days ago, it
                begins with a full hour (UTC).
            sli: ``runs``, by their final outcome; ``rows``: loaded against set aside.

        Raises:
            InvalidConfigError: an argument is out of range.
        """
        return await self._services.analytics.budget.status(pipeline_id, time_window_days, sli)

    async def set_error_budget_objective(
        self,
        objective: float | None,
        pipeline_id: str | None = None,
        *,
        sli: Sli | str = Sli.RUNS,
    ) -> None:
        """Set what a pipeline aims at, for the whole fleet.

        An objective for ``rows`` also turns on the alerts and the policy for them.

        Args:
            objective: share of good ones, above 0 and below 1; None: as is configured.
            pipeline_id: as in ``get_error_budget_status``.
            sli: what it is about.

        Raises:
            InvalidConfigError: it is no objective, or one that an alert rule can't fire for.
        """
        await self._services.analytics.budget.set_objective(objective, pipeline_id, sli)

    async def forgive_error_budget(
        self, pipeline_id: str | None = None, *, sli: Sli | str = Sli.RUNS
    ) -> None:
        """Begin a pipeline's error budget anew: what was until now counts no more.

        An alert that fires is resolved, and new runs are let in again: here at once, in other
        workers within ``budget_check_seconds``.

        Args:
            pipeline_id: as in ``get_error_budget_status``.
            sli: whose budget.
        """
        await self._services.analytics.budget.forgive(pipeline_id, sli)

    async def get_error_budget_alerts(
        self, pipeline_id: str | None = None, limit: int = 100
    ) -> list[ErrorBudgetAlert]:
        """Alerts on how fast error budgets went: one an outage, the last first.

        Args:
            pipeline_id: of this pipeline only.
            limit: how many at the most, to 10,000.
        """
        return await self._services.analytics.budget.alerts(pipeline_id, limit)

    async def get_error_patterns(
        self,
        pipeline_id: str | None = None,
        days: int = 7,
        *,
        status: PatternStatus | str | None = None,
        limit: int = 100,
    ) -> list[ErrorPattern]:
        """The error patterns of the whole fleet, the most frequent first.

        Read from roll-ups: as quick at ten million errors as at ten.

        Args:
            pipeline_id: of this pipeline only.
            days: how many back from today (UTC), today included; 1 to 90.
            status: only those that are ``open``, ``resolved`` or ``ignored``.
            limit: how many at the most, to 1,000.

        Raises:
            InvalidConfigError: an option is out of range.
        """
        return await self._services.analytics.patterns.patterns(
            pipeline_id, days, status=status, limit=limit
        )

    async def get_error_pattern(self, pattern_id: str, days: int = 30) -> ErrorPattern | None:
        """One error pattern of the whole fleet, also by an id that it had before.

        Args:
            pattern_id: the pattern.
            days: as of ``get_error_patterns``.

        Returns:
            None where there is none of that id.

        Raises:
            InvalidConfigError: ``days`` is out of range.
        """
        return await self._services.analytics.patterns.pattern(pattern_id, days)

    async def resolve_error_pattern(self, pattern_id: str, *, actor: str, reason: str) -> str:
        """Say that its cause is gone: an error of it from now on is a regression.

        Args:
            pattern_id: the pattern, also by an id that it had before.
            actor: who says so.
            reason: why; both are kept in ``audit_log``.

        Returns:
            The pattern's id of now.

        Raises:
            UnknownPatternError: there is none of that id.
        """
        return await self._services.analytics.patterns.change_status(
            pattern_id, PatternStatus.RESOLVED, actor=actor, reason=reason
        )

    async def ignore_error_pattern(self, pattern_id: str, *, actor: str, reason: str) -> str:
        """Say that it is of no interest: it is counted, and told of no more.

        Arguments, result and errors as of ``resolve_error_pattern``.
        """
        return await self._services.analytics.patterns.change_status(
            pattern_id, PatternStatus.IGNORED, actor=actor, reason=reason
        )

    async def reopen_error_pattern(self, pattern_id: str, *, actor: str, reason: str) -> str:
        """Take back that it was resolved or ignored.

        Arguments, result and errors as of ``resolve_error_pattern``.
        """
        return await self._services.analytics.patterns.change_status(
            pattern_id, PatternStatus.OPEN, actor=actor, reason=reason
        )

    async def analyze_failures(
        self,
        pipeline_id: str | None = None,
        days: int = 30,
        *,
        quarantine_limit: int | None = None,
    ) -> FailureAnalysis:
        """What fails, since when, where and why, and what runs out next; ``.summary`` tells it.

        Read from counts that every worker adds to, at the latest ten seconds after the fact: costs
        the same however many failures there were.

        Args:
            pipeline_id: the pipeline; the manager's own without it.
            days: how far back, 1 to 90.
            quarantine_limit: open quarantined records that are too many: says when they will be.

        Raises:
            InvalidConfigError: a number is out of range.
        """
        return await self._services.analytics.failures.analyze(
            pipeline_id or self.pipeline_id, days, quarantine_limit
        )
