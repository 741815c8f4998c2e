"""The front door's analysis: what failed, why, and what to do."""

from seawall.analysis import FailureAnalysis
from seawall.manager.base import Base
from seawall.patterns import ErrorPattern, PatternStatus


class AnalysisMethods(Base):
    """Patterns, budgets, failures, actions and health."""

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
