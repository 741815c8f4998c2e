"""Quarantined records loaded into a table, many at once."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from seawall.errors import (
    CodecError,
    MissingTableError,
    RecordRefusedError,
)
from seawall.quarantine.processor import (
    Attempt,
    Failures,
    Refusal,
    ReprocessBatch,
    TakenRecord,
    TextTable,
    done,
)
from seawall.quarantine.registry import fields_of, is_fielded


class IntoTable:
    """Loads the records of a batch into a table; those that it refuses fail one by one."""

    def __init__(self, table: str, columns: Sequence[str] | None, failures: Failures) -> None:
        self._table, self._columns, self._failures = table, columns, failures

    async def __call__(self, batch: ReprocessBatch) -> list[Attempt]:
        attempts: dict[UUID, Attempt] = {}
        for taken, records in await self._groups(batch, attempts):
            try:
                refusals = await self._load(batch, records)
            except MissingTableError as error:
                # A field that the table has no column for is these records' own fault.
                if self._columns is not None or not isinstance(records[0], dict):
                    raise
                await batch.find(self._table)
                fault = RecordRefusedError(str(error))
                attempts |= {each.record_id: self._failures.of(each, fault) for each in taken}
                continue
            refused = {each.index: each for each in refusals}
            for place, each in enumerate(taken):
                refusal = refused.get(place)
                attempts[each.record_id] = (
                    done(each) if refusal is None else self._failures.refused(each, refusal)
                )
        return [attempts[each.record_id] for each in batch.records]

    async def _groups(
        self, batch: ReprocessBatch, attempts: dict[UUID, Attempt]
    ) -> list[tuple[list[TakenRecord], list[Any]]]:
        """Records of the same shape together: a load takes its columns from the first one."""
        groups: dict[object, tuple[list[TakenRecord], list[Any]]] = defaultdict(lambda: ([], []))
        for each in batch.records:
            try:
                record = self._row(await batch.record(each))
            except (CodecError, RecordRefusedError) as error:
                attempts[each.record_id] = self._failures.of(each, error)
                continue
            shape = tuple(record) if isinstance(record, dict) else len(record)
            members, records = groups[shape]
            members.append(each)
            records.append(record)
        return list(groups.values())

    async def _load(self, batch: ReprocessBatch, records: list[Any]) -> Sequence[Refusal]:
        return await batch.load(self._table, records, self._columns)

    def _row(self, record: Any) -> dict[str, Any] | Sequence[Any]:
        return _row(record)


class IntoTextTable(IntoTable):
    """The same for records whose values are texts."""

    def __init__(self, into: TextTable, failures: Failures) -> None:
        super().__init__(into.table, None, failures)
        self._into = into

    async def _load(self, batch: ReprocessBatch, records: list[Any]) -> Sequence[Refusal]:
        into = self._into
        return await batch.load(into.table, into.block_of(records), None, into.on_conflict)

    def _row(self, record: Any) -> dict[str, Any] | Sequence[Any]:
        return self._into.row_of(record)


def _row(record: Any) -> dict[str, Any] | Sequence[Any]:
    if isinstance(record, dict | tuple | list):
        return record
    if is_fielded(type(record)):
        return fields_of(record)
    raise RecordRefusedError(
        f"a record must be a tuple or a mapping to be loaded, got {type(record).__name__}"
    )
