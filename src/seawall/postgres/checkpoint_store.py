"""Positions in ``checkpoints``: taken over, saved under the fence, settled after a lost COMMIT."""

import os
import socket
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from seawall.checkpoint.model import (
    Checkpoint,
    Counters,
    Progress,
    Rejection,
    StepKey,
    StepState,
)
from seawall.checkpoint.store import CommitUnknownError, Outcome, Rejects
from seawall.clock import MACHINE_CLOCK, Clock, uuid7
from seawall.errors import DatabaseUnavailableError, StaleRunError
from seawall.postgres import quarantine_store
from seawall.postgres.database import Database
from seawall.postgres.loading.loader import Loader
from seawall.postgres.lost import is_closed, is_connection_lost, terminate
from seawall.postgres.names import in_schema
from seawall.postgres.transaction import Transaction
from seawall.quarantine import codec

_ENSURE_RUN = """
INSERT INTO {schema}.runs (run_id, pipeline_id, status, host, pid)
VALUES ($1, $2, 'running', $3, $4)
ON CONFLICT (run_id) DO NOTHING
"""

_OPEN = """
INSERT INTO {schema}.checkpoints AS c
    (checkpoint_id, run_id, step, partition, fence, owner, status, start_count,
     starts_without_commit)
VALUES ($1, $2, $3, $4, 1, $5, 'running', 1, 1)
ON CONFLICT (run_id, step, partition) DO UPDATE
SET fence = c.fence + 1, owner = excluded.owner, status = 'running',
    start_count = c.start_count + 1, starts_without_commit = c.starts_without_commit + 1,
    updated_at = clock_timestamp()
RETURNING checkpoint_id, fence, version, position, read_count, write_count, skip_count,
          batch_count, retry_count, start_count
"""

_SAVE = """
UPDATE {schema}.checkpoints
SET position = $4, read_count = $5, write_count = $6, skip_count = $7, batch_count = $8,
    retry_count = $9, version = version + 1, starts_without_commit = 0,
    updated_at = clock_timestamp()
WHERE checkpoint_id = $1 AND fence = $2 AND version = $3
"""

# The lock waits for a backend that may still be committing.
_SETTLE = "SELECT fence, version FROM {schema}.checkpoints WHERE checkpoint_id = $1 FOR UPDATE"

_FINISH = """
UPDATE {schema}.checkpoints SET status = 'finished', updated_at = clock_timestamp()
WHERE checkpoint_id = $1 AND fence = $2
"""

_SAVE_DATA = """
INSERT INTO {schema}.checkpoints AS c
    (checkpoint_id, run_id, step, partition, status, checkpoint_data, version)
VALUES ($1, $2, $3, $4, 'running', $5, 1)
ON CONFLICT (run_id, step, partition) DO UPDATE
SET checkpoint_data = excluded.checkpoint_data, version = c.version + 1,
    updated_at = clock_timestamp()
RETURNING checkpoint_id
"""

_LOAD = """
SELECT checkpoint_id, run_id, step, partition, position, checkpoint_data, read_count,
       write_count, skip_count, batch_count, retry_count, status, updated_at
FROM {schema}.checkpoints
WHERE run_id = $1 AND ($2::text IS NULL OR step = $2) AND partition = $3
ORDER BY updated_at DESC
LIMIT 1
"""

_SETTLE_FOR = 60.0  # seconds to wait for the server after a lost COMMIT
_SETTLE_PAUSE = 0.1


