"""The front door's records: errors, and what was set aside."""

from collections.abc import Mapping, Sequence
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from seawall.classification import ErrorType
from seawall.manager.base import Base
from seawall.quarantine.reprocess import Processor, RecordFilter, ReprocessMetrics

P = ParamSpec("P")
T = TypeVar("T")


class RecordMethods(Base):
    """Errors and quarantined records."""

    async def log_error_details(
        self,
        run_id: str | None,
        error: BaseException,
        context: Mapping[str, Any] | None = None,
        *,
        step: str | None = None,
        operation: str | None = None,
        attempt: int | None = None,
    ) -> UUID:
        """Write the error, classified and masked; it is on disk when this returns."""
        return await self._services.log_error(
            run_id, error, context, step=step, operation=operation, attempt=attempt
        )

    async def quarantine_bad_records(
        self,
        run_id: str,
        bad_data: Any,
        error_reason: str,
        error_type: ErrorType = ErrorType.DATA,
        *,
        step: str | None = None,
        positions: Sequence[Any] | None = None,
    ) -> UUID:
        """Set records aside; they are on disk when this returns.

        Args:
            run_id: the run they belong to.
            bad_data: a list (or iterator) of records, a DataFrame (pandas or polars; a row each),
                or one record (mapping, tuple, text, …).
            error_reason: why; the same text for the same fault, so that it can be counted.
            error_type: what kind of failure.
            step: where; the current step without it.
            positions: each record's position in its source.

        Returns:
            The id of the set, ``quarantined_records.quarantine_id``.

        Raises:
            CodecError: a record can't be stored so that it comes back equal.
            PayloadTooLargeError: a record is above ``quarantine_max_bytes``; none was written.
        """
        return await self._services.quarantine(
            run_id, bad_data, error_reason, error_type, step=step, positions=positions
        )

    def register_processor(self, step: str, processor: Processor) -> Processor:
        """Reprocess the quarantined records of ``step`` by ``async processor(tx, record)``."""
        self._services.processors[step] = processor
        return processor

    async def reprocess_quarantined_records(
        self,
        run_id: str,
        quarantine_id: UUID | None = None,
        processor: Processor | None = None,
        *,
        step: str | None = None,
        reason: str | None = None,
        error_type: ErrorType | None = None,
        sqlstate: str | None = None,
        size: int = 100,
        limit: int | None = None,
        actor: str | None = None,
    ) -> ReprocessMetrics:
        """Run a run's quarantined records again, each once; those that fail stay, with a trace.

        Several workers may do so at once: none takes a record that another holds. What the
        processor writes through ``tx`` commits with the record's outcome.

        Args:
            run_id: the run that set them aside.
            quarantine_id: one set of them.
            processor: ``async (tx, record)``, ``tx`` an asyncpg connection in a transaction; an
                exception fails the record. None: the one registered for the record's step.
            step: of this step only.
            reason: set aside for this reason only.
            error_type: of this kind only.
            sqlstate: refused with this code only.
            size: records a transaction.
            limit: records at the most.
            actor: who does it; this worker's host and process id without it.

        Raises:
            InvalidConfigError: there is no processor for a record.
            QuarantineKeyError: a record's key is not here; it and its batch stay as they were.
        """
        which = RecordFilter(
            run_id=run_id,
            quarantine_id=quarantine_id,
            step=step,
            reason=reason,
            error_type=error_type,
            sqlstate=sqlstate,
        )
        return await self._services.reprocess(which, processor, size=size, limit=limit, actor=actor)

    async def discard_quarantined_records(
        self,
        run_id: str,
        quarantine_id: UUID | None = None,
        *,
        why: str,
        step: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> int:
        """Give quarantined records up; they stay to be looked at. How many there were.

        Args:
            run_id: the run that set them aside.
            quarantine_id: one set of them.
            why: kept with each record.
            step: of this step only.
            reason: set aside for this reason only.
            actor: who does it; this worker's host and process id without it.
        """
        which = RecordFilter(run_id=run_id, quarantine_id=quarantine_id, step=step, reason=reason)
        return await self._services.discard(which, why, actor)
