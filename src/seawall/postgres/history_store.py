"""Earlier states of checkpoints: to look at, and to go back to."""

from collections.abc import Sequence

from seawall.checkpoint.model import Checkpoint, StepKey
from seawall.errors import CheckpointError, StepHeldError
from seawall.postgres import audit
from seawall.postgres.checkpoint_rows import checkpoint_of
from seawall.postgres.database import Database
from seawall.postgres.lease import is_left_behind
from seawall.postgres.names import in_schema

_LIST = """
SELECT h.checkpoint_id, c.run_id, c.step, c.partition, h.position::text AS position,
       h.checkpoint_data::text AS checkpoint_data, h.read_count,
       h.write_count, h.skip_count, h.batch_count, h.retry_count, c.status,
       h.saved_at AS updated_at, h.version, h.state_version
FROM {schema}.checkpoint_history h JOIN {schema}.checkpoints c USING (checkpoint_id)
WHERE c.run_id = $1 AND c.step = $2 AND c.partition = $3
ORDER BY h.version DESC
"""

_LOCK = """
SELECT checkpoint_id, version, position::text AS position FROM {schema}.checkpoints
WHERE run_id = $1 AND step = $2 AND partition = $3
FOR UPDATE
"""

# Asked for behind the lock: a join would show the lease as it was before the wait for it.
_HOLDER = """
SELECT checkpoint_id, owner, process, fence FROM {schema}.checkpoint_leases
WHERE checkpoint_id = $1 AND lease_until > clock_timestamp()
"""

# The version grows all the same: a COMMIT of the worker that was at work is never taken for it.
_REWIND = """
UPDATE {schema}.checkpoints c
SET position = h.position, ahead = h.ahead, checkpoint_data = h.checkpoint_data,
    sink_state = h.sink_state, state_version = h.state_version, read_count = h.read_count,
    write_count = h.write_count, skip_count = h.skip_count, batch_count = h.batch_count,
    retry_count = h.retry_count, status = 'running', suspect_size = NULL, suspect_rows = NULL,
    suspect_deaths = 0, starts_without_commit = 0, fence = c.fence + 1, version = c.version + 1,
    updated_at = clock_timestamp()
FROM {schema}.checkpoint_history h
WHERE c.checkpoint_id = $1 AND h.checkpoint_id = $1 AND h.version = $2
RETURNING c.position::text AS position
"""

_FREE = "DELETE FROM {schema}.checkpoint_leases WHERE checkpoint_id = $1"


class PostgresHistoryStore:
    """Looks at the history of checkpoints, and goes back in it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, key: StepKey) -> Sequence[Checkpoint]:
        """The step's kept states, the newest first."""
        query = in_schema(_LIST, self._database.schema)
        async with self._database.acquire() as connection:
            rows = await connection.fetch(query, key.run_id, key.step, key.partition)
        return [checkpoint_of(row) for row in rows]

    async def rewind(
        self, key: StepKey, version: int, *, actor: str, reason: str, force: bool
    ) -> None:
        """Take the step back to an earlier state, with a trace of who and why.

        Raises:
            CheckpointError: there is no such step, or its version is not kept.
            StepHeldError: a worker has it, and ``force`` is not set.
        """
        schema = self._database.schema
        async with self._database.acquire() as connection:
            async with connection.transaction(isolation="read_committed"):
                row = await connection.fetchrow(
                    in_schema(_LOCK, schema), key.run_id, key.step, key.partition
                )
                if row is None:
                    raise CheckpointError(f"there is no checkpoint of {key}")
                holder = await connection.fetchrow(in_schema(_HOLDER, schema), row["checkpoint_id"])
                if holder is not None and not force and not is_left_behind(holder):
                    raise StepHeldError(
                        f"step {key.step!r} of run {key.run_id!r} is at work in {holder['owner']}: "
                        "stop it first, or pass force=True, after which it can commit nothing more"
                    )
                position = await connection.fetchrow(
                    in_schema(_REWIND, schema), row["checkpoint_id"], version
                )
                if position is None:
                    raise CheckpointError(
                        f"version {version} of step {key.step!r} is not kept: see "
                        "checkpoint_history()"
                    )
                await connection.execute(in_schema(_FREE, schema), row["checkpoint_id"])
                await audit.write(
                    connection,
                    schema,
                    actor=actor,
                    action="checkpoint rewound",
                    subject=f"{key.run_id}/{key.step}/{key.partition}",
                    reason=reason,
                    details={
                        "from_version": row["version"],
                        "to_version": version,
                        "from_position": row["position"],
                        "to_position": position["position"],
                    },
                )
