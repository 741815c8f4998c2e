"""The fleet's breakers as people look at them."""

from typing import Any

from seawall.postgres.names import in_schema

_BREAKERS = """
SELECT service_name, state, reason, updated_at, opened_count, epoch,
       CASE WHEN state = 'open'
            THEN greatest(0, extract(epoch FROM open_until - clock_timestamp()))::float8
       END AS open_seconds
FROM {schema}.circuit_breaker_states ORDER BY service_name
"""

_TRANSITIONS = """
SELECT service_name, from_state, to_state, epoch, reason, host, pid, occurred_at
FROM {schema}.circuit_breaker_transitions
WHERE $1::text IS NULL OR service_name = $1
ORDER BY transition_id DESC LIMIT $2
"""


async def breakers(connection: Any, schema: str) -> list[dict[str, Any]]:
    """All breakers, by name; ``open_seconds``: how long an open one stays so."""
    return [dict(row) for row in await connection.fetch(in_schema(_BREAKERS, schema))]


async def transitions(
    connection: Any, schema: str, service_name: str | None, limit: int
) -> list[dict[str, Any]]:
    """What breakers did, the latest first."""
    query = in_schema(_TRANSITIONS, schema)
    return [dict(row) for row in await connection.fetch(query, service_name, limit)]
