"""An opened step on PostgreSQL: its connections, its batches' transactions, its lease."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from seawall import process
from seawall.checkpoint.model import Progress, Rejection, StepKey, StepState
from seawall.checkpoint.store import CommitUnknownError, Outcome, Rejects, StateOfSinks
from seawall.clock import MACHINE_CLOCK, Clock
from seawall.config import Range
from seawall.errors import (
    CheckpointError,
    DatabaseUnavailableError,
    InvalidConfigError,
    StaleRunError,
)
from seawall.postgres import backends, quarantine_store
from seawall.postgres.database import Database
from seawall.postgres.history import History
from seawall.postgres.loading.loader import Loader
from seawall.postgres.lost import is_closed, is_connection_lost, terminate
from seawall.postgres.names import in_schema
from seawall.postgres.transaction import Transaction
from seawall.quarantine import codec

LEASE = """
INSERT INTO {schema}.checkpoint_leases AS l (checkpoint_id, fence, owner, process, lease_until)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
ON CONFLICT (checkpoint_id) DO UPDATE
SET fence = excluded.fence, owner = excluded.owner, process = excluded.process,
    lease_until = excluded.lease_until
"""

_RENEW = """
UPDATE {schema}.checkpoint_leases
SET lease_until = clock_timestamp() + make_interval(secs => $3)
WHERE checkpoint_id = $1 AND fence = $2
"""

_SAVE = """
UPDATE {schema}.checkpoints
SET position = $4, read_count = $5, write_count = $6, skip_count = $7, batch_count = $8,
    retry_count = $9, ahead = $10, sink_state = $11, suspect_size = $12, suspect_rows = $13,
    suspect_deaths = 0, state_version = $14, version = version + 1, starts_without_commit = 0,
    updated_at = clock_timestamp()
WHERE checkpoint_id = $1 AND fence = $2 AND version = $3
"""

# The lock waits for a backend that may still be committing.
_SETTLE = "SELECT fence, version FROM {schema}.checkpoints WHERE checkpoint_id = $1 FOR UPDATE"

_FENCE = "SELECT fence FROM {schema}.checkpoints WHERE checkpoint_id = $1"

_RELEASE = """
WITH released AS (
    UPDATE {schema}.checkpoint_leases SET lease_until = clock_timestamp()
    WHERE checkpoint_id = $1 AND fence = $2
)
UPDATE {schema}.checkpoints
SET status = CASE WHEN $3 THEN 'finished' ELSE status END,
    finished_at = CASE WHEN $3 THEN clock_timestamp() ELSE finished_at END,
    starts_without_commit = 0, suspect_deaths = 0, updated_at = clock_timestamp()
