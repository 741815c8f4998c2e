"""Quarantined records held in a transaction, and what became of them."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import anyio
import asyncpg

from seawall.checkpoint.model import Rejection
from seawall.clock import MACHINE_CLOCK, Clock, uuid7s
from seawall.conflict import OnConflictOption
from seawall.errors import DatabaseUnavailableError
from seawall.postgres import copying, payload_store
from seawall.postgres.database import Database
from seawall.postgres.loading.loader import Loader
from seawall.postgres.loading.target import describe
from seawall.postgres.lost import is_closed, is_connection_lost, terminate
from seawall.postgres.names import in_schema
from seawall.postgres.record_filter import filtered
from seawall.postgres.reprocess_transaction import ReprocessTransaction
from seawall.quarantine.payload import PLAIN, PayloadForm
from seawall.quarantine.processor import Attempt, TakenRecord
from seawall.quarantine.record import RecordFilter

T = TypeVar("T")

_TAKE = f"""
SELECT {payload_store.COLUMNS} FROM {{schema}}.quarantined_records
WHERE {{which}} AND NOT redacted AND ($1::uuid IS NULL OR record_id > $1)
ORDER BY record_id
LIMIT $2
FOR UPDATE SKIP LOCKED
"""

_LEFT_ALONE = """
SELECT count(*) FILTER (WHERE redacted) AS redacted,
       count(*) FILTER (WHERE NOT redacted AND attempts >= $1) AS exhausted
FROM {schema}.quarantined_records WHERE {which}
"""

_BY_STEP = """
SELECT step, count(*) AS records FROM {schema}.quarantined_records
WHERE {which} AND NOT redacted GROUP BY step ORDER BY step
"""

_SETTLE = """
UPDATE {schema}.quarantined_records q
SET status = o.outcome, attempts = q.attempts + 1, updated_at = now()
FROM unnest($1::uuid[], $2::text[]) AS o(record_id, outcome)
WHERE q.record_id = o.record_id
"""

# The locks wait for a backend that may still be committing, or knows nothing of its client's end.
_LOCK = """
SELECT FROM {schema}.quarantined_records WHERE record_id = ANY($1) ORDER BY record_id FOR UPDATE
"""
_WRITTEN = "SELECT EXISTS (SELECT FROM {schema}.quarantine_attempts WHERE attempt_id = $1)"

_ATTEMPTS = (
    "attempt_id", "record_id", "outcome", "error_type", "exception_type", "message", "sqlstate",
    "actor",
)  # fmt: skip

_NEVER = 2**31 - 1
_ROLLBACK_SECONDS = 5.0
_SETTLE_FOR = 60.0  # seconds to wait for the server after a lost COMMIT
_SETTLE_PAUSE = 0.1


class PostgresReprocessStore:
    """The ``ReprocessStore`` over one database.

    Args:
        form: how payloads are stored.
        lease_seconds: after which the server ends a transaction whose worker is silent.
    """

    def __init__(
        self,
        database: Database,
        *,
        form: PayloadForm = PLAIN,
        lease_seconds: float = 30.0,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self._database, self._form, self._clock = database, form, clock
        self.patience_seconds = lease_seconds

    @asynccontextmanager
    async def take(
        self, which: RecordFilter, after: UUID | None, limit: int, patience_seconds: float
    ) -> AsyncIterator["Batch"]:
        """Hold records in a transaction: the row locks tell the others to pass them by."""
        schema = self._database.schema
        async with self._database.acquire() as connection:
            batch = Batch(connection, schema, self._form)
            try:
                # A worker frozen in here must not hold its records for ever. SET takes no
                # parameters: the number is ours.
                milliseconds = int(patience_seconds * 1000)
                await connection.execute(
                    "BEGIN ISOLATION LEVEL READ COMMITTED; SET CONSTRAINTS ALL IMMEDIATE; "
                    f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
                )
                query, arguments = filtered(_TAKE, schema, which, after, limit)
                rows = await connection.fetch(query, *arguments)
                batch.records = [
                    TakenRecord(
                        record_id=row["record_id"],
                        run_id=row["run_id"],
                        step=row["step"],
                        stored=payload_store.stored(row),
                    )
                    for row in rows
                ]
                yield batch
            except BaseException:
                batch.transaction.end()
                await _roll_back(connection)
                raise
            batch.transaction.end()
            await self._commit(batch)

    async def _commit(self, batch: "Batch") -> None:
        try:
            if await batch.connection.execute("COMMIT") != "COMMIT":
                raise asyncpg.InFailedSQLTransactionError("the transaction had failed already")
        except Exception as error:
            terminate(batch.connection)
            if not is_connection_lost(error) or not await self._has_committed(batch):
                raise
        except BaseException:
            # Committed or not, it is whole; a connection in the middle of it is of no use.
            terminate(batch.connection)
            raise

    async def _has_committed(self, batch: "Batch") -> bool:
        """Whether a batch whose COMMIT was not answered stands; asked, not guessed."""
        if batch.witness is None:
            return True
        give_up_at = self._clock.monotonic() + _SETTLE_FOR
        schema = self._database.schema
        while True:
            try:
                async with self._database.acquire() as connection, connection.transaction():
                    ids = [each.record_id for each in batch.records]
                    await connection.execute(in_schema(_LOCK, schema), ids)
                    written = in_schema(_WRITTEN, schema)
                    return bool(await connection.fetchval(written, batch.witness))
            except Exception as error:
                lost = is_connection_lost(error) or isinstance(error, DatabaseUnavailableError)
                if not lost or self._clock.monotonic() >= give_up_at:
                    raise
            await self._clock.sleep(_SETTLE_PAUSE)

    async def await_release(self, record_ids: Sequence[UUID], seconds: float) -> None:
        async with self._database.acquire() as connection:
            with contextlib.suppress(asyncpg.LockNotAvailableError):
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = {int(seconds * 1000)}")
                    lock = in_schema(_LOCK, self._database.schema)
                    await connection.execute(lock, list(record_ids))

    async def left_alone(self, which: RecordFilter, max_attempts: int | None) -> tuple[int, int]:
        most = _NEVER if max_attempts is None else max_attempts
        query, arguments = filtered(_LEFT_ALONE, self._database.schema, which, most)
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(query, *arguments)
        return row["redacted"], row["exhausted"]

    async def by_step(self, which: RecordFilter) -> dict[str, int]:
        query, arguments = filtered(_BY_STEP, self._database.schema, which)
        async with self._database.acquire() as connection:
            return {
                row["step"]: row["records"] for row in await connection.fetch(query, *arguments)
            }


async def _roll_back(connection: Any) -> None:
    """Undo the batch; a connection that can't is ended, which does the same."""
    if is_closed(connection):
        return
    try:
        with anyio.CancelScope(shield=True), anyio.fail_after(_ROLLBACK_SECONDS):
            await connection.execute("ROLLBACK")
    except BaseException as error:
        terminate(connection)
        if not isinstance(error, Exception):
            raise


