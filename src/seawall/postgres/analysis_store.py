"""Failure counts as rows of ``failure_slots`` and ``failure_analysis``."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from seawall.analysis.store import (
    RUNS,
    WORK,
    Bucket,
    BudgetUse,
    Delta,
    Outage,
    Reading,
    RunHistory,
    Series,
    ToldChange,
    ValueCount,
)
from seawall.budget.counts import Sli
from seawall.budget.objective import Objectives
from seawall.postgres.budget_store import PostgresBudgetStore
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.postgres.partitions import uuid7_floor
from seawall.text import recordable

_KEPT_DAYS = 100
_VALUES_AN_HOUR = 20
_LONGEST_VALUE = 400
_DAY_SECONDS = 86_400.0

# In the order of the key, so that two workers never wait for each other's rows in a circle.
_ADD = """
INSERT INTO {schema}.failure_slots AS s (pipeline_id, slot, dimension, value, failures, successes)
SELECT pipeline_id, slot, dimension, value, sum(failures), sum(successes)
FROM (
    SELECT pipeline_id, dimension, value, failures, successes,
        date_bin('5 minutes', clock_timestamp() - age * interval '1 s', 'epoch') AS slot
    FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::bigint[], $6::bigint[])
        AS d (pipeline_id, dimension, value, age, failures, successes)
) AS dated
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (pipeline_id, slot, dimension, value) DO UPDATE SET
    failures = s.failures + excluded.failures, successes = s.successes + excluded.successes
"""

# Whole hours; of each attribute the values that failed most, the others as one.
_FOLD = """
WITH old AS (
    DELETE FROM {schema}.failure_slots
    WHERE slot < date_bin('1 hour', clock_timestamp() - interval '26 hours', 'epoch')
    RETURNING *
), hours AS (
    SELECT pipeline_id, date_bin('1 hour', slot, 'epoch') AS hour, dimension, value,
        sum(failures) AS failures, sum(successes) AS successes
    FROM old GROUP BY 1, 2, 3, 4
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY pipeline_id, hour, dimension ORDER BY failures DESC, successes DESC, value
    ) AS place
    FROM hours
)
INSERT INTO {schema}.failure_analysis AS a
    (pipeline_id, hour, dimension, value, failures, successes)
SELECT pipeline_id, hour, dimension, CASE WHEN place <= $1 THEN value ELSE '(other)' END,
    sum(failures), sum(successes)
FROM ranked GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (pipeline_id, hour, dimension, value) DO UPDATE SET
    failures = a.failures + excluded.failures, successes = a.successes + excluded.successes
"""
# Hours matter for the totals only (seasons, changes); attributes older than a week need days.
_FOLD_DAYS = """
WITH old AS (
    DELETE FROM {schema}.failure_analysis
    WHERE hour < date_bin('1 day', clock_timestamp() - interval '8 days', 'epoch')
      AND value <> '' AND hour <> date_bin('1 day', hour, 'epoch')
    RETURNING *
)
INSERT INTO {schema}.failure_analysis AS a
    (pipeline_id, hour, dimension, value, failures, successes)
SELECT pipeline_id, date_bin('1 day', hour, 'epoch'), dimension, value, sum(failures),
    sum(successes)
FROM old GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (pipeline_id, hour, dimension, value) DO UPDATE SET
    failures = a.failures + excluded.failures, successes = a.successes + excluded.successes
"""
_PRUNE = """
DELETE FROM {schema}.failure_analysis WHERE hour < clock_timestamp() - $1::int * interval '1 day'
"""
_PRUNE_CHANGES = """
DELETE FROM {schema}.failure_changes
WHERE began_at < clock_timestamp() - $1::int * interval '1 day'
"""

_SERIES = """
SELECT hour AS start, failures, failures + successes AS total FROM {schema}.failure_analysis
WHERE pipeline_id = $1 AND dimension = $2 AND value = ''
  AND hour >= now() - $3::int * interval '1 day'
UNION ALL
SELECT slot, failures, failures + successes FROM {schema}.failure_slots
WHERE pipeline_id = $1 AND dimension = $2 AND value = ''
  AND slot >= now() - $3::int * interval '1 day'