WHERE checkpoint_id = $1 AND fence = $2
"""

_ATTEMPT = """
UPDATE {schema}.checkpoints SET suspect_deaths = suspect_deaths + 1
WHERE checkpoint_id = $1 AND fence = $2
"""

_SETTLE_FOR = 60.0  # seconds to wait for the server after a lost COMMIT
_SETTLE_PAUSE = 0.1
_SINK_STATE_LIMIT = 65_536  # bytes: it is written with every batch


# The steps that this process has open: a lease of its own that is not among them was left behind.
_open_here: set[tuple[UUID, int]] = set()


def is_left_behind(holder: Any) -> bool:
    """Whether a lease (a row with fence and process) belongs to a worker that is no more."""
    if holder["process"] == process.identity():
        return (holder["checkpoint_id"], holder["fence"]) not in _open_here
    return process.is_dead(holder["process"])


@dataclass(frozen=True, slots=True)
class StepTiming:
    """Leases and history of steps.

    Attributes:
        lease_seconds: how long a silent worker keeps its step, and its locks.
        history: which earlier states are kept.
    """

    lease_seconds: float = 30.0
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        Range(float, 1).check("lease_seconds", self.lease_seconds)

    def begin(self, checkpoint_id: UUID) -> str:
        """The statements that start a transaction of a batch of the step.

        A worker frozen inside it must not hold its locks for ever; deferred constraints are
        checked at once, so that COMMIT has nothing left to refuse. SET takes no parameters: the
        number is ours, not a value of the user's records.
        """
        return (
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = "
            f"{int(self.lease_seconds * 1000)}; SET CONSTRAINTS ALL IMMEDIATE; "
            f"SET LOCAL application_name = '{backends.name_of(checkpoint_id)}'"
        )


class PostgresStepSession:
    """The ``StepSession`` of a worker that has the lease."""

    def __init__(
        self,
        database: Database,
        connection: Any,
        timing: StepTiming,
        pipeline_id: str,
        key: StepKey,
        state: StepState,
        *,
        set_aside_first: bool = False,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self.database, self.timing, self.state = database, timing, state
        self.set_aside_first = set_aside_first
        self._pipeline_id, self._key, self._clock = pipeline_id, key, clock
        self.begin = timing.begin(state.checkpoint_id)
        self._version = state.version
        self._save = in_schema(_SAVE, database.schema)
        self._lanes = [PostgresLane(self, connection)]
        _open_here.add((state.checkpoint_id, state.fence))
        self._renewed_at = self._remembered_at = clock.monotonic()

    def lanes(self, number: int) -> Sequence["PostgresLane"]:
        """So many connections; each is checked out of the pool when it is first used.

        Raises:
            InvalidConfigError: the pool is too small for them.
        """
        if number > 1 and number >= self.database.pool_size:
            raise InvalidConfigError(
                f"concurrency={number}: needs a pool of {number + 1} connections or more, this one "
                f"has {self.database.pool_size} (pool_size)"
            )
        while len(self._lanes) < number:
            self._lanes.append(PostgresLane(self, None))
        return self._lanes[:number]

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
        await quarantine_store.write(connection, self.database.schema, list(rows))

    async def save(self, connection: Any, progress: Progress) -> None:
        """Save the progress under the fence, in the connection's transaction."""
        counters, suspected = progress.counters, progress.suspicion
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
            _ahead(progress),
            _sink_state(progress),
            None if suspected is None else suspected.size,
            None if suspected is None else suspected.rows,
            self.state.state_version,
        )
        if status != "UPDATE 1":
            raise self._stale()
        await self._keep_up(connection)

    async def _keep_up(self, connection: Any) -> None:
        """What is due now and then, with a commit that is made anyway."""
        now, timing = self._clock.monotonic(), self.timing
        if now - self._renewed_at > timing.lease_seconds / 3:
            await self._renew(connection)
        if now - self._remembered_at > timing.history.seconds:
            self._remembered_at = now
            schema = self.database.schema
            await timing.history.remember(connection, schema, self.state.checkpoint_id)

    def saved(self) -> None:
        """A commit under the current version is certain."""
        self._version += 1

    async def settle(self) -> bool:
        query = in_schema(_SETTLE, self.database.schema)
        give_up_at = self._clock.monotonic() + _SETTLE_FOR
        while True:
            try:
                async with self.database.acquire() as connection:
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

    async def renew(self) -> None:
        if self._clock.monotonic() - self._renewed_at < self.timing.lease_seconds / 4:
            return  # a commit has done so
        async with self.database.acquire() as connection:
            await self._renew(connection)

    async def _renew(self, connection: Any) -> None:
        query, state = in_schema(_RENEW, self.database.schema), self.state
        status = await connection.execute(
            query, state.checkpoint_id, state.fence, self.timing.lease_seconds
        )
        if status != "UPDATE 1":
            raise self._stale()
        self._renewed_at = self._clock.monotonic()

    async def lost(self, connection: Any) -> StaleRunError | None:
        """Whether another worker has the step by now, asked on a connection of ours."""
        query = in_schema(_FENCE, self.database.schema)
        fence = await connection.fetchval(query, self.state.checkpoint_id)
        return None if fence == self.state.fence else self._stale()

    async def attempt(self) -> None:
        connection = await self._lanes[0].usable()
        query, state = in_schema(_ATTEMPT, self.database.schema), self.state
        if await connection.execute(query, state.checkpoint_id, state.fence) != "UPDATE 1":
            raise self._stale()

    async def release(self, *, finished: bool) -> None:
        connection = await self._lanes[0].usable()
        query, state = in_schema(_RELEASE, self.database.schema), self.state
        await connection.execute(query, state.checkpoint_id, state.fence, finished)

    async def quarantined_by_reason(self) -> dict[str, int]:
        connection = await self._lanes[0].usable()
        query = in_schema(quarantine_store.BY_REASON, self.database.schema)
        key = self._key
        rows = await connection.fetch(query, key.run_id, key.step, key.partition)
        return {row["reason"]: row["records"] for row in rows}

    async def quarantined_for(self, keys: Sequence[str]) -> dict[str, int]:
        connection = await self._lanes[0].usable()
        query = in_schema(quarantine_store.FOR_KEYS, self.database.schema)
        key = self._key
        rows = await connection.fetch(query, key.run_id, key.step, key.partition, list(keys))
        return {row["key"]: row["records"] for row in rows}

    async def aclose(self) -> None:
        _open_here.discard((self.state.checkpoint_id, self.state.fence))
        for lane in self._lanes:
            await lane.aclose()

    def _stale(self) -> StaleRunError:
        key = self._key
        return StaleRunError(
            f"another worker has taken over step {key.step!r} of run {key.run_id!r} (partition "
            f"{key.partition}); this one's fence {self.state.fence} is old, and its batch was "
            "rolled back"
        )


