"""Quarantined records looked at: pages in the order of their keys, counts, figures of growth."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from seawall.config import Range
from seawall.errors import CodecError, InvalidConfigError, QuarantineKeyError
from seawall.postgres import payload_store
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.postgres.record_filter import filtered
from seawall.quarantine import codec
from seawall.quarantine.growth import GrowthDay, QuarantineGrowth
from seawall.quarantine.payload import Owner, PayloadForm, Stored
from seawall.quarantine.record import PastAttempt, PastEdit, QuarantinedRecord, RecordFilter

_LIST = f"""
SELECT {payload_store.COLUMNS}, quarantine_id, pipeline_id, partition, batch_id,
       position::text AS position, error_type, sqlstate,
       constraint_name, column_name, exception_type, status, attempts, quarantined_at, updated_at
FROM {{schema}}.quarantined_records
WHERE {{which}} AND ($1::uuid IS NULL OR record_id > $1)
ORDER BY record_id
LIMIT $2
"""

_HISTORY = """
SELECT record_id, outcome, attempted_at, actor, error_type, exception_type, message, sqlstate
FROM {schema}.quarantine_attempts WHERE record_id = ANY($1) ORDER BY attempted_at, attempt_id
"""

_EDITS = f"""
SELECT record_id, {payload_store.EDIT_COLUMNS}, actor, why, edited_at
FROM {{schema}}.quarantine_edits WHERE record_id = ANY($1) ORDER BY edited_at, edit_id
"""

_COUNTED = ("reason", "step", "status", "error_type", "sqlstate", "constraint_name", "run_id")
_COUNTS = {
    name: f"SELECT {name} AS name, count(*) AS records FROM {{schema}}.quarantined_records "
    f"WHERE {{which}} GROUP BY 1 ORDER BY 2 DESC, 1"
    for name in _COUNTED
}

_GROWTH = """
SELECT counted_on, reason, sum(set_aside)::bigint AS set_aside, sum(settled)::bigint AS settled
FROM {schema}.quarantine_counts
WHERE pipeline_id = $1 AND counted_on > (now() AT TIME ZONE 'UTC')::date - $2::int
GROUP BY 1, 2 ORDER BY 1, 2
"""

_BACKLOG = """
SELECT reason, set_aside_on, sum(set_aside - settled)::bigint AS records
FROM {schema}.quarantine_counts WHERE pipeline_id = $1
GROUP BY 1, 2
"""

# Keys grow with time, so the scan begins near the record and not with the first one ever.
_OLDEST = """
SELECT quarantined_at FROM {schema}.quarantined_records
WHERE pipeline_id = $1 AND record_id >= $2 AND status IN ('pending', 'failed')
ORDER BY record_id LIMIT 1
"""

_BYTES = """
SELECT sum(pg_total_relation_size(c.oid))::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r'
AND c.relname IN ('quarantined_records', 'quarantine_attempts', 'quarantine_edits',
                  'quarantine_payload_chunks')