ORDER BY 1
"""

_VALUES = """
SELECT dimension, value,
    coalesce(sum(failures) FILTER (WHERE start >= $3 AND start < $4), 0)::bigint AS failures,
    coalesce(sum(total) FILTER (WHERE start >= $3 AND start < $4), 0)::bigint AS total,
    coalesce(sum(failures) FILTER (WHERE start < $3), 0)::bigint AS failures_before,
    coalesce(sum(total) FILTER (WHERE start < $3), 0)::bigint AS total_before,
    min(start) AS first_seen
FROM (
    SELECT dimension, value, hour AS start, failures, failures + successes AS total
    FROM {schema}.failure_analysis
    WHERE pipeline_id = $1 AND hour >= now() - $2::int * interval '1 day' AND value <> ''
    UNION ALL
    SELECT dimension, value, slot, failures, failures + successes FROM {schema}.failure_slots
    WHERE pipeline_id = $1 AND slot >= now() - $2::int * interval '1 day' AND value <> ''
) AS counts
GROUP BY 1, 2
"""

# Where good and bad ends follow each other, an outage begins or is over.
_EDGES = """
WITH ends AS (
    SELECT ended_at, status <> 'succeeded' AS bad,
        lag(status <> 'succeeded') OVER (ORDER BY ended_at) AS bad_before
    FROM {schema}.runs
    WHERE pipeline_id = $1 AND started_at >= now() - $2::int * interval '1 day'
      AND status IN ('succeeded', 'failed', 'abandoned') AND ended_at IS NOT NULL
)
SELECT count(*) OVER () AS edges, ended_at, bad, totals.*
FROM ends CROSS JOIN (
    SELECT count(*) AS runs, count(*) FILTER (WHERE bad) AS failed_runs,
        extract(epoch FROM now() - min(ended_at))::float8 AS observed
    FROM ends
) AS totals
WHERE bad IS DISTINCT FROM bad_before
ORDER BY ended_at
"""

_DISKS = """
SELECT host, disk_path, extract(epoch FROM
        date_bin('10 minutes', sampled_at, 'epoch') - now())::float8 AS at,
    max(disk_percent) AS used
FROM {schema}.system_health
WHERE sample_id >= $1 AND disk_percent IS NOT NULL
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

_QUARANTINE = """
SELECT extract(epoch FROM (counted_on::timestamp AT TIME ZONE 'UTC') - now())::float8 AS at,
    sum(sum(set_aside - settled)) OVER (ORDER BY counted_on)::float8 AS used
FROM {schema}.quarantine_counts WHERE pipeline_id = $1
GROUP BY counted_on ORDER BY counted_on
"""

_FAILING = """
SELECT DISTINCT pipeline_id FROM {schema}.failure_slots
WHERE slot >= now() - interval '1 day' AND value = '' AND failures > 0
"""

_TELL = """
INSERT INTO {schema}.failure_changes (
    pipeline_id, began_at, detected_at, failures_before, total_before, failures_after, total_after,
    subject
)
SELECT $1, $2, $3, $4, $5, $6, $7, $8
WHERE NOT EXISTS (
    SELECT FROM {schema}.failure_changes WHERE pipeline_id = $1 AND (
        detected_at >= $2
        OR ($8 <> '' AND subject = $8 AND told_at > clock_timestamp() - interval '1 day')
    )
)
ON CONFLICT (pipeline_id, began_at, subject) DO NOTHING
RETURNING 1
"""


