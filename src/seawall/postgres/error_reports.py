"""Rows of ``error_details`` as people look at them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from seawall.postgres.names import in_schema
from seawall.postgres.partitions import uuid7_floor as floor_of

__all__ = ["Which", "floor_of", "later", "latest", "one"]

_SHOWN = """
SELECT error_id, occurred_at, error_type, pipeline_id, run_id, step, operation, exception_type,
       message, host, sqlstate
FROM {schema}.error_details
"""

_LATEST = f"""{_SHOWN}
WHERE error_id >= $1 AND ($2::text IS NULL OR pipeline_id = $2)
  AND ($3::text IS NULL OR run_id = $3)
ORDER BY error_id DESC LIMIT $4
"""

_LATER = f"""{_SHOWN}
WHERE error_id > $1 AND ($2::text IS NULL OR pipeline_id = $2)
  AND ($3::text IS NULL OR run_id = $3)
ORDER BY error_id LIMIT 1000
"""

_ONE = """
SELECT error_id, occurred_at, error_type, exception_type, message, pipeline_id, run_id, step,
       operation, attempt, sqlstate, fingerprint, host, pid, release, context::text AS context,
       traceback
FROM {schema}.error_details WHERE error_id = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which errors; None: any."""

    pipeline_id: str | None = None
    run_id: str | None = None


async def latest(
    connection: Any, schema: str, which: Which, since: UUID, limit: int
) -> list[dict[str, Any]]:
    """Errors from the key ``since`` on, the latest first."""
    query = in_schema(_LATEST, schema)
    rows = await connection.fetch(query, since, which.pipeline_id, which.run_id, limit)
    return [dict(row) for row in rows]


async def later(connection: Any, schema: str, which: Which, after: UUID) -> list[dict[str, Any]]:
    """Errors behind a key, the earliest first."""
    query = in_schema(_LATER, schema)
    return [
        dict(row) for row in await connection.fetch(query, after, which.pipeline_id, which.run_id)
    ]


async def one(connection: Any, schema: str, error_id: UUID) -> dict[str, Any] | None:
    """All that is known of one; None where there is none."""
    row = await connection.fetchrow(in_schema(_ONE, schema), error_id)
    return None if row is None else dict(row)
