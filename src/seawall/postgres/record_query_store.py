"""Quarantined records looked at: pages in the order of their keys, counts, figures of growth."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from seawall.config import Range
from seawall.errors import CodecError, InvalidConfigError
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.postgres.record_filter import filtered
from seawall.quarantine.growth import GrowthDay, QuarantineGrowth
from seawall.quarantine.record import PastAttempt, PastEdit, QuarantinedRecord, RecordFilter

Decode = Callable[[str], Any]

_LIST = """
SELECT record_id, quarantine_id, pipeline_id, run_id, step, partition, batch_id, position,
       payload::text AS payload, redacted, error_type, reason, reasons, sqlstate, constraint_name,
       column_name, exception_type, status, attempts, quarantined_at, updated_at
FROM {schema}.quarantined_records
WHERE {which} AND ($1::uuid IS NULL OR record_id > $1)
ORDER BY record_id
LIMIT $2
"""

_HISTORY = """
SELECT record_id, outcome, attempted_at, actor, error_type, exception_type, message, sqlstate
FROM {schema}.quarantine_attempts WHERE record_id = ANY($1) ORDER BY attempted_at, attempt_id
"""

_EDITS = """
SELECT record_id, payload::text AS payload, actor, why, edited_at
FROM {schema}.quarantine_edits WHERE record_id = ANY($1) ORDER BY edited_at, edit_id
"""

_COUNTED = ("reason", "step", "status", "error_type", "sqlstate", "constraint_name", "run_id")
_COUNTS = {
    name: f"SELECT {name} AS name, count(*) AS records FROM {{schema}}.quarantined_records "
    f"WHERE {{which}} GROUP BY 1 ORDER BY 2 DESC, 1"
    for name in _COUNTED
}

# Whoever comes second finds the rows gone and adds nothing.
_FOLD = """
WITH rows AS (DELETE FROM {schema}.quarantine_counts WHERE pipeline_id = $1 RETURNING *)
INSERT INTO {schema}.quarantine_counts
SELECT pipeline_id, counted_on, set_aside_on, reason, sum(set_aside), sum(settled)
FROM rows GROUP BY 1, 2, 3, 4 HAVING sum(set_aside) <> 0 OR sum(settled) <> 0
"""

_GROWTH = """
SELECT counted_on, reason, sum(set_aside)::bigint AS set_aside, sum(settled)::bigint AS settled
FROM {schema}.quarantine_counts
WHERE pipeline_id = $1 AND counted_on > (now() AT TIME ZONE 'UTC')::date - $2::int
GROUP BY 1, 2 ORDER BY 1, 2
"""

_BACKLOG = """
SELECT reason, set_aside_on, sum(set_aside - settled)::bigint AS records, count(*) AS rows
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
AND c.relname IN ('quarantined_records', 'quarantine_attempts', 'quarantine_edits')
"""

_FOLD_ABOVE = 2_000  # rows that one folded row stands for, on the whole
_LIMIT = Range(int, 1, 100_000)
_json = msgspec.json.Decoder()


class PostgresRecordQueryStore:
    """Reads ``quarantined_records``.

    Args:
        decode: brings a payload back.
    """

    def __init__(self, database: Database, decode: Decode) -> None:
        self._database, self._decode = database, decode

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
            history = await connection.fetch(in_schema(_HISTORY, schema), ids)
            edits = await connection.fetch(in_schema(_EDITS, schema), ids)
        tried, edited = _by_record(history), _by_record(edits)
        return [
            self._record(row, tried[row["record_id"]], edited[row["record_id"]]) for row in rows
        ]

    def _record(
        self, row: Mapping[str, Any], history: Sequence[Any], edits: Sequence[Any]
    ) -> QuarantinedRecord:
        known = dict(row)
        record, unreadable = self._brought_back(known.pop("payload"))
        position, reasons = known.pop("position"), known.pop("reasons")
        return QuarantinedRecord(
            **known,
            record=record,
            unreadable=unreadable,
            position=None if position is None else self._decode(position),
            reasons=() if reasons is None else tuple(_json.decode(reasons)),
            history=tuple(PastAttempt(**_but_the_key(each)) for each in history),
            edits=tuple(self._edit(each) for each in edits),
        )

    def _edit(self, row: Mapping[str, Any]) -> PastEdit:
        known = _but_the_key(row)
        record, unreadable = self._brought_back(known.pop("payload"))
        return PastEdit(**known, record=record, unreadable=unreadable)

    def _brought_back(self, payload: str) -> tuple[Any, str | None]:
        """The record; or why it can't be read, which must not hide the others of its page."""
        try:
            return self._decode(payload), None
        except CodecError as error:
            return None, str(error)

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
            if sum(row["rows"] for row in backlog) > _FOLD_ABOVE + 2 * len(backlog):
                await connection.execute(in_schema(_FOLD, schema), pipeline_id)
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
