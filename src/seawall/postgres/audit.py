"""What was done by hand, as rows of ``audit_log``: only ever added."""

from collections.abc import Mapping
from typing import Any

import msgspec

from seawall.clock import uuid7
from seawall.postgres.names import in_schema
from seawall.text import storable

_WRITE = """
INSERT INTO {schema}.audit_log (audit_id, actor, action, subject, reason, details)
VALUES ($1, $2, $3, $4, $5, $6::text::json)
"""


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
        msgspec.json.encode(details).decode(),
    )
