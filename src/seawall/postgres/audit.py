"""What was done by hand, as rows of ``audit_log``: only ever added."""

from collections.abc import Mapping
from typing import Any

import msgspec

from seawall.clock import uuid7
from seawall.postgres import change_store
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.text import storable

_WRITE = """
INSERT INTO {schema}.audit_log (audit_id, actor, action, subject, reason, details)
VALUES ($1, $2, $3, $4, $5, $6::text::json)
"""


_LIST = """
SELECT audit_id, acted_at, actor, action, subject, reason, details::text AS details
FROM {schema}.audit_log
WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR subject = $2)
ORDER BY acted_at DESC LIMIT $3
"""


async def latest(
    connection: Any, schema: str, *, actor: str | None, subject: str | None, limit: int
) -> list[dict[str, Any]]:
    """Lines, the latest first."""
    rows = await connection.fetch(in_schema(_LIST, schema), actor, subject, limit)
    return [dict(row) for row in rows]


async def record(
    database: Database,
    *,
    actor: str,
    action: str,
    subject: str,
    reason: str,
    details: Mapping[str, object],
) -> None:
    """Add one line, committed when this returns."""
    async with database.acquire() as connection, connection.transaction():
        await write(
            connection,
            database.schema,
            actor=actor,
            action=action,
            subject=subject,
            reason=reason,
            details=details,
        )


async def write(
    connection: Any,
    schema: str,
    *,
    actor: str,
    action: str,
    subject: str,
    reason: str,
    details: Mapping[str, object],
) -> None:
    """Add one line, in the connection's transaction."""
    await connection.execute(
        in_schema(_WRITE, schema),
        uuid7(),
        storable(actor),
        action,
        storable(subject),
        storable(reason),
        msgspec.json.encode(details, enc_hook=str).decode(),
    )
    await change_store.tell(connection, schema, "audit")
