"""The front door's analysis: what failed, why, and what to do."""

from seawall.analysis import FailureAnalysis
from seawall.manager.base import Base


class AnalysisMethods(Base):
    """Patterns, budgets, failures, actions and health."""

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
