"""Quarantined records edited, given up and deleted, each with a trace of who, when and why."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from seawall.clock import uuid7
from seawall.errors import QuarantineError
from seawall.postgres import payload_store, pieces
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.postgres.record_filter import filtered
from seawall.postgres.reprocess_store import attempt_rows, write_attempts
from seawall.quarantine.payload import PayloadForm
from seawall.quarantine.processor import Attempt
from seawall.quarantine.record import OPEN, RecordFilter, RecordStatus
from seawall.text import storable

_LOCK_ONE = f"""
SELECT {payload_store.COLUMNS}, status FROM {{schema}}.quarantined_records
WHERE record_id = $1 FOR UPDATE
"""

_KEEP_ORIGINAL = """
INSERT INTO {schema}.quarantine_edits
    (edit_id, record_id, actor, why, payload, sealed, key_id, redacted)
VALUES ($1, $2, $3, $4, $5::text::json, $6, $7, $8)
"""

_EDIT = """
UPDATE {schema}.quarantined_records
SET payload = $2::text::json, sealed = $3, key_id = $4, redacted = $5, reason = $6,
    reasons = $7::text::json,
    status = 'pending', updated_at = now()
WHERE record_id = $1
"""

_DISCARD = """
UPDATE {schema}.quarantined_records SET status = 'discarded', updated_at = now()
WHERE record_id IN (
    SELECT record_id FROM {schema}.quarantined_records
    WHERE {which} AND ($1::uuid IS NULL OR record_id > $1)
    ORDER BY record_id LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING record_id
"""

_BEGIN_PURGE = """
INSERT INTO {schema}.quarantine_purges (purge_id, actor, which, settled_before)
VALUES ($1, $2, $3::text::json, coalesce($4::timestamptz, clock_timestamp() - $5::interval))
RETURNING settled_before
"""

_PURGE = """
WITH gone AS (
    DELETE FROM {schema}.quarantined_records WHERE record_id IN (
        SELECT record_id FROM {schema}.quarantined_records
        WHERE {which} AND ($2::uuid IS NULL OR record_id > $2) AND updated_at < $4
        ORDER BY record_id LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    RETURNING record_id
), counted AS (
    UPDATE {schema}.quarantine_purges SET records = records + (SELECT count(*) FROM gone)
    WHERE purge_id = $1
)
SELECT record_id FROM gone ORDER BY record_id
"""

_END_PURGE = """
UPDATE {schema}.quarantine_purges SET ended_at = clock_timestamp() WHERE purge_id = $1
"""

_BATCH = 5_000


class PostgresRecordChangeStore:
    """Changes what stands in ``quarantined_records``, but for the outcomes of reprocessing.

    Args:
        form: how payloads are stored.
        lock_seconds: how long an edit waits for a reprocessor's batch.
    """

    def __init__(
        self, database: Database, form: PayloadForm, *, lock_seconds: float = 10.0
    ) -> None:
        self._database, self._form = database, form
        # SET takes no parameters: the number is ours.
        self._set_lock_timeout = f"SET LOCAL lock_timeout = {int(lock_seconds * 1000)}"

    async def edit(self, record_id: UUID, text: str, actor: str, why: str) -> None:
        """Put the codec's ``text`` in the place of the record's own, which is kept.

        The record is pending then.

        Raises:
            QuarantineError: there is no such record, it is settled, or it is being reprocessed.
        """
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(self._set_lock_timeout)
            try:
                await edit_one(
                    connection, self._database.schema, self._form, record_id, text, actor, why
                )
            except asyncpg.LockNotAvailableError:
                raise QuarantineError(
                    f"record {record_id} is being reprocessed: try again when that is done"
                ) from None

    async def discard(self, which: RecordFilter, why: str, actor: str) -> int:
        """Give the open records up, some thousand a transaction; how many.

        Those that a reprocessor holds are passed by.
        """
        given_up = 0
        after: UUID | None = None
        while True:
            async with self._database.acquire() as connection, connection.transaction():
                query, arguments = filtered(_DISCARD, self._database.schema, which, after, _BATCH)
                rows = await connection.fetch(query, *arguments)
                if not rows:
                    return given_up
                attempts = [
                    Attempt(
                        record_id=row["record_id"],
                        outcome=RecordStatus.DISCARDED,
                        message=storable(why),
                    )
                    for row in rows
                ]
                await write_attempts(
                    connection, self._database.schema, attempt_rows(attempts, actor)
                )
            given_up += len(rows)
            after = max(row["record_id"] for row in rows)

    async def purge(self, which: RecordFilter, older_than: timedelta | datetime, actor: str) -> int:
        """Delete records whose status is older, some thousand a transaction, and keep how many.

        An age is by the database's clock. Those that somebody holds stay.
        """
        schema, purge_id = self._database.schema, uuid7()
        asked = {name: _plain(value) for name, value in which.asked().items()}
        text = storable(msgspec.json.encode(asked).decode())
        age = older_than if isinstance(older_than, timedelta) else None
        moment = older_than if isinstance(older_than, datetime) else None
        deleted = 0
        after: UUID | None = None
        async with self._database.acquire() as connection:
            before = await connection.fetchval(
                in_schema(_BEGIN_PURGE, schema), purge_id, actor, text, moment, age
            )
            while True:
                query, arguments = filtered(_PURGE, schema, which, purge_id, after, _BATCH, before)
                rows = await connection.fetch(query, *arguments)
                if not rows:
                    break
                deleted += len(rows)
                after = rows[-1]["record_id"]
            await connection.execute(in_schema(_END_PURGE, schema), purge_id)
        return deleted


async def edit_one(
    connection: Any,
    schema: str,
    form: PayloadForm,
    record_id: UUID,
    text: str,
    actor: str,
    why: str,
) -> None:
    """Edit one record; joins the connection's transaction.

    Raises:
        QuarantineError: there is no such record, or it is settled.
    """
    row = await connection.fetchrow(in_schema(_LOCK_ONE, schema), record_id)
    if row is None:
        raise QuarantineError(f"there is no quarantined record {record_id}")
    if row["status"] not in OPEN:
        raise QuarantineError(
            f"record {record_id} is {row['status']}: only an open one can be edited"
        )
    owner = payload_store.owner(row)
    original = await payload_store.whole(connection, schema, record_id, payload_store.stored(row))
    reasons = form.reasons(original, owner)
    new = form.seal_text(text, owner, original.reason, reasons)
    keep = in_schema(_KEEP_ORIGINAL, schema)
    await connection.execute(keep, uuid7(), record_id, actor, storable(why), *original[:4])
    await pieces.delete(connection, schema, [record_id])
    head, parts = pieces.divided(record_id, new.sealed)
    await connection.execute(in_schema(_EDIT, schema), record_id, *new._replace(sealed=head))
    if parts:
        await pieces.write(connection, schema, parts)


def _plain(value: object) -> object:
    """What a filter asks for, as JSON has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, str | int):
        return value
    if isinstance(value, Collection):
        return [str(each) for each in value]
    return str(value)