class Batch:
    """Records held by one transaction.

    Attributes:
        transaction: what a processor gets.
        witness: the key of a row that is there only if the batch has committed.
    """

    def __init__(self, connection: Any, schema: str, form: PayloadForm) -> None:
        self.connection, self._schema, self._form = connection, schema, form
        self.records: list[TakenRecord] = []
        self.transaction = ReprocessTransaction(connection, Loader())
        self.witness: UUID | None = None

    async def record(self, taken: TakenRecord) -> Any:
        stored = await payload_store.whole(
            self.connection, self._schema, taken.record_id, taken.stored
        )
        return self._form.open(stored, taken.owner)

    async def attempt(self, work: Callable[[], Awaitable[T]]) -> T:
        return await self.transaction.attempt_record(work)

    async def load(
        self,
        table: str,
        records: Sequence[Any],
        columns: Sequence[str] | None,
        on_conflict: OnConflictOption | None = None,
    ) -> list[Rejection]:
        return await self.transaction.try_load(table, records, columns, on_conflict)

    async def find(self, table: str) -> None:
        await describe(self.connection, table)

    def is_lost(self) -> bool:
        return is_closed(self.connection)

    async def settle(self, attempts: list[Attempt], actor: str) -> None:
        await self.connection.execute(
            in_schema(_SETTLE, self._schema),
            [each.record_id for each in attempts],
            [each.outcome for each in attempts],
        )
        rows = attempt_rows(attempts, actor)
        self.witness = rows[0][0]
        await write_attempts(self.connection, self._schema, rows)


def attempt_rows(attempts: Sequence[Attempt], actor: str) -> list[tuple[Any, ...]]:
    """The attempts as rows of ``quarantine_attempts``."""
    return [
        (attempt_id, each.record_id, each.outcome, each.error_type, each.exception_type,
         each.message, each.sqlstate, actor)
        for attempt_id, each in zip(uuid7s(len(attempts)), attempts, strict=True)
    ]  # fmt: skip


async def write_attempts(connection: Any, schema: str, rows: list[tuple[Any, ...]]) -> None:
    """Copy rows of ``attempt_rows``; joins the connection's transaction."""
    await copying.copy(connection, schema, "quarantine_attempts", _ATTEMPTS, rows)
