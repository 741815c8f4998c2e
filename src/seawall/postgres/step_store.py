"""Steps of runs as rows of ``run_steps``."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from seawall.errors import StaleRunError
from seawall.outbox.message import Message
from seawall.postgres.database import Database
from seawall.postgres.lost import check_open, is_closed, is_connection_lost
from seawall.postgres.names import in_schema
from seawall.postgres.outbox_store import publish
from seawall.shield import finish
from seawall.steps.store import HeldStep, KeptResult, StepCall, StepClaim

_logger = logging.getLogger("seawall.postgres")

_LOOK = """
SELECT status, result::text AS result, function, arguments_digest, error_message,
       coalesce(greatest(0, extract(epoch FROM lease_until - clock_timestamp())), 0)::float8
           AS seconds
FROM {schema}.run_steps WHERE run_id = $1 AND step = $2
"""

_CLAIM = """
INSERT INTO {schema}.run_steps AS s
    (run_id, step, status, function, arguments_digest, attempts, owner, lease_until)
VALUES ($1, $2, 'running', $3, $4, 1, $5, clock_timestamp() + make_interval(secs => $6))
ON CONFLICT (run_id, step) DO UPDATE
SET status = 'running', function = excluded.function,
    arguments_digest = excluded.arguments_digest, attempts = s.attempts + 1,
    fence = s.fence + 1, owner = excluded.owner, lease_until = excluded.lease_until,
    updated_at = clock_timestamp()
WHERE s.status <> 'done' AND (s.lease_until IS NULL OR s.lease_until <= clock_timestamp())
RETURNING fence
"""

_RENEW = """
UPDATE {schema}.run_steps SET lease_until = clock_timestamp() + make_interval(secs => $4)
WHERE run_id = $1 AND step = $2 AND fence = $3 AND status = 'running'
RETURNING fence
"""

# Saved under the fence alone: a lease that ran out while nobody took the step over loses nothing.
_SAVE = """
UPDATE {schema}.run_steps
SET status = 'done', result = $4::text::json, lease_until = NULL, error_type = NULL,
    error_message = NULL, updated_at = clock_timestamp(),
    -- Said again after a lost answer, the attempts are counted already.
    attempts = attempts + CASE status WHEN 'done' THEN 0 ELSE $5 END
WHERE run_id = $1 AND step = $2 AND fence = $3
RETURNING fence
"""

_FAILED = """
UPDATE {schema}.run_steps
SET status = 'failed', lease_until = NULL, error_type = $4, error_message = $5,
    attempts = attempts + $6, updated_at = clock_timestamp()
WHERE run_id = $1 AND step = $2 AND fence = $3 AND status = 'running'
"""

_GIVE_BACK = """
UPDATE {schema}.run_steps
SET status = 'waiting', lease_until = NULL, attempts = attempts - 1,
    updated_at = clock_timestamp()
WHERE run_id = $1 AND step = $2 AND fence = $3 AND status = 'running'
"""

# The row stays, for its fence: a new one would begin at 1 again, which an old worker may hold.
_FORGET = """
UPDATE {schema}.run_steps
SET status = 'waiting', result = NULL, lease_until = NULL, fence = fence + 1,
    updated_at = clock_timestamp()
