"""Rows of ``error_details`` as people look at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from seawall.postgres.names import in_schema
from seawall.postgres.partitions import uuid7_floor as floor_of
from seawall.postgres.reports import WINDOW, Page, literal, page_of

__all__ = ["Which", "by_ids", "daily", "floor_of", "later", "latest", "one", "page"]

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

# Only what is asked stands in the query: the server plans for just that. What has an index bounds
# the walk, the rest is looked for in it.
_WALKED = {
    "before": "error_id < {}",
    "since": "error_id >= {}",
    "until": "error_id < {}",
    "pipeline_id": "pipeline_id = {}",
}
_SOUGHT = {
    "run_id": "run_id = {}",
    "error_type": "error_type = {}",
    "text": "message ILIKE {}",
}

_WALK = """
SELECT * FROM {schema}.error_details WHERE {walked} ORDER BY error_id DESC LIMIT $1
"""

_PAGE = f"""
SELECT error_id, occurred_at, error_type, pipeline_id, run_id, step, operation, exception_type,
       message, host, sqlstate
FROM ({_WALK}) AS walked WHERE {{sought}} ORDER BY error_id DESC LIMIT $2
"""

_END = """
SELECT error_id FROM {schema}.error_details WHERE {walked}
ORDER BY error_id DESC LIMIT 1 OFFSET $1 - 1
"""

# A run with few errors has them all by its own index, wherever they stand among the others'.
_FEW = f"""
SELECT * FROM ({_SHOWN} WHERE run_id = $1 LIMIT $2) AS few ORDER BY error_id DESC
"""
_MOST_OF_FEW = 1_000

_RUN_TIME = """
SELECT pipeline_id, started_at, coalesce(ended_at, clock_timestamp()) AS ended_at
FROM {schema}.runs WHERE run_id = $1
"""

_BY_IDS = f"{_SHOWN} WHERE error_id = ANY($1::uuid[]) ORDER BY error_id DESC"

# From the roll-ups of the error patterns: as quick at ten million errors as at ten.
_DAILY = """
SELECT c.day, p.error_type, sum(c.from_00 + c.from_06 + c.from_12 + c.from_18)::bigint AS errors
FROM {schema}.error_pattern_counts c JOIN {schema}.error_patterns p USING (pattern_id)
WHERE c.pipeline_id = $1 AND c.day > (now() AT TIME ZONE 'UTC')::date - $2::int
GROUP BY 1, 2 ORDER BY 1, 2
"""
_ALL = "<all>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which errors; None: any.

    Attributes:
        text: what the message contains, in whatever case.
    """

    pipeline_id: str | None = None
    run_id: str | None = None
    error_type: str | None = None
    text: str | None = None


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


async def by_ids(connection: Any, schema: str, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """Those errors that are there, the latest first."""
    return [dict(row) for row in await connection.fetch(in_schema(_BY_IDS, schema), ids)]


async def daily(
    connection: Any, schema: str, pipeline_id: str | None, days: int
) -> list[dict[str, Any]]:
    """Errors by day (UTC) and type, oldest first, as the workers had counted them a while ago."""
    query = in_schema(_DAILY, schema)
    rows = await connection.fetch(query, _ALL if pipeline_id is None else pipeline_id, days)
    return [dict(row) for row in rows]


async def page(
    connection: Any, schema: str, which: Which, *, before: UUID | None = None, limit: int = 50
) -> Page:
    """Errors, the latest first, walking through at most ``WINDOW`` of them."""
    walked: dict[str, Any] = {"before": before, "pipeline_id": which.pipeline_id}
    if which.run_id is not None:
        few = await connection.fetch(in_schema(_FEW, schema), which.run_id, _MOST_OF_FEW)
        if len(few) < _MOST_OF_FEW:
            rows = [dict(row) for row in few if _is_sought(row, which, before)]
            return page_of(rows[: limit + 1], "error_id", limit, None)
        walked |= await _time_of(connection, schema, which)
    sought = {
        "run_id": which.run_id,
        "error_type": which.error_type,
        "text": None if which.text is None else literal(which.text),
    }
    query, arguments = _filled(_PAGE, (walked, sought), WINDOW, limit + 1)
    rows = [dict(row) for row in await connection.fetch(in_schema(query, schema), *arguments)]
    end = None
    if len(rows) <= limit:
        query, arguments = _filled(_END, (walked, {}), WINDOW)
        end = await connection.fetchval(in_schema(query, schema), *arguments)
    return page_of(rows, "error_id", limit, end)


def _is_sought(row: Any, which: Which, before: UUID | None) -> bool:
    return (
        (before is None or row["error_id"] < before)
        and which.pipeline_id in (None, row["pipeline_id"])
        and which.error_type in (None, row["error_type"])
        and (which.text is None or which.text.casefold() in row["message"].casefold())
    )


async def _time_of(connection: Any, schema: str, which: Which) -> dict[str, Any]:
    """Where the errors of a run with many stand, by its times; a worker's clock may be off."""
    row = await connection.fetchrow(in_schema(_RUN_TIME, schema), which.run_id)
    if row is None:
        return {}
    hour = timedelta(hours=1)
    return {
        "pipeline_id": which.pipeline_id or row["pipeline_id"],
        "since": floor_of(row["started_at"] - hour),
        "until": floor_of(row["ended_at"] + hour),
    }


def _filled(
    query: str, asked: tuple[dict[str, Any], dict[str, Any]], *values: Any
) -> tuple[str, list[Any]]:
    """The query with its conditions, and its arguments."""
    arguments = list(values)
    for name, clauses, given in zip(("walked", "sought"), (_WALKED, _SOUGHT), asked, strict=True):
        found = []
        for key, value in given.items():
            if value is not None:
                arguments.append(value)
                found.append(clauses[key].format(f"${len(arguments)}"))
        query = query.replace(f"{{{name}}}", " AND ".join(found) or "true")
    return query, arguments
