"""Records set aside by a call: on disk when it returns, in the database or in the journal."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from seawall.checkpoint import Rejection, StepKey
from seawall.classification import ErrorType
from seawall.clock import uuid7
from seawall.events import EventBus, RecordsQuarantined
from seawall.masking import Masker
from seawall.outage import OutageJournal
from seawall.postgres import quarantine_store
from seawall.postgres.lost import is_connection_lost
from seawall.quarantine.bulk import records_of
from seawall.quarantine.payload import PayloadForm
from seawall.quarantine_desk import QuarantineDesk
from seawall.recorder import Recorder, Row
from seawall.scope import Scope
from seawall.text import recordable

# So many records are worth a transaction of their own.
_MANY = 500
_SECONDS_A_RECORD = 1e-4  # that they may take beyond the patience


class QuarantineLog:
    """Writes rows of ``quarantined_records``; may be shared between tasks.

    Args:
        recorder: commits few records, with those of others.
        desk: commits many, encoded while the server takes those before.
        outage: where they go while the database is out of reach; None: nowhere.
        form: how payloads are stored.
        bus: is told.
        masker: hides secrets in what it is told.
        patience: seconds that the database may take, and something for each record, before they
            go to the journal.
    """

    def __init__(
        self,
        recorder: Recorder,
        desk: QuarantineDesk,
        outage: OutageJournal | None,
        *,
        form: PayloadForm,
        bus: EventBus,
        masker: Masker,
        patience: float,
    ) -> None:
        self._patience = patience
        self._recorder, self._desk, self._outage = recorder, desk, outage
        self._form, self._bus, self._masker = form, bus, masker

    async def put(
        self,
        scope: Scope,
        bad_data: Any,
        reason: str,
        error_type: ErrorType,
        positions: Sequence[Any] | None,
    ) -> UUID:
        """One row for each record, on disk on return; the set's id. ``scope`` has all its ids."""
        records = records_of(bad_data)
        quarantine_id = uuid7()
        rows = quarantine_store.rows(
            scope.pipeline_id or "",
            StepKey(scope.run_id or "", scope.step or ""),
            None,
            [Rejection(index=i, reason=reason, reasons=(reason,)) for i in range(len(records))],
            records,
            positions if positions is not None else [None] * len(records),
            error_type=error_type.value,
            quarantine_id=quarantine_id,
            form=self._form,
        )
        if len(records) >= _MANY:
            await self._put_many(rows, len(records))
        else:
            await self._recorder.put(list(quarantine_store.tabled(rows)))
        if self._bus.listeners and records:
            self._bus.emit(
                RecordsQuarantined(
                    scope=scope,
                    quarantine_id=quarantine_id,
                    count=len(records),
                    reason=recordable(reason, self._masker),
                    error_type=error_type.value,
                )
            )
        return quarantine_id

    async def _put_many(self, rows: Iterator[Row], count: int) -> None:
        if self._outage is None:
            await self._desk.set_aside(rows)
            return
        kept: list[Row] = []  # as they were sent: their keys make them the same rows

        def keeping() -> Iterator[Row]:
            for row in rows:
                kept.append(row)
                yield row

        error: Exception | None = None
        if not self._outage.is_on:
            patience = self._patience + count * _SECONDS_A_RECORD
            error = await self._recorder.attempt(self._desk.set_aside(keeping()), patience)
            if error is None:
                return
            if not is_connection_lost(error):
                raise error
        await self._outage.keep(list(quarantine_store.tabled([*kept, *rows])), str(error or ""))
