"""Quarantined records as people look at them who may see no payload.

Only columns that the reader role has (``sql/roles.sql``): no payload, nor the reasons, which quote
it.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

from seawall.postgres.names import in_schema
from seawall.postgres.record_filter import filtered
from seawall.postgres.reports import WINDOW, Page, page_of
from seawall.quarantine import codec
from seawall.quarantine.record import RecordFilter

_COLUMNS = """
record_id, quarantine_id, run_id, pipeline_id, step, partition, batch_id, redacted, error_type,
reason, sqlstate, constraint_name, column_name, exception_type, status, attempts, quarantined_at,
updated_at, position
"""
_SHOWN = _COLUMNS.replace("position", "position::text AS position")

# The run's records have an index of their own; all others are walked through by their key.
_WALK = f"""
FROM (
    SELECT {_COLUMNS} FROM {{schema}}.quarantined_records
    WHERE record_id < $1 AND {{of_run}} ORDER BY record_id DESC LIMIT $3
) AS walked
"""
_PAGE = f"SELECT {_SHOWN} {_WALK} WHERE {{which}} ORDER BY record_id DESC LIMIT $4"

_END = """
SELECT record_id FROM {schema}.quarantined_records
WHERE record_id < $1 AND {of_run} ORDER BY record_id DESC LIMIT 1 OFFSET $3
"""

_LAST = UUID(int=2**128 - 1)  # no UUIDv7

_ONE = f"SELECT {_SHOWN} FROM {{schema}}.quarantined_records WHERE record_id = $1"

_ATTEMPTS = """
SELECT outcome, attempted_at, actor, error_type, exception_type, message, sqlstate
FROM {schema}.quarantine_attempts WHERE record_id = $1
ORDER BY attempted_at, attempt_id LIMIT 1000
"""

_EDITS = """
SELECT actor, why, edited_at FROM {schema}.quarantine_edits WHERE record_id = $1
ORDER BY edited_at, edit_id LIMIT 1000
"""

_STANDING = """
SELECT pipeline_id, sum(set_aside - settled)::bigint AS open,
    coalesce(sum(set_aside) FILTER (WHERE counted_on = today.day), 0)::bigint AS set_aside_today,
    coalesce(sum(settled) FILTER (WHERE counted_on = today.day), 0)::bigint AS settled_today
FROM {schema}.quarantine_counts, (SELECT (now() AT TIME ZONE 'UTC')::date AS day) AS today
GROUP BY pipeline_id ORDER BY open DESC, pipeline_id LIMIT 1000
"""

_REASONS = """
SELECT pipeline_id, reason, sum(set_aside - settled)::bigint AS open,
    sum(set_aside)::bigint AS set_aside
FROM {schema}.quarantine_counts WHERE $1::text IS NULL OR pipeline_id = $1
GROUP BY pipeline_id, reason HAVING sum(set_aside) > 0
ORDER BY open DESC, set_aside DESC, pipeline_id, reason LIMIT $2
"""

_DAILY = """
SELECT counted_on AS day, sum(set_aside)::bigint AS set_aside, sum(settled)::bigint AS settled
FROM {schema}.quarantine_counts
WHERE ($1::text IS NULL OR pipeline_id = $1)
  AND counted_on > (now() AT TIME ZONE 'UTC')::date - $2::int
GROUP BY 1 ORDER BY 1
"""


async def page(
    connection: Any,
    schema: str,
    which: RecordFilter,
    *,
    before: UUID | None = None,
    limit: int = 50,
) -> Page:
    """Records, the latest first, walking through at most ``WINDOW`` of them."""
    run_id, rest, before = which.run_id, replace(which, run_id=None), before or _LAST
    # A condition that may mean nothing would keep the server from its index.
    walk, end_of = (
        query.replace("{of_run}", "$2::text IS NULL" if run_id is None else "run_id = $2")
        for query in (_PAGE, _END)
    )
    query, arguments = filtered(walk, schema, rest, before, run_id, WINDOW, limit + 1)
    rows = [_row(row) for row in await connection.fetch(query, *arguments)]
    end = None
    if len(rows) <= limit:
        end = await connection.fetchval(in_schema(end_of, schema), before, run_id, WINDOW - 1)
    return page_of(rows, "record_id", limit, end)


async def one(connection: Any, schema: str, record_id: UUID) -> dict[str, Any] | None:
    """One record; None where there is none."""
    row = await connection.fetchrow(in_schema(_ONE, schema), record_id)
    return None if row is None else _row(row)


async def attempts(connection: Any, schema: str, record_id: UUID) -> list[dict[str, Any]]:
    """What was tried with a record, oldest first."""
    return [dict(row) for row in await connection.fetch(in_schema(_ATTEMPTS, schema), record_id)]


async def edits(connection: Any, schema: str, record_id: UUID) -> list[dict[str, Any]]:
    """Who changed a record, and why, oldest first."""
    return [dict(row) for row in await connection.fetch(in_schema(_EDITS, schema), record_id)]


async def standing(connection: Any, schema: str) -> list[dict[str, Any]]:
    """Each pipeline's open records, and today's, from the counts that are kept."""
    return [dict(row) for row in await connection.fetch(in_schema(_STANDING, schema))]


async def reasons(
    connection: Any, schema: str, pipeline_id: str | None, limit: int = 100
) -> list[dict[str, Any]]:
    """Reasons (their first 200 characters), those with the most open records first."""
    query = in_schema(_REASONS, schema)
    return [dict(row) for row in await connection.fetch(query, pipeline_id, limit)]


async def daily(
    connection: Any, schema: str, pipeline_id: str | None, days: int
) -> list[dict[str, Any]]:
    """Records set aside and settled by day (UTC), oldest first."""
    query = in_schema(_DAILY, schema)
    return [dict(row) for row in await connection.fetch(query, pipeline_id, days)]


def _row(row: Any) -> dict[str, Any]:
    found = dict(row)
    position = found["position"]
    found["position"] = None if position is None else codec.decode(position)
    return found