class PostgresCheckpointStore:
    """The ``CheckpointStore`` over one database.

    Args:
        lease_seconds: after which the server ends a transaction whose worker is silent.
    """

    def __init__(
        self,
        database: Database,
        pipeline_id: str,
        *,
        lease_seconds: float = 30.0,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self._database, self._pipeline_id, self._clock = database, pipeline_id, clock
        # A worker frozen inside its transaction must not hold its locks for ever; and deferred
        # constraints are checked at once, so that COMMIT has nothing left to refuse. SET takes no
        # parameters: the number is ours, not a value of the user's records.
        self._begin = (
            f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = {int(lease_seconds * 1000)}; "
            "SET CONSTRAINTS ALL IMMEDIATE"
        )

    async def open(self, key: StepKey, *, pipeline_id: str | None = None) -> "PostgresStepSession":
        schema = self._database.schema
        host, pid = socket.gethostname(), os.getpid()
        pipeline = pipeline_id or self._pipeline_id
        connection = await self._database.connect()
        try:
            async with connection.transaction():
                await connection.execute(
                    in_schema(_ENSURE_RUN, schema), key.run_id, pipeline, host, pid
                )
                row = await connection.fetchrow(
                    in_schema(_OPEN, schema),
                    uuid7(),
                    key.run_id,
                    key.step,
                    key.partition,
                    f"{host}:{pid}",
                )
        except BaseException:
            await self._database.release(connection)
            raise
        state = StepState(
            checkpoint_id=row["checkpoint_id"],
            fence=row["fence"],
            version=row["version"],
            progress=Progress(position=_decoded(row["position"]), counters=_counters(row)),
            start_count=row["start_count"],
        )
        return PostgresStepSession(
            self._database, connection, self._begin, pipeline, key, state, self._clock
        )

    async def save_data(self, key: StepKey, data: Any) -> UUID:
        """Save ``data`` as the step's ``checkpoint_data``; the checkpoint's id."""
        schema = self._database.schema
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(
                in_schema(_ENSURE_RUN, schema),
                key.run_id,
                self._pipeline_id,
                socket.gethostname(),
                os.getpid(),
            )
            checkpoint_id: UUID = await connection.fetchval(
                in_schema(_SAVE_DATA, schema),
                uuid7(),
                key.run_id,
                key.step,
                key.partition,
                codec.encode(data),
            )
        return checkpoint_id

    async def load(self, run_id: str, step: str | None, partition: int = 0) -> Checkpoint | None:
        """The run's checkpoint at ``step``, or its latest one."""
        query = in_schema(_LOAD, self._database.schema)
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(query, run_id, step, partition)
        if row is None:
            return None
        return Checkpoint(
            checkpoint_id=row["checkpoint_id"],
            run_id=row["run_id"],
            step=row["step"],
            partition=row["partition"],
            position=_decoded(row["position"]),
            checkpoint_data=_decoded(row["checkpoint_data"]),
            counters=_counters(row),
            status=row["status"],
            updated_at=row["updated_at"],
        )


class PostgresStepSession:
    """An opened step; holds one connection, replaced when it breaks."""

    def __init__(
        self,
        database: Database,
        connection: Any,
        begin: str,
        pipeline_id: str,
        key: StepKey,
        state: StepState,
        clock: Clock,
    ) -> None:
        self._database, self._connection, self._begin = database, connection, begin
        self._pipeline_id, self._key, self._clock = pipeline_id, key, clock
        self.state = state
        self._loader = Loader()
        self._version = state.version
        self._save = in_schema(_SAVE, database.schema)

    async def begin(self, batch_id: str, rejects: Rejects) -> "PostgresUnitOfWork":
        connection = await self._usable()
        transaction = Transaction(connection, self._begin, self._loader, rejects)
        try:
            await transaction.begin()
        except BaseException:
            # Begun or not: a next one on this connection would be a mere savepoint of it.
            terminate(connection)
            raise
        return PostgresUnitOfWork(self, transaction, batch_id)

    async def quarantine(
        self,
        connection: Any,
        batch_id: str,
        rejections: Sequence[Rejection],
        payloads: Sequence[Any],
        positions: Sequence[Any],
    ) -> None:
        rows = quarantine_store.rows(
            self._pipeline_id, self._key, batch_id, rejections, payloads, positions
        )
        await quarantine_store.write(connection, self._database.schema, list(rows))

    async def save(self, connection: Any, progress: Progress) -> None:
        counters = progress.counters
        status = await connection.execute(
            self._save,
            self.state.checkpoint_id,
            self.state.fence,
            self._version,
            codec.encode(progress.position),
            counters.read_count,
            counters.write_count,
            counters.skip_count,
            counters.batch_count,
            counters.retry_count,
        )
        if status != "UPDATE 1":
            raise self._stale()

    def saved(self) -> None:
        """A commit under the current version is certain."""
        self._version += 1

    async def settle(self) -> bool:
        query = in_schema(_SETTLE, self._database.schema)
        give_up_at = self._clock.monotonic() + _SETTLE_FOR
        while True:
            try:
                connection = await self._usable()
                row = await connection.fetchrow(query, self.state.checkpoint_id)
                break
            except Exception as error:
                lost = is_connection_lost(error) or isinstance(error, DatabaseUnavailableError)
                if not lost or self._clock.monotonic() >= give_up_at:
                    raise
            await self._clock.sleep(_SETTLE_PAUSE)
        if row is None or row["fence"] != self.state.fence:
            raise self._stale()
        committed: bool = row["version"] == self._version + 1
        if committed:
            self.saved()
        return committed

    async def finish(self) -> None:
        connection = await self._usable()
        query = in_schema(_FINISH, self._database.schema)
        await connection.execute(query, self.state.checkpoint_id, self.state.fence)

    async def quarantined_by_reason(self) -> dict[str, int]:
        connection = await self._usable()
        query = in_schema(quarantine_store.BY_REASON, self._database.schema)
        key = self._key
        rows = await connection.fetch(query, key.run_id, key.step, key.partition)
        return {row["reason"]: row["records"] for row in rows}

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._database.release(connection)

    async def _usable(self) -> Any:
        """The step's connection; a new one in the place of one that broke."""
        connection = self._connection
        if connection is not None and (is_closed(connection) or connection.is_in_transaction()):
            self._connection = None
            terminate(connection)
            await self._database.release(connection)
        if self._connection is None:
            self._connection = await self._database.connect()
        return self._connection

    def _stale(self) -> StaleRunError:
        key = self._key
        return StaleRunError(
            f"another worker has taken over step {key.step!r} of run {key.run_id!r} (partition "
            f"{key.partition}); this one's fence {self.state.fence} is old, and its batch was "
            "rolled back"
        )


class PostgresUnitOfWork:
    """One batch's transaction on the step's connection."""

    def __init__(
        self, session: PostgresStepSession, transaction: Transaction, batch_id: str
    ) -> None:
        self._session, self._batch_id = session, batch_id
        self.transaction = transaction
        self.outcome: Outcome = "open"

    async def quarantine(
        self, rejections: Sequence[Rejection], payloads: Sequence[Any], positions: Sequence[Any]
    ) -> None:
        await self._session.quarantine(
            self.transaction.connection, self._batch_id, rejections, payloads, positions
        )

    async def commit(self, progress: Progress) -> None:
        try:
            await self._session.save(self.transaction.connection, progress)
        except BaseException:
            await self.rollback()
            raise
        try:
            await self.transaction.commit()
        except Exception as error:
            if is_connection_lost(error):
                self._unknown()
                raise CommitUnknownError(str(error)) from error
            await self.rollback()
            raise
        except BaseException as error:  # cut off by its time limit
            self._unknown()
            raise CommitUnknownError("COMMIT was not answered in time") from error
        self.outcome = "committed"
        self._session.saved()

    def _unknown(self) -> None:
        self.outcome = "unknown"
        terminate(self.transaction.connection)

    async def rollback(self) -> None:
        self.outcome = "rolled back"
        connection = self.transaction.connection
        if is_closed(connection):
            return
        try:
            await self.transaction.rollback()
        except Exception:
            # Whatever state it is in, ending the connection rolls back.
            terminate(connection)


def _counters(row: Any) -> Counters:
    return Counters(
        row["read_count"],
        row["write_count"],
        row["skip_count"],
        row["batch_count"],
        row["retry_count"],
    )


def _decoded(text: str | None) -> Any:
    return None if text is None else codec.decode(text)
