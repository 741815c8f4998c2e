"""What can be done with quarantined records once they are set aside, over one database."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from seawall.classification import Classifier
from seawall.errors import InvalidConfigError
from seawall.postgres import audit, quarantine_store
from seawall.postgres.database import Database
from seawall.postgres.lost import is_connection_lost
from seawall.postgres.record_change_store import PostgresRecordChangeStore
from seawall.postgres.record_query_store import PostgresRecordQueryStore
from seawall.postgres.record_transfer_store import PostgresTransferStore
from seawall.postgres.reprocess_store import PostgresReprocessStore
from seawall.quarantine import codec
from seawall.quarantine.growth import QuarantineGrowth
from seawall.quarantine.payload import PLAIN, PayloadForm
from seawall.quarantine.processor import Processor
from seawall.quarantine.record import OPEN, SETTLED, QuarantinedRecord, RecordFilter
from seawall.quarantine.reprocess import ReprocessMetrics, ReprocessOptions, Reprocessor, Retrying
from seawall.quarantine.transfer import ImportReport, export, import_from
from seawall.recorder import HOST


class QuarantineDesk:
    """Looks at, reprocesses, edits, moves and deletes quarantined records.

    May be shared between the tasks of one event loop.

    Args:
        database: where they are; started.
        processors: by step, for reprocessing without a processor given.
        classifier: decides the error type of a failure.
        lease_seconds: how long a processor may be silent within its transaction.
        form: how payloads are stored.
    """

    def __init__(
        self,
        database: Database,
        *,
        processors: Mapping[str, Processor],
        classifier: Classifier,
        lease_seconds: float,
        form: PayloadForm = PLAIN,
    ) -> None:
        self._database = database
        self._processors, self._classifier = processors, classifier
        self._masker = form.masker
        self._reprocess = PostgresReprocessStore(database, form=form, lease_seconds=lease_seconds)
        self._queries = PostgresRecordQueryStore(database, form)
        self._changes = PostgresRecordChangeStore(database, form)
        self._transfer = PostgresTransferStore(database, form)

    async def set_aside(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write rows of ``quarantine_store.rows``, made as they are sent, in one transaction."""
        async with self._database.acquire() as connection, connection.transaction():
            await quarantine_store.write(connection, self._database.schema, rows)

    async def reprocess(
        self,
        which: RecordFilter,
        processor: Processor | None,
        options: ReprocessOptions,
        retrying: Retrying,
    ) -> ReprocessMetrics:
        """Run open records again, each once; see ``Reprocessor.run``."""
        runner = Reprocessor(
            self._reprocess,
            processors=self._processors,
            classifier=self._classifier,
            masker=self._masker,
            retrying=retrying,
        )
        metrics = await runner.run(which, processor, options)
        if metrics.taken:
            details = {"taken": metrics.taken, "reprocessed": metrics.reprocessed}
            await self._audit("records reprocessed", which, options.actor, "", details)
        return metrics

    async def page(
        self, which: RecordFilter, after: UUID | None, limit: int
    ) -> list[QuarantinedRecord]:
        """At most ``limit`` records behind the key ``after``, in the order of their keys."""
        return await self._queries.page(which, after, limit)

    async def count(self, which: RecordFilter, by: str) -> dict[str | None, int]:
        """How many records, by the values of a column."""
        return await self._queries.count(which, by)

    async def growth(self, pipeline_id: str, days: int) -> QuarantineGrowth:
        """Figures of the last ``days`` days (UTC)."""
        return await self._queries.growth(pipeline_id, days)

    async def edit(self, record_id: UUID, record: Any, actor: str | None, why: str) -> None:
        """Put another record in the place of what was set aside, which is kept."""
        actor, why = actor or worker_name(), _reason(why)
        await self._changes.edit(record_id, codec.encode(record), actor, why)
        await audit.record(
            self._database,
            actor=actor,
            action="record edited",
            subject=str(record_id),
            reason=why,
            details={},
        )

    async def discard(self, which: RecordFilter, why: str, actor: str | None) -> int:
        """Give open records up; how many."""
        which = _limited(which, OPEN, "only pending and failed records can be discarded")
        count = await self._changes.discard(which, _reason(why), actor or worker_name())
        await self._audit("records discarded", which, actor, why, {"count": count})
        return count

    async def purge(
        self, which: RecordFilter, older_than: timedelta | datetime, actor: str | None
    ) -> int:
        """Delete settled records whose outcome is older; how many."""
        which = _limited(which, SETTLED, "only reprocessed and discarded records can be purged")
        _check_age(older_than)
        count = await self._changes.purge(which, older_than, actor or worker_name())
        details = {"count": count, "older_than": str(older_than)}
        await self._audit("records purged", which, actor, "", details)
        return count

    async def _audit(
        self,
        action: str,
        which: RecordFilter,
        actor: str | None,
        reason: str,
        details: Mapping[str, object],
    ) -> None:
        """A line for what was done to many records; each record's own history says more."""
        asked = {name: value for name, value in which.asked().items() if name != "status"}
        await audit.record(
            self._database,
            actor=actor or worker_name(),
            action=action,
            subject=which.run_id or which.pipeline_id or "any run",
            reason=reason,
            details={"which": {name: str(value) for name, value in asked.items()}, **details},
        )

    async def export(
        self, path: str | Path, which: RecordFilter, file_format: str | None, *, masked: bool
    ) -> int:
        """Write records to a file, whole or not at all; how many."""
        return await export(
            self._transfer,
            Path(path),
            which,
            file_format=file_format,
            masked=masked,
            masker=self._masker,
        )

    async def import_from(
        self, path: str | Path, file_format: str | None, actor: str | None, why: str | None
    ) -> ImportReport:
        """Bring a file of ``export`` in: new records are added, edited ones edited."""
        return await import_from(
            self._transfer,
            Path(path),
            actor=actor or worker_name(),
            why=why,
            file_format=file_format,
        )


def is_retryable(error: BaseException) -> bool:
    """Whether a batch of records may be run again: its connection died, and it was rolled back."""
    return is_connection_lost(error) or isinstance(error, ConnectionError)


def worker_name() -> str:
    """Who did it, where nobody is named."""
    return f"{HOST}:{os.getpid()}"


def _reason(why: str) -> str:
    if not why.strip():
        raise InvalidConfigError(f"why={why!r}: must say why, for whoever looks at it later")
    return why


def _check_age(older_than: timedelta | datetime) -> None:
    if isinstance(older_than, timedelta):
        right = older_than >= timedelta(0)
    else:
        right = older_than.utcoffset() is not None
    if not right:
        raise InvalidConfigError(
            f"older_than={older_than!r}: must be a timedelta, zero or more, or a datetime with a "
            "time zone"
        )


def _limited(which: RecordFilter, allowed: Sequence[str], otherwise: str) -> RecordFilter:
    if which.status is None:
        return replace(which, status=allowed)
    wrong = sorted(set(which.status) - set(allowed))
    if wrong:
        raise InvalidConfigError(f"status={', '.join(wrong)}: {otherwise}")
    return which
