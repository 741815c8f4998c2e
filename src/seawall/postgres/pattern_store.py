"""The fleet's error patterns in ``error_patterns``: listed, changed by people, pruned."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from seawall.patterns.gathered import BUCKET_SECONDS
from seawall.patterns.known import KnownShape
from seawall.patterns.pattern import PatternStatus
from seawall.patterns.row import PatternRow
from seawall.postgres import audit, change_store
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.postgres.pattern_session import (
    COLUMNS,
    PostgresPatternSession,
    row_of,
    shapes_after,
)
from seawall.text import storable

_KEPT_DAYS = 100
_ROOM = 0.6  # share of the shapes that are left where there were too many
_TOO_FULL = 0.9

# One writer at a time, each for some milliseconds: who comes next sees all that was written, so
# that patterns join in one way only. A frozen worker must not hold the others off for long.
_PATIENCE = "SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '5s'"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

# First who is listed, from one contiguous range of the key; then the series of those alone.
_LIST = f"""
WITH since AS (
    SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date - $2::int AS day
), counted AS (
    SELECT pattern_id, sum(from_00 + from_06 + from_12 + from_18) AS total
    FROM {{schema}}.error_pattern_counts
    WHERE pipeline_id = $1 AND day > (SELECT day FROM since)
    GROUP BY pattern_id
), listed AS (
    SELECT c.pattern_id, c.total
    FROM counted c JOIN {{schema}}.error_patterns p USING (pattern_id)
    WHERE $3::text IS NULL OR p.status = $3
    ORDER BY c.total DESC, c.pattern_id LIMIT $4
)
SELECT {COLUMNS}, s.*, extract(epoch FROM clock_timestamp())::float8 AS now
FROM listed l JOIN {{schema}}.error_patterns p USING (pattern_id)
CROSS JOIN LATERAL (
    SELECT array_agg(day - date '1970-01-01') AS days, array_agg(from_00) AS from_00,
        array_agg(from_06) AS from_06, array_agg(from_12) AS from_12, array_agg(from_18) AS from_18
    FROM {{schema}}.error_pattern_counts c
    WHERE c.pattern_id = l.pattern_id AND c.pipeline_id = $1
      AND c.day > (SELECT day FROM since)
) s
ORDER BY l.total DESC, l.pattern_id
"""
_ALL = "<all>"

_ONE = f"""
SELECT {COLUMNS}, s.*, extract(epoch FROM clock_timestamp())::float8 AS now
FROM {{schema}}.error_patterns p
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(day - date '1970-01-01'), '{{}}') AS days,
        array_agg(from_00) AS from_00, array_agg(from_06) AS from_06,
        array_agg(from_12) AS from_12, array_agg(from_18) AS from_18
    FROM {{schema}}.error_pattern_counts c
    WHERE c.pattern_id = p.pattern_id AND c.pipeline_id = $2
      AND c.day > (clock_timestamp() AT TIME ZONE 'UTC')::date - $3::int
) s
WHERE p.pattern_id = coalesce(
    (SELECT pattern_id FROM {{schema}}.error_pattern_shapes WHERE shape_key = $1), $1
)
"""

_SET_STATUS = """
UPDATE {schema}.error_patterns AS p SET
    status = $2, status_changed_at = clock_timestamp(), status_actor = $3, status_reason = $4