WHERE run_id = $1 AND step = $2
RETURNING fence
"""

# Not one that is done: after a COMMIT whose answer was lost, the work may not be done again.
_SAVE_ONCE = _SAVE.replace("AND fence = $3", "AND fence = $3 AND status = 'running'")

# The lock waits for a backend that may still be committing.
_SETTLE = """
SELECT result::text AS result FROM {schema}.run_steps
WHERE run_id = $1 AND step = $2 AND fence = $3 AND status = 'done' FOR UPDATE
"""

_COMMIT_SECONDS, _ROLLBACK_SECONDS = 60.0, 5.0


class StepTransaction:
    """What a transactional step gets: an asyncpg connection in a transaction, with ``publish``.

    Every method of ``asyncpg.Connection`` is there. Of no use after the step.
    """

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self._schema = connection, schema

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def publish(
        self,
        topic: str,
        payload: Any,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> UUID:
        """Publish a message that is committed with the step; see ``manager.publish``."""
        message = Message(topic, payload, key, headers, idempotency_key)
        (message_id,) = await publish(self._connection, self._schema, [message])
        return message_id


class PostgresStepStore:
    """The ``StepStore`` over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, run_id: str, step: str) -> KeptResult | HeldStep | None:
        rows = await self._fetch(_LOOK, run_id, step)
        if not rows:
            return None
        row = rows[0]
        if row["status"] == "done":
            return KeptResult(
                text=row["result"], function=row["function"], arguments=row["arguments_digest"]
            )
        return HeldStep(status=row["status"], seconds=row["seconds"], message=row["error_message"])

    async def claim(self, call: StepCall, owner: str, lease_seconds: float) -> StepClaim | None:
        rows = await self._fetch(
            _CLAIM, call.run_id, call.step, call.function, call.arguments, owner, lease_seconds
        )
        if not rows:
            return None
        return StepClaim(run_id=call.run_id, step=call.step, fence=rows[0]["fence"])

    async def renew(self, claim: StepClaim, lease_seconds: float) -> bool:
        return bool(await self._fetch(_RENEW, *_key(claim), lease_seconds))

    async def save(self, claim: StepClaim, text: str, more_attempts: int) -> bool:
        return bool(await self._fetch(_SAVE, *_key(claim), text, more_attempts))

    async def failed(
        self, claim: StepClaim, error_type: str, message: str, more_attempts: int
    ) -> None:
        await self._fetch(_FAILED, *_key(claim), error_type, message, more_attempts)

    async def give_back(self, claim: StepClaim) -> None:
        await self._fetch(_GIVE_BACK, *_key(claim))

    async def forget(self, run_id: str, step: str) -> bool:
        return bool(await self._fetch(_FORGET, run_id, step))

    async def in_transaction(
        self,
        claim: StepClaim,
        work: Callable[[Any], Awaitable[str]],
        more_attempts: int,
        tasks: TaskGroup,
    ) -> str:
        save = in_schema(_SAVE_ONCE, self._database.schema)
        async with self._database.acquire() as connection:
            # A lease is renewed meanwhile, on the same row: a stricter level would refuse the save.
            transaction = connection.transaction(isolation="read_committed")
            await transaction.start()
            try:
                text = await work(StepTransaction(connection, self._database.schema))
                check_open(connection, f"step {claim.step!r} of run {claim.run_id!r}")
                saved = await connection.fetch(save, *_key(claim), text, more_attempts)
            except BaseException:
                await _roll_back(connection, transaction)
                raise
            if not saved:
                await _roll_back(connection, transaction)
            else:
                try:
                    await finish(tasks, transaction.commit, _COMMIT_SECONDS)
                except Exception as error:
                    if not is_connection_lost(error):
                        raise
                    kept = await self._settled(claim)
                    if kept is None:
                        raise
                    text = kept
                return text
        # An earlier try has committed after all, or another worker has the step.
        kept = await self._settled(claim)
        if kept is None:
            raise StaleRunError(
                f"step {claim.step!r} of run {claim.run_id!r} was taken over by another worker: "
                "the work of this one is rolled back"
            )
        return kept

    async def _settled(self, claim: StepClaim) -> str | None:
        rows = await self._fetch(_SETTLE, *_key(claim))
        return str(rows[0]["result"]) if rows else None

    async def _fetch(self, query: str, *args: object) -> Any:
        async with self._database.acquire() as connection:
            return await connection.fetch(in_schema(query, self._database.schema), *args)


def _key(claim: StepClaim) -> tuple[str, str, int]:
    return claim.run_id, claim.step, claim.fence


async def _roll_back(connection: Any, transaction: Any) -> None:
    if is_closed(connection):
        return
    with anyio.CancelScope(shield=True), anyio.move_on_after(_ROLLBACK_SECONDS):
        try:
            await transaction.rollback()
        except Exception as error:
            # In the failure's place it would hide it; the pool drops the connection.
            _logger.debug("a step's rollback was not answered: %r", error)
