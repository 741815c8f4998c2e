"""Error budgets as people look at them."""

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


async def burn_down(
    connection: Any, schema: str, pipeline_id: str, days: float, sli: str
) -> list[dict[str, Any]]:
    """Good and bad outcomes by day (UTC), the oldest first; days without any are not there."""
    rows = await connection.fetch(in_schema(_BURN_DOWN, schema), pipeline_id, days, sli)
    return [dict(row) for row in rows]
