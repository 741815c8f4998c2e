"""Positions in ``checkpoints``: opened under a lease, kept, looked at."""

import contextlib
import logging
import random
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import anyio

from seawall import process
from seawall.checkpoint import suspicion
from seawall.checkpoint.model import (
    Checkpoint,
    Progress,
    StepKey,
    StepState,
)
from seawall.checkpoint.store import OpenRequest, WhenHeld
from seawall.clock import MACHINE_CLOCK, Clock, uuid7
from seawall.errors import CheckpointError, DatabaseUnavailableError, StepHeldError
from seawall.postgres import backends
from seawall.postgres.checkpoint_rows import checkpoint_of, progress_of, upgraded
from seawall.postgres.database import Database
from seawall.postgres.lease import GIVE_BACK, LEASE, is_left_behind
from seawall.postgres.lost import is_connection_lost
from seawall.postgres.names import in_schema
from seawall.postgres.owner import owner
from seawall.postgres.step_session import PostgresStepSession, StepTiming
from seawall.quarantine import codec
from seawall.quarantine.payload import PLAIN, PayloadForm

_logger = logging.getLogger("seawall.checkpoint")

_ENSURE_RUN = """
INSERT INTO {schema}.runs (run_id, pipeline_id, status, host, pid)
VALUES ($1, $2, 'running', $3, $4)
ON CONFLICT (run_id) DO NOTHING
"""

_ENSURE = """
INSERT INTO {schema}.checkpoints (checkpoint_id, run_id, step, partition, status, state_version)
VALUES ($1, $2, $3, $4, 'running', $5)
ON CONFLICT (run_id, step, partition) DO NOTHING
"""

_HOLDER = """
SELECT l.checkpoint_id, l.fence, l.owner, l.process,
       extract(epoch FROM l.lease_until - clock_timestamp())::float8 AS seconds
FROM {schema}.checkpoints c JOIN {schema}.checkpoint_leases l USING (checkpoint_id)
WHERE c.run_id = $1 AND c.step = $2 AND c.partition = $3 AND l.lease_until > clock_timestamp()
"""

_LOCK = """
SELECT checkpoint_id, fence, version, position::text AS position, ahead::text AS ahead,
       sink_state::text AS sink_state, state_version, suspect_size, suspect_rows, suspect_deaths,
       read_count, write_count, skip_count, batch_count, retry_count,
       start_count, starts_without_commit
FROM {schema}.checkpoints
WHERE run_id = $1 AND step = $2 AND partition = $3
FOR UPDATE
"""

_TAKE = """
UPDATE {schema}.checkpoints
SET fence = fence + 1, owner = $2, status = 'running', start_count = start_count + 1,
    starts_without_commit = $3, suspect_size = $4, suspect_rows = $5,
    updated_at = clock_timestamp()
WHERE checkpoint_id = $1
"""

_SAVE_DATA = """
INSERT INTO {schema}.checkpoints AS c
    (checkpoint_id, run_id, step, partition, status, checkpoint_data, version)
VALUES ($1, $2, $3, $4, 'running', $5::text::json, 1)
ON CONFLICT (run_id, step, partition) DO UPDATE
SET checkpoint_data = excluded.checkpoint_data, version = c.version + 1,
    updated_at = clock_timestamp()
RETURNING checkpoint_id
"""

_LOAD = """
SELECT checkpoint_id, run_id, step, partition, position::text AS position,
       checkpoint_data::text AS checkpoint_data, read_count, write_count, skip_count, batch_count,
       retry_count, status, updated_at, version, state_version
FROM {schema}.checkpoints
WHERE run_id = $1 AND ($2::text IS NULL OR step = $2) AND partition = $3
ORDER BY updated_at DESC
LIMIT 1
"""

_FINISHED_SINCE = """
SELECT partition FROM {schema}.checkpoints
WHERE run_id = $1 AND step = $2 AND finished_at >= $3 AND status = 'finished'
"""

_NOW = "SELECT clock_timestamp()"

_POLL_SECONDS = 1.0  # how often a lease that is waited for is looked at


@dataclass(frozen=True, slots=True)
class _Holder:
    owner: str
    seconds: float