class PostgresAnalysisStore:
    """Implements ``AnalysisStore``: five minutes for a day, then hours, for 100 days.

    Counts of single values are of days after the eighth.
    """

    def __init__(self, database: Database, objectives: Objectives | None = None) -> None:
        self._database = database
        self._budgets, self._objectives = PostgresBudgetStore(database), objectives or Objectives()

    def _of(self, query: str) -> str:
        return in_schema(query, self._database.schema)

    async def add(self, deltas: Sequence[Delta]) -> None:
        """Add counts to those of their five minutes."""
        async with self._database.acquire() as connection:
            await connection.execute(
                self._of(_ADD),
                [each.pipeline_id for each in deltas],
                [each.dimension for each in deltas],
                [recordable(each.value[:_LONGEST_VALUE]) for each in deltas],
                [each.age_seconds for each in deltas],
                [each.failures for each in deltas],
                [each.successes for each in deltas],
            )

    async def fold(self) -> None:
        """Turn what is older than a day into hours; delete what is older than 100 days."""
        async with self._database.acquire() as connection:
            await connection.execute(self._of(_FOLD), _VALUES_AN_HOUR)
            await connection.execute(self._of(_FOLD_DAYS))
            await connection.execute(self._of(_PRUNE), _KEPT_DAYS)
            await connection.execute(self._of(_PRUNE_CHANGES), _KEPT_DAYS)

    async def series(self, pipeline_id: str, days: int) -> Series:
        """The counts of the last ``days``, and the database's time."""
        query = self._of(_SERIES)
        async with self._database.acquire() as connection:
            now = await connection.fetchval("SELECT clock_timestamp()")
            work = await connection.fetch(query, pipeline_id, WORK, days)
            runs = await connection.fetch(query, pipeline_id, RUNS, days)
        return Series(now, [Bucket(*row) for row in work], [Bucket(*row) for row in runs])

    async def values(
        self, pipeline_id: str, days: int, since: datetime, until: datetime
    ) -> list[ValueCount]:
        """Each value's counts in the window, and before it."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._of(_VALUES), pipeline_id, days, since, until)
        return [ValueCount(*row) for row in rows]

    async def runs(self, pipeline_id: str, days: int) -> RunHistory:
        """How runs ended, and where good ends and bad ones follow each other."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._of(_EDGES), pipeline_id, days)
        if not rows:
            return RunHistory(0, 0, 0.0, [])
        outages = [
            Outage(row["ended_at"], rows[n + 1]["ended_at"] if n + 1 < len(rows) else None)
            for n, row in enumerate(rows)
            if row["bad"]
        ]
        first = rows[0]
        return RunHistory(first["runs"], first["failed_runs"], first["observed"], outages)

    async def disks(self) -> list[Reading]:
        """Each disk's use over the last day, by ten minutes."""
        async with self._database.acquire() as connection:
            now = await connection.fetchval("SELECT clock_timestamp()")
            day = uuid7_floor(now - timedelta(days=1))
            rows = await connection.fetch(self._of(_DISKS), day)
        points: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            name = f"disk {row['disk_path'] or ''} on {row['host']}"
            points.setdefault(name, []).append((row["at"], row["used"]))
        return [Reading(name, "percent", 100.0, found) for name, found in points.items()]

    async def quarantine(self, pipeline_id: str, limit: float) -> Reading:
        """The quarantine's open records, day by day."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._of(_QUARANTINE), pipeline_id)
        points = [(row["at"], row["used"]) for row in rows]
        return Reading(f"quarantine of {pipeline_id}", "records", limit, points)

    async def budget(self, pipeline_id: str, days: int) -> BudgetUse | None:
        """The error budget's counts; None where it has none."""
        measured = await self._budgets.measure(
            pipeline_id, Sli.RUNS, days * _DAY_SECONDS, [_DAY_SECONDS]
        )
        if not measured.counts.total:
            return None
        recent = measured.by_window.get(_DAY_SECONDS, measured.counts)
        return BudgetUse(
            objective=self._objectives.of(pipeline_id, measured.objective),
            good=measured.counts.good,
            bad=measured.counts.bad,
            recent_good=recent.good,
            recent_bad=recent.bad,
            recent_seconds=_DAY_SECONDS,
        )

    async def failing(self) -> list[str]:
        """Pipelines with a failure in the last day."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._of(_FAILING))
        return [row["pipeline_id"] for row in rows]

    async def tell(self, pipeline_id: str, change: ToldChange) -> bool:
        """Write a change down; False where it was, or a later one."""
        async with self._database.acquire() as connection:
            told = await connection.fetchval(
                self._of(_TELL),
                pipeline_id,
                change.began_at,
                change.detected_at,
                change.failures_before,
                change.total_before,
                change.failures_after,
                change.total_after,
                recordable(change.subject),
            )
        return told is not None
