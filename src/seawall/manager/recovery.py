"""The front door's recovery actions: what was done, what to do, and how retries are tuned."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from seawall.actions import RecoveryAction, Taken
from seawall.classification import ErrorType
from seawall.manager.base import Base
from seawall.tuning import RetryAdvice, TuningChange


class RecoveryMethods(Base):
    """Recovery actions and auto-tuning."""

    async def recommend_recovery_actions(
        self,
        pipeline_id: str | None = None,
        *,
        error: BaseException | None = None,
        pattern_id: str | None = None,
        days: int = 30,
    ) -> list[RecoveryAction]:
        """What to do, ranked by what worked; the best first.

        About ``error``, or about the pattern, or about the five open patterns that are the most
        frequent. Read from roll-ups: as quick at ten million errors as at ten.

        Args:
            pipeline_id: what worked in this pipeline; the whole fleet without it.
            error: an exception to be dealt with.
            pattern_id: an error pattern, also by an id that it had before.
            days: how many back from today (UTC), today included; 1 to 90.

        Raises:
            InvalidConfigError: ``days`` is out of range.
            UnknownPatternError: there is no such pattern.
        """
        return await self._services.analytics.actions.recommend(
            pipeline_id, error=error, pattern_id=pattern_id, days=days
        )

    async def record_recovery_action(
        self,
        action: str,
        *,
        succeeded: bool | None = None,
        pipeline_id: str | None = None,
        error: BaseException | None = None,
        error_type: ErrorType | str | None = None,
        pattern_id: str | None = None,
        operation: str | None = None,
        actor: str | None = None,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> UUID:
        """Write down what was done about a failure, so that it counts for recommendations.

        Args:
            action: its name: a recommendation's ``name`` (``rotate_credentials``), or your own;
                ``escalate`` tells the receivers of alerts.
            succeeded: whether it helped; None while nobody knows (``finish_recovery_action``).
            pipeline_id: the pipeline; the current run's without it.
            error: what it answers: gives the error type and the pattern.
            error_type: the recovery class, where there is no ``error``.
            pattern_id: the pattern, where there is no ``error``.
            operation: the call, service or step that it is about.
            actor: who did it.
            reason: why, in a sentence.
            details: what else is known, by name.

        Returns:
            The key of its row in ``recovery_actions``.

        Raises:
            InvalidConfigError: ``action`` is no name, or ``error_type`` none of them.
        """
        return await self._services.analytics.actions.record(
            action,
            succeeded=succeeded,
            pipeline_id=pipeline_id,
            error=error,
            error_type=error_type,
            pattern_id=pattern_id,
            operation=operation,
            actor=actor,
            reason=reason,
            details=details,
        )

    async def finish_recovery_action(self, action_id: UUID, *, succeeded: bool) -> bool:
        """Say whether a recorded action helped; False where none of that key waits for it."""
        return await self._services.analytics.actions.finish(action_id, succeeded=succeeded)

    async def claim_automatic_action(
        self,
        action: str,
        *,
        pipeline_id: str | None = None,
        operation: str | None = None,
        error_type: ErrorType | str | None = None,
        reason: str = "",
    ) -> bool:
        """Ask before a program of yours does something by itself, such as starting a run again.

        True: it is written down, and counts towards ``automatic_actions_per_hour`` of the
        pipeline in the whole fleet. False: the cap is reached; an escalation was recorded (once
        an hour), and a person should look.

        Args:
            action: its name.
            pipeline_id: the pipeline; the current run's without it.
            operation: the call, service or step that it is about.
            error_type: the recovery class that it answers.
            reason: why, in a sentence.
        """
        return await self._services.analytics.actions.claim(
            action,
            pipeline_id=pipeline_id,
            operation=operation,
            error_type=error_type,
            reason=reason,
        )

    async def list_recovery_actions(
        self, pipeline_id: str | None = None, days: int = 30, limit: int = 100
    ) -> list[Taken]:
        """The rows of ``recovery_actions``, the latest first; frequent actions are only counted.

        Args:
            pipeline_id: of this pipeline only.
            days: how far back, 1 to 90.
            limit: how many at the most, to 1,000.

        Raises:
            InvalidConfigError: a number is out of range.
        """
        return await self._services.analytics.actions.listed(pipeline_id, days, limit)

    async def retry_advice(self, pipeline_id: str | None = None) -> list[RetryAdvice]:
        """What the retries of each operation show, and which numbers would be better.

        Args:
            pipeline_id: of this pipeline only.
        """
        return await self._services.analytics.tuning.advice(pipeline_id)

    async def tuning_changes(
        self, pipeline_id: str | None = None, days: int = 30, limit: int = 100
    ) -> Sequence[TuningChange]:
        """What auto-tuning has changed, the latest first, each with its reason.

        Args:
            pipeline_id: of this pipeline only.
            days: how far back, 1 to 90.
            limit: how many at the most, to 1,000.

        Raises:
            InvalidConfigError: a number is out of range.
        """
        return await self._services.analytics.tuning.changes(pipeline_id, days, limit)

    async def reset_tuning(
        self, pipeline_id: str | None = None, operation: str | None = None
    ) -> int:
        """Go back to the configured numbers and forget the timings; of how many operations.

        Args:
            pipeline_id: of this pipeline only.
            operation: of this operation only.
        """
        return await self._services.analytics.tuning.reset(pipeline_id, operation)