class PostgresCheckpointStore:
    """The ``CheckpointStore`` over one database.

    Args:
        timing: leases and history.
        data_limit: bytes that ``checkpoint_data`` may have.
        form: how quarantined records are stored.
    """

    def __init__(
        self,
        database: Database,
        pipeline_id: str,
        *,
        timing: StepTiming = StepTiming(),  # noqa: B008 - frozen
        data_limit: int = 1_048_576,
        form: PayloadForm = PLAIN,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self.database, self._pipeline_id, self._clock = database, pipeline_id, clock
        self._timing, self._data_limit, self._form = timing, data_limit, form

    async def open(
        self, key: StepKey, request: OpenRequest, *, pipeline_id: str | None = None
    ) -> PostgresStepSession:
        """Take the step's lease: load its progress and raise its fence.

        Raises:
            StepHeldError: another worker has it, and it was not to be waited for (any longer).
            DatabaseUnavailableError: the server can't be reached, or not any more.
            CheckpointError: it was saved in a format that this worker can't read.
        """
        pipeline = pipeline_id or self._pipeline_id
        started, told = self._clock.monotonic(), False
        while True:
            opened = await self._try_twice(key, request, pipeline)
            if isinstance(opened, PostgresStepSession):
                return opened
            waited = self._clock.monotonic() - started
            limit = request.wait_seconds
            if request.when_held == WhenHeld.FAIL or (limit is not None and waited >= limit):
                raise StepHeldError(
                    f"step {key.step!r} of run {key.run_id!r} (partition {key.partition}) is held "
                    f"by {opened.owner}, whose lease runs for another {opened.seconds:.0f} s: wait "
                    "for it (when_held='wait'), or take it over (when_held='take')"
                )
            if not told:
                told = True
                _logger.info("step %s of run %s is held by %s: waiting for it",
                             key.step, key.run_id, opened.owner)  # fmt: skip
            pause = min(opened.seconds, _POLL_SECONDS) * random.uniform(0.8, 1.2)  # noqa: S311
            if limit is not None:
                pause = min(pause, limit - waited)
            await self._clock.sleep(pause + 0.005)

    async def _try_twice(
        self, key: StepKey, request: OpenRequest, pipeline: str
    ) -> PostgresStepSession | _Holder:
        try:
            return await self._try(key, request, pipeline)
        except DatabaseUnavailableError:
            raise
        except Exception as error:
            if not is_connection_lost(error):
                raise
        # A connection that broke while it lay in the pool is found out by its use.
        try:
            return await self._try(key, request, pipeline)
        except Exception as error:
            if isinstance(error, DatabaseUnavailableError) or not is_connection_lost(error):
                raise
            raise DatabaseUnavailableError(
                f"the connection was lost while step {key.step!r} of run {key.run_id!r} was being "
                f"opened: {error}"
            ) from error

    async def _try(
        self, key: StepKey, request: OpenRequest, pipeline: str
    ) -> PostgresStepSession | _Holder:
        connection, session = await self.database.connect(), None
        try:
            if request.when_held != WhenHeld.TAKE:
                # Without a lock at first: those who wait must not be in a working batch's way.
                holder = await self._holder(connection, key)
                if holder is not None:
                    return holder
            taken = None
            try:
                # Whatever the user's default isolation: behind the lock, the last one's work shows.
                async with connection.transaction(isolation="read_committed"):
                    taken = await self._take(connection, key, request, pipeline)
                if isinstance(taken, tuple):
                    await backends.end_those_of(taken[0].checkpoint_id, connection)
            except BaseException:
                if isinstance(taken, tuple):
                    await self._give_back(taken[0])
                raise
            if isinstance(taken, _Holder):
                return taken
            # Only now is it open: where COMMIT was not answered, the lease is one left behind.
            state, set_aside_first = taken
            session = PostgresStepSession(
                self.database,
                connection,
                self._timing,
                pipeline,
                key,
                state,
                set_aside_first=set_aside_first,
                form=self._form,
                clock=self._clock,
            )
            return session
        finally:
            if session is None:
                await self.database.release(connection)

    async def _give_back(self, state: StepState) -> None:
        """Free a lease whose COMMIT was cut off, should it have happened: others would wait."""
        query = in_schema(GIVE_BACK, self.database.schema)
        with anyio.move_on_after(5, shield=True), contextlib.suppress(Exception):
            async with self.database.spare() as connection:
                await connection.execute(query, state.checkpoint_id, state.fence)

    async def _holder(self, connection: Any, key: StepKey) -> _Holder | None:
        query = in_schema(_HOLDER, self.database.schema)
        row = await connection.fetchrow(query, key.run_id, key.step, key.partition)
        if row is None or is_left_behind(row):
            return None
        return _Holder(row["owner"], row["seconds"])

    async def _take(
        self, connection: Any, key: StepKey, request: OpenRequest, pipeline: str
    ) -> tuple[StepState, bool] | _Holder:
        schema, me = self.database.schema, owner()
        await connection.execute(
            in_schema(_ENSURE_RUN, schema), key.run_id, pipeline, me.host, me.pid
        )
        await connection.execute(
            in_schema(_ENSURE, schema),
            uuid7(), key.run_id, key.step, key.partition, request.state_version,
        )  # fmt: skip
        row = await connection.fetchrow(
            in_schema(_LOCK, schema), key.run_id, key.step, key.partition
        )
        if request.when_held != WhenHeld.TAKE:
            holder = await self._holder(connection, key)
            if holder is not None:
                return holder
        progress = upgraded(key, request, row["state_version"], progress_of(row))
        plan = suspicion.plan(row["starts_without_commit"] + 1, progress.suspicion, request.size)
        suspected = plan.suspicion
        await connection.execute(
            in_schema(_TAKE, schema),
            row["checkpoint_id"],
            me.name,
            plan.silent_starts,
            None if suspected is None else suspected.size,
            None if suspected is None else suspected.rows,
        )
        if row["version"] == 0:  # the start can be gone back to
            await self._timing.history.remember(connection, schema, row["checkpoint_id"])
        await connection.execute(
            in_schema(LEASE, schema),
            row["checkpoint_id"],
            row["fence"] + 1,
            me.name,
            process.identity(),
            self._timing.lease_seconds,
        )
        state = StepState(
            checkpoint_id=row["checkpoint_id"],
            fence=row["fence"] + 1,
            version=row["version"],
            progress=Progress(
                position=progress.position,
                ahead=progress.ahead,
                counters=progress.counters,
                sink_state=progress.sink_state,
                suspicion=suspected,
            ),
            state_version=request.state_version,
            start_count=row["start_count"] + 1,
            silent_starts=row["starts_without_commit"] + 1,
        )
        return state, plan.set_aside

    # -- the plain form ------------------------------------------------------------------------

    async def save_data(self, key: StepKey, data: Any) -> UUID:
        """Save ``data`` as the step's ``checkpoint_data``; the checkpoint's id.

        Raises:
            CheckpointError: it is larger than the limit.
        """
        schema, text, me = self.database.schema, codec.encode(data), owner()
        if (size := len(text.encode())) > self._data_limit:
            raise CheckpointError(
                f"progress_data of step {key.step!r} has {size:,} bytes, more than the "
                f"{self._data_limit:,} that checkpoint_data_limit allows: save a reference (a key, "
                "a file's name) in its place, or raise the limit"
            )
        async with self.database.acquire() as connection, connection.transaction():
            await connection.execute(
                in_schema(_ENSURE_RUN, schema), key.run_id, self._pipeline_id, me.host, me.pid
            )
            checkpoint_id: UUID = await connection.fetchval(
                in_schema(_SAVE_DATA, schema), uuid7(), key.run_id, key.step, key.partition, text
            )
            await self._timing.history.remember(connection, schema, checkpoint_id)
        return checkpoint_id

    async def load(self, run_id: str, step: str | None, partition: int = 0) -> Checkpoint | None:
        """The run's checkpoint at ``step``, or its latest one."""
        query = in_schema(_LOAD, self.database.schema)
        async with self.database.acquire() as connection:
            row = await connection.fetchrow(query, run_id, step, partition)
        return None if row is None else checkpoint_of(row)

    # -- partitions ----------------------------------------------------------------------------

    async def now(self) -> Any:
        """The database's time."""
        async with self.database.acquire() as connection:
            return await connection.fetchval(_NOW)

    async def finished_since(self, run_id: str, step: str, since: Any) -> set[int]:
        """The step's partitions that were read to their end since that time."""
        query = in_schema(_FINISHED_SINCE, self.database.schema)
        async with self.database.acquire() as connection:
            rows = await connection.fetch(query, run_id, step, since)
        return {row["partition"] for row in rows}
