"""Error budgets as people look at them."""

from collections.abc import Mapping, Sequence
from typing import Any

from seawall.postgres.names import in_schema

# Each count stands in minutes or in hours, never in both.
_BURN_DOWN = """
SELECT (at AT TIME ZONE 'UTC')::date AS day,
    sum(CASE $3 WHEN 'rows' THEN good_rows ELSE good_runs END)::bigint AS good,
    sum(CASE $3 WHEN 'rows' THEN bad_rows ELSE bad_runs END)::bigint AS bad
FROM (
    SELECT minute AS at, good_runs, bad_runs, good_rows, bad_rows
    FROM {schema}.error_budget WHERE pipeline_id = $1
    UNION ALL
    SELECT hour, good_runs, bad_runs, good_rows, bad_rows
    FROM {schema}.error_budget_hours WHERE pipeline_id = $1
) AS counts
WHERE at > now() - $2::float8 * interval '1 day'
GROUP BY 1 ORDER BY 1
"""

_STANDING = """
SELECT s.pipeline_id, sum(s.good_runs)::bigint AS good, sum(s.bad_runs)::bigint AS bad,
       max(o.objective) AS objective, max(e.exhausted_at) AS exhausted_at
FROM (
    SELECT pipeline_id, minute AS at, good_runs, bad_runs FROM {schema}.error_budget
    UNION ALL
    SELECT pipeline_id, hour, good_runs, bad_runs FROM {schema}.error_budget_hours
) AS s
LEFT JOIN {schema}.error_budget_objectives o ON o.pipeline_id = s.pipeline_id AND o.sli = 'runs'
LEFT JOIN {schema}.error_budget_exhausted e ON e.pipeline_id = s.pipeline_id AND e.sli = 'runs'
WHERE s.at > greatest(now() - $1::float8 * interval '1 day', coalesce(o.counted_from, '-infinity'))
GROUP BY s.pipeline_id ORDER BY s.pipeline_id LIMIT 1000
"""


async def burn_down(
    connection: Any, schema: str, pipeline_id: str, days: float, sli: str
) -> list[dict[str, Any]]:
    """Good and bad outcomes by day (UTC), the oldest first; days without any are not there."""
    rows = await connection.fetch(in_schema(_BURN_DOWN, schema), pipeline_id, days, sli)
    return [dict(row) for row in rows]


async def standing(connection: Any, schema: str, days: float) -> list[dict[str, Any]]:
    """Every pipeline's good and bad runs; ``objective`` is None where none was set by a call."""
    return [dict(row) for row in await connection.fetch(in_schema(_STANDING, schema), days)]


def remaining(days: Sequence[Mapping[str, Any]], objective: float) -> list[float]:
    """Which share of the whole window's budget was left after each day; below 0 is 0."""
    total = sum(each["good"] + each["bad"] for each in days)
    room = total * (1 - objective)
    left, spent = [], 0
    for each in days:
        spent += each["bad"]
        left.append(max(0.0, 1 - spent / room) if room else 1.0)
    return left
