"""Runs as people look at them: lists and one run whole; nothing is locked or changed."""

from typing import Any

from seawall.postgres.names import in_schema
from seawall.postgres.run_store import STATUS_NOW
from seawall.quarantine import codec

_RUNS = """
SELECT run_id, pipeline_id, status, started_at, ended_at, start_count, release, host, pid,
       error_type, error_message,
       extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at)::float8 AS seconds
FROM (
    SELECT run_id, pipeline_id, /* status */ AS status, started_at, ended_at, start_count, release,
           host, pid, error_type, error_message
    FROM {schema}.runs r
    WHERE ($1::text IS NULL OR pipeline_id = $1)
      AND ($2::text IS NULL OR r.status IN ($2, 'running'))
    ORDER BY started_at DESC
) AS shown
WHERE $2::text IS NULL OR status = $2
LIMIT $3
""".replace("/* status */", STATUS_NOW)

_RUN = """
SELECT run_id, pipeline_id, /* status */ AS status, started_at, ended_at, start_count, release,
       host, pid, error_type, error_message, tags::text AS tags,
       extract(epoch FROM coalesce(ended_at, clock_timestamp()) - started_at)::float8 AS seconds
FROM {schema}.runs r WHERE run_id = $1
""".replace("/* status */", STATUS_NOW)

_CHECKPOINTS = """
SELECT c.step, c.partition, c.status, c.position::text AS position, c.read_count, c.write_count,
       c.skip_count, c.batch_count, c.retry_count, c.start_count, c.updated_at, c.created_at,
       l.owner, l.lease_until > clock_timestamp() AS held
FROM {schema}.checkpoints c LEFT JOIN {schema}.checkpoint_leases l USING (checkpoint_id)
WHERE c.run_id = $1 ORDER BY c.created_at, c.step, c.partition LIMIT 1000
"""

_STEPS = """
SELECT step, status, attempts, function, error_type, error_message, created_at, updated_at
FROM {schema}.run_steps WHERE run_id = $1 ORDER BY created_at LIMIT 1000
"""


async def runs(
    connection: Any, schema: str, pipeline_id: str | None, status: str | None, limit: int
) -> list[dict[str, Any]]:
    """Runs, the latest first, with their status as it is now."""
    rows = await connection.fetch(in_schema(_RUNS, schema), pipeline_id, status, limit)
    return [dict(row) for row in rows]


async def run(connection: Any, schema: str, run_id: str) -> dict[str, Any] | None:
    """One run, with ``checkpoints`` and ``steps``; None where there is none."""
    row = await connection.fetchrow(in_schema(_RUN, schema), run_id)
    if row is None:
        return None
    return {
        **dict(row),
        "checkpoints": await checkpoints(connection, schema, run_id),
        "steps": [dict(each) for each in await connection.fetch(in_schema(_STEPS, schema), run_id)],
    }


async def checkpoints(connection: Any, schema: str, run_id: str) -> list[dict[str, Any]]:
    """A run's streaming steps with their positions."""
    rows = [dict(row) for row in await connection.fetch(in_schema(_CHECKPOINTS, schema), run_id)]
    for row in rows:
        row["position"] = None if row["position"] is None else codec.decode(row["position"])
    return rows
