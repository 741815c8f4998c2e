"""Parked calls as rows of ``parked_calls``."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from seawall.clock import uuid7
from seawall.parking.store import ParkedCall, TakenCall
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema

_PARK = """
INSERT INTO {schema}.parked_calls AS c (
    call_id, operation, arguments, idempotency_key, not_before, error_type, reason, pipeline_id,
    run_id
)
VALUES ($1, $2, $3::text::json, $4, clock_timestamp() + make_interval(secs => $5), $6, $7, $8, $9)
ON CONFLICT (operation, idempotency_key) DO UPDATE SET
    updated_at = clock_timestamp(),
    -- One that was given up is parked anew: nobody else would ever make the call.
    status = CASE c.status WHEN 'dead' THEN 'parked' ELSE c.status END,
    attempts = CASE c.status WHEN 'dead' THEN 0 ELSE c.attempts END,
    arguments = CASE c.status WHEN 'dead' THEN excluded.arguments ELSE c.arguments END,
    not_before = CASE c.status WHEN 'dead' THEN excluded.not_before ELSE c.not_before END
RETURNING call_id
"""

# The rows are chosen once, before the UPDATE: as a part of its join they could be chosen again, and
# more than the limit taken.
_TAKE = """
WITH due AS MATERIALIZED (
    SELECT d.call_id FROM {schema}.parked_calls d
    WHERE d.operation = ANY ($2) AND d.status <> 'dead' AND d.not_before <= clock_timestamp()
      AND (d.lease_until IS NULL OR d.lease_until <= clock_timestamp())
    ORDER BY d.not_before, d.call_id
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.parked_calls c
SET status = 'running', attempts = c.attempts + 1, worker_id = $1, lease_id = $5,
    lease_until = clock_timestamp() + make_interval(secs => $4), updated_at = clock_timestamp()
FROM due
WHERE c.call_id = due.call_id
RETURNING c.call_id, c.operation, c.arguments::text AS arguments, c.attempts
"""

_RENEW = """
UPDATE {schema}.parked_calls
SET lease_until = clock_timestamp() + make_interval(secs => $3)
WHERE call_id = $1 AND lease_id = $2 AND lease_until > clock_timestamp()
RETURNING call_id
"""

_DONE = """
DELETE FROM {schema}.parked_calls
WHERE call_id = $1 AND lease_id = $2 AND lease_until > clock_timestamp()
RETURNING call_id
"""

_FAILED = """
UPDATE {schema}.parked_calls
SET status = CASE WHEN $3 THEN 'dead' ELSE 'parked' END, error_type = $4, reason = $5,
    not_before = clock_timestamp() + make_interval(secs => $6), lease_id = NULL,
    lease_until = NULL, updated_at = clock_timestamp()
WHERE call_id = $1 AND lease_id = $2 AND lease_until > clock_timestamp()
RETURNING call_id
"""

_GIVE_BACK = """
UPDATE {schema}.parked_calls
SET status = 'parked', attempts = attempts - 1, lease_id = NULL, lease_until = NULL,
    updated_at = clock_timestamp()
WHERE call_id = $1 AND lease_id = $2
"""


class PostgresParkingStore:
    """The ``ParkingStore`` over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def park(self, call: ParkedCall) -> UUID:
        rows = await self._fetch(
            _PARK, call.call_id, call.operation, call.arguments, call.key,
            call.not_before_seconds, call.error_type, call.reason, call.pipeline_id, call.run_id,
        )  # fmt: skip
        return UUID(str(rows[0]["call_id"]))

    async def take(
        self, worker_id: str, operations: Sequence[str], limit: int, lease_seconds: float
    ) -> list[TakenCall]:
        lease_id = uuid7()
        rows = await self._fetch(_TAKE, worker_id, list(operations), limit, lease_seconds, lease_id)
        return [
            TakenCall(
                call_id=row["call_id"],
                lease_id=lease_id,
                operation=row["operation"],
                arguments=row["arguments"],
                attempts=row["attempts"],
            )
            for row in rows
        ]

    async def renew(self, call: TakenCall, lease_seconds: float) -> bool:
        return bool(await self._fetch(_RENEW, call.call_id, call.lease_id, lease_seconds))

    async def done(self, call: TakenCall) -> bool:
        return bool(await self._fetch(_DONE, call.call_id, call.lease_id))

    async def failed(
        self,
        call: TakenCall,
        not_before_seconds: float,
        error_type: str,
        reason: str,
        *,
        dead: bool,
    ) -> bool:
        return bool(
            await self._fetch(
                _FAILED, call.call_id, call.lease_id, dead, error_type, reason, not_before_seconds
            )
        )

    async def give_back(self, call: TakenCall) -> None:
        await self._fetch(_GIVE_BACK, call.call_id, call.lease_id)

    async def _fetch(self, query: str, *args: object) -> Any:
        async with self._database.acquire() as connection:
            return await connection.fetch(in_schema(query, self._database.schema), *args)
