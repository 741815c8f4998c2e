"""The front door's records: errors, and what was set aside."""

import functools
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, Unpack
from uuid import UUID

from seawall.classification import ErrorType
from seawall.journal import Replayed
from seawall.manager.base import Base
from seawall.quarantine.growth import QuarantineGrowth
from seawall.quarantine.processor import Processor
from seawall.quarantine.record import FilterOptions, QuarantinedRecord, RecordFilter
from seawall.quarantine.reprocess import ReprocessMetrics, ReprocessOptions
from seawall.quarantine.transfer import ImportReport
from seawall.quarantine_desk import is_retryable, worker_name
from seawall.retry import call

R = TypeVar("R", bound=Processor)


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
        """Write the error, classified and masked; it is on disk when this returns.

        An exception that is a row already gets no second: its id is returned again. What ends a
        ``run`` is written without being asked for.
        """
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

    async def replay_journal(self) -> Replayed:
        """Bring what waits in this machine's journal to the database, now.

        A started manager does so by itself.

        Raises:
            InvalidConfigError: there is no journal (``journal_max_bytes=0``).
            DatabaseUnavailableError: it can't be reached; nothing is lost.
        """
        return await self._services.outage.replay()

    def register_processor(self, step: str, processor: R) -> R:
        """Reprocess the quarantined records of ``step`` by it where no processor is given.

        Args:
            step: the step that set them aside.
            processor: see ``reprocess_quarantined_records``.

        Raises:
            InvalidConfigError: it is neither a function nor a table's name.
        """
        self._services.register_processor(step, processor)
        return processor

    async def reprocess_quarantined_records(
        self,
        run_id: str | None,
        quarantine_id: UUID | None = None,
        processor: Processor | None = None,
        *,
        size: int | None = None,
        limit: int | None = None,
        max_attempts: int | None = None,
        attempt_timeout: float | None = None,
        columns: Sequence[str] | None = None,
        actor: str | None = None,
        retry_options: Mapping[str, Any] | None = None,
        **which: Unpack[FilterOptions],
    ) -> ReprocessMetrics:
        """Run pending and failed records again, each once; those that fail stay, with a trace.

        Several workers may do so at once: none takes a record that another holds. What the
        processor writes through ``tx`` commits with the record's outcome. A batch whose connection
        dies is rolled back and run again.

        Args:
            run_id: the run that set them aside; None: any.
            quarantine_id: one set of them.
            processor: ``async (tx, record)``, ``tx`` an asyncpg connection in a transaction, with
                ``load``; an exception fails the record, ``DiscardRecordError`` or a returned
                ``Discard`` gives it up. A plain function runs in a worker thread, and ``tx``'s
                methods wait there. A table's name loads the records into it, the fast way. None:
                the one registered for the record's step.
            size: records a transaction; 100 for a function and 5,000 for a table without it.
            limit: records at the most.
            max_attempts: leave records alone that were tried so often.
            attempt_timeout: seconds for one record, which fails then; 0.8 of ``lease_seconds``
                without it.
            columns: the table's columns, where the processor is a table.
            actor: who does it; this worker's host and process id without it.
            retry_options: options of ``retry`` for batches whose connection died.
            which: fields of ``RecordFilter``.

        Raises:
            InvalidConfigError: an option can't be; the message says what would be right.
            MissingProcessorError: no processor was given, and some steps have none registered; the
                records of the others are done by then.
            TransactionEndedError: the processor has ended the transaction by itself.
            MissingTableError: the processor is a table that does not exist.
        """
        policy = self._policy(
            {"name": "reprocessing", "retry_on": is_retryable, **(retry_options or {})}
        )
        return await self._services.quarantine_desk.reprocess(
            RecordFilter(run_id=run_id, quarantine_id=quarantine_id, **which),
            processor,
            ReprocessOptions(
                actor=actor or worker_name(),
                size=size,
                limit=limit,
                max_attempts=max_attempts,
                attempt_timeout=attempt_timeout,
                columns=columns,
            ),
            functools.partial(call, policy),
        )

    async def list_quarantined_records(
        self, which: RecordFilter, *, after: UUID | None = None, limit: int = 100
    ) -> list[QuarantinedRecord]:
        """The records of a filter, whole, oldest first; an empty list ends them.

        Args:
            which: the records.
            after: the key of the last record of the page before.
            limit: records at the most (1 to 100,000).
        """
        return await self._services.quarantine_desk.page(which, after, limit)

    async def count_quarantined_records(
        self, which: RecordFilter, by: str = "reason"
    ) -> dict[str | None, int]:
        """How many records there are of each reason, most first.

        Args:
            which: the records.
            by: reason, step, status, error_type, sqlstate, constraint_name or run_id.
        """
        return await self._services.quarantine_desk.count(which, by)

    async def edit_quarantined_record(
        self, record_id: UUID, record: Any, *, why: str, actor: str | None = None
    ) -> None:
        """Put ``record`` in the place of what was set aside; it is pending then.

        What it was is kept, with who and why: see ``QuarantinedRecord.edits``.

        Args:
            record_id: which record.
            record: what to reprocess instead.
            why: kept with the edit.
            actor: who does it; this worker's host and process id without it.

        Raises:
            QuarantineError: there is no such record, it is settled, or it is being reprocessed.
            CodecError: the record can't be stored so that it comes back equal.
        """
        await self._services.quarantine_desk.edit(record_id, record, actor, why)

    async def discard_quarantined_records(
        self,
        run_id: str | None,
        quarantine_id: UUID | None = None,
        *,
        why: str,
        actor: str | None = None,
        **which: Unpack[FilterOptions],
    ) -> int:
        """Give pending and failed records up; they stay to be looked at. How many there were.

        Records that are being reprocessed at this moment are passed by.

        Args:
            run_id: the run that set them aside; None: any.
            quarantine_id: one set of them.
            why: kept with each record.
            actor: who does it; this worker's host and process id without it.
            which: fields of ``RecordFilter``.
        """
        return await self._services.quarantine_desk.discard(
            RecordFilter(run_id=run_id, quarantine_id=quarantine_id, **which), why, actor
        )

    async def purge_quarantined_records(
        self,
        *,
        older_than: timedelta | datetime,
        statuses: Collection[str] | None = None,
        actor: str | None = None,
        run_id: str | None = None,
        **which: Unpack[FilterOptions],
    ) -> int:
        """Delete reprocessed and discarded records for good; how many there were.

        Open records are never deleted. What was deleted, by whom and when stays in
        ``quarantine_purges``, and in the figures of ``quarantine_growth``.

        Args:
            older_than: an age (by the database's clock) or a moment: records whose last change of
                status is older go.
            statuses: of these only; reprocessed and discarded without it.
            actor: who does it; this worker's host and process id without it.
            run_id: of this run only.
            which: fields of ``RecordFilter``.

        Raises:
            InvalidConfigError: a status is not settled, or the age is none.
        """
        options: FilterOptions = {"status": statuses, **which}
        return await self._services.quarantine_desk.purge(
            RecordFilter(run_id=run_id, **options), older_than, actor
        )

    async def quarantine_growth(
        self, pipeline_id: str | None = None, days: int = 7
    ) -> QuarantineGrowth:
        """How the quarantine grew: set aside and settled by day and reason, and what is open now.

        Read from counts that are kept as records come and go: costs the same however many there
        are.

        Args:
            pipeline_id: the pipeline; the manager's own without it.
            days: the last days (UTC), today included.
        """
        return await self._services.quarantine_desk.growth(pipeline_id or self.pipeline_id, days)

    async def export_quarantined_records(
        self,
        path: str | Path,
        which: RecordFilter,
        *,
        file_format: str | None = None,
        masked: bool = False,
    ) -> int:
        """Write records to a file, whole or not at all, as they are at one moment; how many.

        JSONL holds all that is known of a record. CSV is for people: records that are mappings
        have a column for each field, and text that a spreadsheet program would take for a formula
        gets a ``'`` in front.

        Args:
            path: the file, which only its owner may read; another of that name is replaced.
            which: the records.
            file_format: ``jsonl`` or ``csv``; by the file's ending without it.
            masked: secrets are masked, and the file can't be imported. Without it records are
                written whole.
        """
        return await self._services.quarantine_desk.export(path, which, file_format, masked=masked)

    async def import_quarantined_records(
        self,
        path: str | Path,
        *,
        file_format: str | None = None,
        why: str | None = None,
        actor: str | None = None,
    ) -> ImportReport:
        """Bring in a file of ``export_quarantined_records``, perhaps edited; again changes nothing.

        Records that are not there are added with their history (JSONL). Payloads that were edited
        in the file take the place of those in the database, unless these were edited too.

        Args:
            path: the file.
            file_format: ``jsonl`` or ``csv``; by the file's ending without it.
            why: kept with each edit.
            actor: who does it; this worker's host and process id without it.

        Raises:
            QuarantineError: a line can't be read, with its number; those before it stand.
        """
        return await self._services.quarantine_desk.import_from(path, file_format, actor, why)