class PostgresLane:
    """One connection of a step, replaced when it breaks, and what its loads have met."""

    def __init__(self, session: PostgresStepSession, connection: Any) -> None:
        self._session, self._connection = session, connection
        self._loader = Loader()

    async def begin(
        self, batch_id: str, rejects: Rejects, sinks: StateOfSinks
    ) -> "PostgresUnitOfWork":
        session, connection = self._session, await self.usable()
        transaction = Transaction(
            connection, session.begin, self._loader, rejects, session.state.fence, sinks
        )
        try:
            await transaction.begin()
        except BaseException:
            # Begun or not: a next one on this connection would be a mere savepoint of it.
            terminate(connection)
            raise
        return PostgresUnitOfWork(session, transaction, batch_id)

    async def usable(self) -> Any:
        """The lane's connection; a new one in the place of one that broke."""
        connection, database = self._connection, self._session.database
        if connection is not None and (is_closed(connection) or connection.is_in_transaction()):
            self._connection = None
            terminate(connection)
            await database.release(connection)
        if self._connection is None:
            self._connection = await database.connect()
        return self._connection

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._session.database.release(connection)


class PostgresUnitOfWork:
    """One batch's transaction on a lane's connection."""

    def __init__(
        self, session: PostgresStepSession, transaction: Transaction, batch_id: str
    ) -> None:
        self._session, self._batch_id = session, batch_id
        self.transaction = transaction
        self.outcome: Outcome = "open"
        self.lost: StaleRunError | None = None

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
            self.lost = await self._session.lost(connection)
        except Exception:
            # Whatever state it is in, ending the connection rolls back.
            terminate(connection)


def _ahead(progress: Progress) -> str | None:
    if not progress.ahead:
        return None
    return codec.encode([[span.first, span.last, span.done] for span in progress.ahead])


def _sink_state(progress: Progress) -> str | None:
    if not progress.sink_state:
        return None
    text = codec.encode(dict(progress.sink_state))
    if len(text) > _SINK_STATE_LIMIT:
        raise CheckpointError(
            f"the sinks keep {len(text):,} characters with each batch, more than "
            f"{_SINK_STATE_LIMIT:,}: keep a reference in their place"
        )
    return text
