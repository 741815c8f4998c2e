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

_TIMELINE = """
SELECT * FROM (
    SELECT c.step, c.partition, h.saved_at, h.read_count, h.write_count, h.skip_count,
           h.batch_count, h.retry_count
    FROM {schema}.checkpoints c JOIN {schema}.checkpoint_history h USING (checkpoint_id)
    WHERE c.run_id = $1
    UNION ALL
    SELECT step, partition, updated_at, read_count, write_count, skip_count, batch_count,
           retry_count
    FROM {schema}.checkpoints WHERE run_id = $1
    UNION ALL
    SELECT step, partition, created_at, 0, 0, 0, 0, 0 FROM {schema}.checkpoints WHERE run_id = $1
    ORDER BY saved_at DESC LIMIT 2000
) AS latest ORDER BY saved_at, read_count
"""

# By the run's own index, a bounded number; of more than that, some.
_RETRIES = """
SELECT * FROM (
    SELECT attempt_id, occurred_at, step, operation, attempt, error_type, exception_type, message,
           wait_seconds, outcome, stop_reason
    FROM {schema}.retry_attempts WHERE run_id = $1 LIMIT 5000
) AS found ORDER BY attempt_id DESC LIMIT $2
"""

_STUCK = """
SELECT run_id, pipeline_id, started_at, host, pid,
       extract(epoch FROM clock_timestamp() - saved_at)::float8 AS quiet_seconds
FROM (
    SELECT r.run_id, r.pipeline_id, r.started_at, r.host, r.pid, /* status */ AS status_now,
        greatest(r.started_at, (
            SELECT max(c.updated_at) FROM {schema}.checkpoints c WHERE c.run_id = r.run_id
        )) AS saved_at
    FROM {schema}.runs r WHERE r.status = 'running'
) AS working
WHERE status_now = 'running' AND saved_at < clock_timestamp() - make_interval(secs => $1)
ORDER BY saved_at LIMIT $2
""".replace("/* status */", STATUS_NOW)

# From name to name over the index, whatever the number of runs.
_PIPELINES = """
WITH RECURSIVE named AS (
    (SELECT pipeline_id FROM {schema}.runs ORDER BY pipeline_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT r.pipeline_id FROM {schema}.runs r WHERE r.pipeline_id > n.pipeline_id
        ORDER BY r.pipeline_id LIMIT 1
    ) FROM named n WHERE n.pipeline_id IS NOT NULL
), working AS (
    SELECT pipeline_id, count(*) AS running FROM {schema}.runs WHERE status = 'running' GROUP BY 1
)
SELECT n.pipeline_id, r.run_id, /* status */ AS status, r.started_at, r.ended_at,
       coalesce(w.running, 0) AS running
FROM named n
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.runs r WHERE r.pipeline_id = n.pipeline_id
    ORDER BY r.started_at DESC LIMIT 1
) AS r
LEFT JOIN working w ON w.pipeline_id = n.pipeline_id
ORDER BY n.pipeline_id LIMIT $1
""".replace("/* status */", STATUS_NOW)


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


async def timeline(connection: Any, schema: str, run_id: str) -> list[dict[str, Any]]:
    """Saved states of a run's streaming steps, oldest first: those kept, and the present ones."""
    return [dict(row) for row in await connection.fetch(in_schema(_TIMELINE, schema), run_id)]


async def retries(
    connection: Any, schema: str, run_id: str, limit: int = 200
) -> list[dict[str, Any]]:
    """What was retried in a run, the latest first; of more than 5,000, some."""
    query = in_schema(_RETRIES, schema)
    return [dict(row) for row in await connection.fetch(query, run_id, limit)]


async def stuck(
    connection: Any, schema: str, seconds: float = 900.0, limit: int = 50
) -> list[dict[str, Any]]:
    """Runs that are at work and have saved nothing for ``seconds``; ``quiet_seconds`` since."""
    query = in_schema(_STUCK, schema)
    return [dict(row) for row in await connection.fetch(query, seconds, limit)]


async def pipelines(connection: Any, schema: str, limit: int = 200) -> list[dict[str, Any]]:
    """Every pipeline with its last run, and how many are at work."""
    return [dict(row) for row in await connection.fetch(in_schema(_PIPELINES, schema), limit)]