"""

_LIMIT = Range(int, 1, 100_000)
_AS_THEY_ARE = (
    "record_id", "quarantine_id", "pipeline_id", "run_id", "step", "partition", "batch_id",
    "redacted", "error_type", "reason", "sqlstate", "constraint_name", "column_name",
    "exception_type", "status", "attempts", "quarantined_at", "updated_at",
)  # fmt: skip


class PostgresRecordQueryStore:
    """Reads ``quarantined_records``.

    Args:
        form: how payloads are stored.
    """

    def __init__(self, database: Database, form: PayloadForm) -> None:
        self._database, self._form = database, form

    async def page(
        self, which: RecordFilter, after: UUID | None, limit: int
    ) -> list[QuarantinedRecord]:
        """Records behind ``after``, in the order of their keys."""
        _LIMIT.check("limit", limit)
        schema = self._database.schema
        query, arguments = filtered(_LIST, schema, which, after, limit)
        async with self._database.acquire() as connection:
            rows = await connection.fetch(query, *arguments)
            ids = [row["record_id"] for row in rows]
            tried = _by_record(await connection.fetch(in_schema(_HISTORY, schema), ids))
            edited = _by_record(await connection.fetch(in_schema(_EDITS, schema), ids))
            found = []
            for row in rows:
                edits = [
                    await self._edit(connection, each, payload_store.owner(row))
                    for each in edited[row["record_id"]]
                ]
                found.append(await self._record(connection, row, tried[row["record_id"]], edits))
        return found

    async def _record(
        self,
        connection: Any,
        row: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]],
        edits: Sequence[PastEdit],
    ) -> QuarantinedRecord:
        owner = payload_store.owner(row)
        record, reasons, unreadable = await self._opened(
            connection, payload_store.stored(row), owner
        )
        position = row["position"]
        return QuarantinedRecord(
            **{name: row[name] for name in _AS_THEY_ARE},
            record=record,
            unreadable=unreadable,
            position=None if position is None else codec.decode(position),
            reasons=reasons,
            history=tuple(PastAttempt(**_but_the_key(each)) for each in history),
            edits=tuple(edits),
        )

    async def _edit(self, connection: Any, row: Mapping[str, Any], owner: Owner) -> PastEdit:
        stored = payload_store.edited(row)
        record, _, unreadable = await self._opened(connection, stored, owner)
        return PastEdit(
            record=record,
            unreadable=unreadable,
            actor=row["actor"],
            why=row["why"],
            edited_at=row["edited_at"],
        )

    async def _opened(
        self, connection: Any, stored: Stored, owner: Owner
    ) -> tuple[Any, tuple[str, ...], str | None]:
        """The record and its faults; or why it can't be read, which must not hide the others."""
        schema = self._database.schema
        try:
            whole = await payload_store.whole(connection, schema, owner[0], stored)
            reasons = self._form.reasons(whole, owner)
            return self._form.open(whole, owner), tuple(reasons or ()), None
        except (CodecError, QuarantineKeyError) as error:
            return None, (), str(error)

    async def count(self, which: RecordFilter, by: str) -> dict[str | None, int]:
        """How many records, by the values of one column, most first."""
        if by not in _COUNTS:
            raise InvalidConfigError(f"by={by!r}: must be one of {', '.join(_COUNTED)}")
        query, arguments = filtered(_COUNTS[by], self._database.schema, which)
        async with self._database.acquire() as connection:
            return {
                row["name"]: row["records"] for row in await connection.fetch(query, *arguments)
            }

    async def growth(self, pipeline_id: str, days: int) -> QuarantineGrowth:
        """Figures of the last ``days`` days (UTC), today included."""
        Range(int, 1, 36_500).check("days", days)
        schema = self._database.schema
        async with self._database.acquire() as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                found = await connection.fetch(in_schema(_GROWTH, schema), pipeline_id, days)
                backlog = await connection.fetch(in_schema(_BACKLOG, schema), pipeline_id)
                open_days = [row["set_aside_on"] for row in backlog if row["records"] > 0]
                oldest = None
                if open_days:
                    start = _key_of(min(open_days) - timedelta(days=1))
                    oldest = await connection.fetchval(
                        in_schema(_OLDEST, schema), pipeline_id, start
                    )
                size = await connection.fetchval(_BYTES, schema)
        by_reason: dict[str, int] = defaultdict(int)
        for row in backlog:
            by_reason[row["reason"]] += row["records"]
        return QuarantineGrowth(
            pipeline_id=pipeline_id,
            days=tuple(_day(row) for row in found if row["set_aside"] or row["settled"]),
            backlog=sum(by_reason.values()),
            backlog_by_reason={
                reason: count
                for reason, count in sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))
                if count
            },
            oldest_open=oldest,
            bytes=size,
        )


def _day(row: Mapping[str, Any]) -> GrowthDay:
    return GrowthDay(
        day=row["counted_on"],
        reason=row["reason"],
        set_aside=row["set_aside"],
        settled=row["settled"],
    )


def _key_of(day: date) -> UUID:
    """The smallest UUIDv7 of a day."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def _by_record(rows: Sequence[Mapping[str, Any]]) -> dict[UUID, list[Mapping[str, Any]]]:
    found: dict[UUID, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["record_id"]].append(row)
    return found


def _but_the_key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "record_id"}