FROM (
    SELECT pattern_id, status FROM {schema}.error_patterns
    WHERE pattern_id = coalesce(
        (SELECT pattern_id FROM {schema}.error_pattern_shapes WHERE shape_key = $1), $1
    )
) AS o
WHERE p.pattern_id = o.pattern_id
RETURNING p.pattern_id, o.status AS before, p.error_message_pattern
"""

_PRUNE_COUNTS = """
DELETE FROM {schema}.error_pattern_counts
WHERE day < (clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int
"""
_PRUNE_WORKERS = """
DELETE FROM {schema}.error_pattern_workers WHERE flushed_at < clock_timestamp() - interval '1 day'
"""
_PRUNE_PATTERNS = """
DELETE FROM {schema}.error_patterns
WHERE last_seen < clock_timestamp() - $1::int * interval '1 day'
"""
# Of those least lately seen as many as have the shapes that are too many; what somebody ignores
# is worth keeping, or it would be new again.
_PRUNE_MANY = """
DELETE FROM {schema}.error_patterns WHERE pattern_id IN (
    SELECT pattern_id FROM (
        SELECT p.pattern_id, sum(s.shapes) OVER (
            ORDER BY p.status = 'ignored', p.last_seen, p.pattern_id
        ) - s.shapes AS before
        FROM {schema}.error_patterns p
        JOIN (
            SELECT pattern_id, count(*) AS shapes FROM {schema}.error_pattern_shapes GROUP BY 1
        ) s USING (pattern_id)
    ) x WHERE before < $1
)
"""
_PRUNE_SHAPES = """
DELETE FROM {schema}.error_pattern_shapes s
WHERE NOT EXISTS (SELECT FROM {schema}.error_patterns p WHERE p.pattern_id = s.pattern_id)
"""
_COUNT_SHAPES = "SELECT count(*) FROM {schema}.error_pattern_shapes"


class PostgresPatternStore:
    """Implements ``PatternStore``. Counts and patterns are kept for 100 days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def session(self) -> AsyncIterator["PostgresPatternSession"]:
        """A flush's transaction, alone among the fleet's."""
        async with self._locked() as connection:
            yield PostgresPatternSession(connection, self._database.schema)
            await change_store.tell(connection, self._database.schema, "patterns")

    async def shapes(self, after: int) -> tuple[Sequence[KnownShape], int]:
        """Some of what changed; changes are numbered in the order of their commits."""
        async with self._database.acquire() as connection:
            return await shapes_after(connection, self._database.schema, after)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[Any]:
        schema = self._database.schema
        # Read committed, whatever the user's default: after the lock, see what others did.
        async with (
            self._database.acquire() as connection,
            connection.transaction(isolation="read_committed"),
        ):
            await connection.execute(_PATIENCE)
            await connection.fetchval(_LOCK, f"seawall patterns {schema}")
            yield connection

    async def list(
        self, pipeline_id: str | None, days: int, *, status: PatternStatus | None, limit: int
    ) -> tuple[float, Sequence[tuple[PatternRow, Mapping[int, int]]]]:
        """The most frequent patterns; from roll-ups only."""
        async with self._database.acquire() as connection:
            found = await connection.fetch(
                in_schema(_LIST, self._database.schema),
                _ALL if pipeline_id is None else pipeline_id,
                days,
                status,
                limit,
            )
        now = found[0]["now"] if found else 0.0
        return now, [(row_of(each), _buckets(each)) for each in found]

    async def one(
        self, pattern_id: str, days: int
    ) -> tuple[float, PatternRow, Mapping[int, int]] | None:
        """One pattern, also by an id that it had before."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(
                in_schema(_ONE, self._database.schema), pattern_id, _ALL, days
            )
        return None if row is None else (row["now"], row_of(row), _buckets(row))

    async def change_status(
        self, pattern_id: str, status: PatternStatus, *, actor: str, reason: str
    ) -> str | None:
        """Set it, and write down who did."""
        schema = self._database.schema
        async with self._locked() as connection:
            row = await connection.fetchrow(
                in_schema(_SET_STATUS, schema),
                pattern_id,
                status,
                storable(actor),
                storable(reason),
            )
            if row is None:
                return None
            await audit.write(
                connection,
                schema,
                actor=actor,
                action=f"error pattern {status}",
                subject=row["pattern_id"],
                reason=reason,
                details={"before": row["before"], "pattern": row["error_message_pattern"]},
            )
        now: str = row["pattern_id"]
        return now

    async def prune(self, most_shapes: int) -> None:
        """Delete what is older than 100 days; where shapes are near the bound, four in ten."""
        schema = self._database.schema
        async with self._locked() as connection:
            await connection.execute(in_schema(_PRUNE_COUNTS, schema), _KEPT_DAYS)
            await connection.execute(in_schema(_PRUNE_WORKERS, schema))
            await connection.execute(in_schema(_PRUNE_PATTERNS, schema), _KEPT_DAYS)
            count = await connection.fetchval(in_schema(_COUNT_SHAPES, schema))
            if count >= most_shapes * _TOO_FULL:
                await connection.execute(
                    in_schema(_PRUNE_MANY, schema), int(count - most_shapes * _ROOM)
                )
            await connection.execute(in_schema(_PRUNE_SHAPES, schema))


def _buckets(row: Any) -> dict[int, int]:
    """Counts by the start of six hours."""
    quarters = (row["from_00"], row["from_06"], row["from_12"], row["from_18"])
    return {
        day * 86_400 + quarter * BUCKET_SECONDS: count
        for quarter, counts in enumerate(quarters)
        for day, count in zip(row["days"], counts or (), strict=True)
        if count
    }
