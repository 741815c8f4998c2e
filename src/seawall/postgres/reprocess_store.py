"""Quarantined records taken out of ``quarantined_records`` again, and what became of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from seawall.clock import uuid7
from seawall.postgres import payload_store
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.quarantine.payload import Stored
from seawall.quarantine.reprocess import Attempt, RecordFilter, TakenRecord
from seawall.text import storable

_WHICH = """
run_id = $1 AND ($2::uuid IS NULL OR quarantine_id = $2) AND ($3::text IS NULL OR step = $3)
AND ($4::text IS NULL OR reason = $4) AND ($5::text IS NULL OR error_type = $5)
AND ($6::text IS NULL OR sqlstate = $6) AND status IN ('quarantined', 'failed')
"""

_TAKE = f"""
SELECT {payload_store.COLUMNS} FROM {{schema}}.quarantined_records
WHERE {_WHICH} AND NOT redacted AND ($7::uuid IS NULL OR record_id > $7)
ORDER BY record_id
LIMIT $8
FOR UPDATE SKIP LOCKED
"""

_REDACTED = f"SELECT count(*) FROM {{schema}}.quarantined_records WHERE {_WHICH} AND redacted"

_SETTLE = """
UPDATE {schema}.quarantined_records q
SET status = o.outcome, attempts = q.attempts + 1, updated_at = now()
FROM unnest($1::uuid[], $2::text[]) AS o(record_id, outcome)
WHERE q.record_id = o.record_id
"""

_DISCARD = f"""
WITH discarded AS (
    UPDATE {{schema}}.quarantined_records SET status = 'discarded', updated_at = now()
    WHERE record_id IN (
        SELECT record_id FROM {{schema}}.quarantined_records WHERE {_WHICH}
        ORDER BY record_id FOR UPDATE SKIP LOCKED
    )
    RETURNING record_id
)
INSERT INTO {{schema}}.quarantine_attempts (attempt_id, record_id, outcome, message, actor)
SELECT gen_random_uuid(), record_id, 'discarded', $7, $8 FROM discarded
"""

_ATTEMPTS = (
    "attempt_id", "record_id", "outcome", "error_type", "exception_type", "message", "actor",
)  # fmt: skip


def _values(which: RecordFilter) -> tuple[Any, ...]:
    return (
        which.run_id, which.quarantine_id, which.step, which.reason, which.error_type,
        which.sqlstate,
    )  # fmt: skip


class PostgresReprocessStore:
    """The ``ReprocessStore`` over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def take(
        self, which: RecordFilter, after: UUID | None, limit: int
    ) -> AsyncIterator["Batch"]:
        """Hold records in a transaction: the row locks tell the others to pass them by."""
        async with self._database.acquire() as connection:
            async with connection.transaction(isolation="read_committed"):
                query = in_schema(_TAKE, self._database.schema)
                rows = await connection.fetch(query, *_values(which), after, limit)
                taken = [
                    TakenRecord(
                        record_id=row["record_id"],
                        run_id=row["run_id"],
                        step=row["step"],
                        stored=payload_store.stored(row),
                    )
                    for row in rows
                ]
                yield Batch(connection, self._database.schema, taken)

    async def redacted(self, which: RecordFilter) -> int:
        async with self._database.acquire() as connection:
            query = in_schema(_REDACTED, self._database.schema)
            return int(await connection.fetchval(query, *_values(which)))

    async def discard(self, which: RecordFilter, reason: str, actor: str) -> int:
        """Give the records up, with a trace of who and why; how many."""
        async with self._database.acquire() as connection:
            query = in_schema(_DISCARD, self._database.schema)
            status = await connection.execute(query, *_values(which), storable(reason), actor)
            return int(status.rpartition(" ")[2])


class Batch:
    """Records held by one transaction."""

    def __init__(self, connection: Any, schema: str, records: list[TakenRecord]) -> None:
        self.connection, self.records, self._schema = connection, records, schema

    def savepoint(self) -> Any:
        return self.connection.transaction()

    async def whole(self, taken: TakenRecord) -> Stored:
        return await payload_store.whole(
            self.connection, self._schema, taken.record_id, taken.stored
        )

    async def settle(self, attempts: list[Attempt], actor: str) -> None:
        await self.connection.execute(
            in_schema(_SETTLE, self._schema),
            [each.record_id for each in attempts],
            [each.outcome for each in attempts],
        )
        await self.connection.copy_records_to_table(
            "quarantine_attempts",
            schema_name=self._schema,
            columns=list(_ATTEMPTS),
            records=[
                (uuid7(), each.record_id, each.outcome, each.error_type, each.exception_type,
                 each.message, actor)
                for each in attempts
            ],
        )  # fmt: skip
