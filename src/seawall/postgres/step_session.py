"""An opened step on PostgreSQL: its connections, its batches' transactions, its lease."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import anyio

from seawall.checkpoint.model import Progress, Rejection, StepKey, StepState
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
from seawall.postgres.lane import PostgresLane
from seawall.postgres.lease import RENEW, open_here
from seawall.postgres.lost import is_connection_lost
from seawall.postgres.names import in_schema
from seawall.quarantine import codec
from seawall.quarantine.payload import PLAIN, PayloadForm

T = TypeVar("T")

_SAVE = """
UPDATE {schema}.checkpoints
SET position = $4::text::json, read_count = $5, write_count = $6, skip_count = $7, batch_count = $8,
    retry_count = $9, ahead = $10::text::json, sink_state = $11::text::json, suspect_size = $12,
    suspect_rows = $13, suspect_deaths = 0, state_version = $14, version = version + 1,
    starts_without_commit = 0, updated_at = clock_timestamp()
WHERE checkpoint_id = $1 AND fence = $2 AND version = $3
"""

# The lock waits for a backend that may still be committing.
_SETTLE = "SELECT fence, version FROM {schema}.checkpoints WHERE checkpoint_id = $1 FOR UPDATE"

_FENCE = "SELECT fence FROM {schema}.checkpoints WHERE checkpoint_id = $1"

_RELEASE = """
WITH released AS (
    DELETE FROM {schema}.checkpoint_leases WHERE checkpoint_id = $1 AND fence = $2
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

_SETTLE_FOR, _SETTLE_PAUSE = 60.0, 0.1  # seconds to wait for the server after a lost COMMIT
_ASK_SECONDS = 2.0
_SINK_STATE_LIMIT = 65_536  # bytes: it is written with every batch


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

        READ COMMITTED whatever the user's default: the position is saved by each lane, and a
        snapshot older than another's save could not save its own. A worker frozen inside it must
        not hold its locks for ever; deferred constraints are checked at once, so that COMMIT has
        nothing left to refuse. SET takes no parameters: the number is ours, not a value of the
        user's records.
        """
        return (
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = "
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
        form: PayloadForm = PLAIN,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self.database, self.timing, self.state = database, timing, state
        self.set_aside_first = set_aside_first
        self._form = form
        self._pipeline_id, self._key, self._clock = pipeline_id, key, clock
        self.begin = timing.begin(state.checkpoint_id)
        self._version = state.version
        self._save = in_schema(_SAVE, database.schema)
        self._lanes = [PostgresLane(self, connection)]
        open_here.add((state.checkpoint_id, state.fence))
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
            self._pipeline_id, self._key, batch_id, rejections, payloads, positions, form=self._form
        )
        await quarantine_store.write(connection, self.database.schema, rows)

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
                async with self.database.spare() as connection:
                    async with connection.transaction(isolation="read_committed"):
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
        async with self.database.spare() as connection:
            await self._renew(connection)

    async def _renew(self, connection: Any) -> None:
        query, state = in_schema(RENEW, self.database.schema), self.state
        status = await connection.execute(
            query, state.checkpoint_id, state.fence, self.timing.lease_seconds
        )
        if status != "UPDATE 1":
            raise self._stale()
        self._renewed_at = self._clock.monotonic()

    async def lost(self, connection: Any = None) -> StaleRunError | None:
        """Whether another worker has the step by now.

        Args:
            connection: one to ask on; None, where it has been lost: another one is looked for.
        """
        if connection is None:
            with contextlib.suppress(Exception), anyio.move_on_after(_ASK_SECONDS):
                async with self.database.spare() as another:
                    return await self.lost(another)
            return None  # the next batch, or the lease's renewal, finds out
        query = in_schema(_FENCE, self.database.schema)
        fence = await connection.fetchval(query, self.state.checkpoint_id)
        return None if fence == self.state.fence else self._stale()

    async def attempt(self) -> None:
        connection = await self._lanes[0].usable()
        query, state = in_schema(_ATTEMPT, self.database.schema), self.state
        if await connection.execute(query, state.checkpoint_id, state.fence) != "UPDATE 1":
            raise self._stale()

    async def release(self, *, finished: bool) -> None:
        query, state = in_schema(_RELEASE, self.database.schema), self.state

        async def release(connection: Any) -> None:
            # The last state too, however short the step was; under another's fence it is theirs.
            if self._version > state.version:
                history, schema = self.timing.history, self.database.schema
                await history.remember(connection, schema, state.checkpoint_id)
            await connection.execute(query, state.checkpoint_id, state.fence, finished)

        await self._on_first_lane(release)

    async def _on_first_lane(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do what may be done twice; a connection that broke meanwhile is found out by its use."""
        lane = self._lanes[0]
        try:
            return await work(await lane.usable())
        except Exception as error:
            if not is_connection_lost(error):
                raise
        return await work(await lane.usable())

    async def quarantined_by_reason(self) -> dict[str, int]:
        key = self._key
        rows = await self._fetch(quarantine_store.BY_REASON, key.run_id, key.step, key.partition)
        return {row["reason"]: row["records"] for row in rows}

    async def quarantined_for(self, keys: Sequence[str]) -> dict[str, int]:
        key, query = self._key, quarantine_store.FOR_KEYS
        rows = await self._fetch(query, key.run_id, key.step, key.partition, list(keys))
        return {row["key"]: row["records"] for row in rows}

    async def _fetch(self, query: str, *values: object) -> Sequence[Any]:
        query = in_schema(query, self.database.schema)
        if self._lanes[0].is_idle:
            return await self._on_first_lane(lambda connection: _rows(connection, query, values))
        # Asked in the middle of a batch, whose connection is not to be touched.
        async with self.database.spare() as other:
            return await _rows(other, query, values)

    async def aclose(self) -> None:
        open_here.discard((self.state.checkpoint_id, self.state.fence))
        for lane in self._lanes:
            await lane.aclose()

    def _stale(self) -> StaleRunError:
        key = self._key
        return StaleRunError(
            f"another worker has taken over step {key.step!r} of run {key.run_id!r} (partition "
            f"{key.partition}); this one's fence {self.state.fence} is old, and its batch was "
            "rolled back"
        )


async def _rows(connection: Any, query: str, values: Sequence[object]) -> Sequence[Any]:
    rows: Sequence[Any] = await connection.fetch(query, *values)
    return rows


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
