"""Timings of retries as rows of ``retry_timings``, what was tuned as rows of ``retry_tuning``."""

from collections.abc import Sequence
from typing import Any

import msgspec

from seawall.classification import ErrorType
from seawall.clock import uuid7
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.text import recordable
from seawall.tuning.advice import Evidence
from seawall.tuning.model import NEVER, Interval, Timing
from seawall.tuning.store import Delta, Key, State, Tuned, TuningChange

_COUNTED_DAYS = 14
_KEPT_DAYS = 60
_HELD_DAYS = 7
_MOST_STATES = 2_000

# In the order of the key, so that two workers never wait for each other's rows in a circle.
_ADD = """
INSERT INTO {schema}.retry_timings AS t (
    pipeline_id, operation, error_type, day, revision, failed_until, succeeded_at, calls
)
SELECT pipeline_id, operation, error_type, (clock_timestamp() AT TIME ZONE 'UTC')::date, revision,
    failed_until, succeeded_at, sum(calls)
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::smallint[], $6::smallint[],
    $7::int[])
    AS d (pipeline_id, operation, error_type, revision, failed_until, succeeded_at, calls)
GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (pipeline_id, operation, error_type, day, revision, failed_until, succeeded_at)
DO UPDATE SET calls = t.calls + excluded.calls
"""
_ADD_EPISODES = """
INSERT INTO {schema}.retry_tuning AS t (pipeline_id, operation, error_type, episodes, last_slot)
SELECT DISTINCT pipeline_id, operation, error_type, 1,
    date_bin('10 minutes', clock_timestamp(), 'epoch')
FROM unnest($1::text[], $2::text[], $3::text[]) AS d (pipeline_id, operation, error_type)
ORDER BY 1, 2, 3
ON CONFLICT (pipeline_id, operation, error_type) DO UPDATE SET
    episodes = t.episodes + 1, last_slot = excluded.last_slot
WHERE t.last_slot < excluded.last_slot
"""
_TUNED = """
SELECT pipeline_id, operation, error_type, revision, timing::text AS timing
FROM {schema}.retry_tuning WHERE timing IS NOT NULL
"""
STATES = """
WITH known AS (
    SELECT * FROM {schema}.retry_tuning
    WHERE ($1::text IS NULL OR pipeline_id = $1)
      AND last_slot > clock_timestamp() - $2::int * interval '1 day'
    ORDER BY last_slot DESC LIMIT $3
)
SELECT k.pipeline_id, k.operation, k.error_type, k.revision, k.timing::text AS timing,
    k.timing_before::text AS timing_before, k.episodes,
    coalesce(k.held_until > clock_timestamp(), false) AS is_held,
    t.revisions, t.failed_until, t.succeeded_at, t.calls
FROM known k CROSS JOIN LATERAL (
    SELECT array_agg(revision) AS revisions, array_agg(failed_until) AS failed_until,
        array_agg(succeeded_at) AS succeeded_at, array_agg(calls) AS calls
    FROM (
        SELECT revision, failed_until, succeeded_at, sum(calls)::bigint AS calls
        FROM {schema}.retry_timings r
        WHERE r.pipeline_id = k.pipeline_id AND r.operation = k.operation
          AND r.error_type = k.error_type
          AND r.day > (clock_timestamp() AT TIME ZONE 'UTC')::date - $2::int
        GROUP BY 1, 2, 3
    ) summed
) t
ORDER BY k.pipeline_id, k.operation, k.error_type
"""
_CHANGE = """
UPDATE {schema}.retry_tuning SET
    revision = revision + 1, timing = $5::text::json, timing_before = $6::text::json,
    changed_at = clock_timestamp(), episodes = 0,
    held_until = CASE WHEN $7 THEN clock_timestamp() + $8::int * interval '1 day' END
WHERE pipeline_id = $1 AND operation = $2 AND error_type = $3 AND revision = $4
RETURNING revision
"""
_WRITE_DOWN = """
INSERT INTO {schema}.tuning_changes (
    change_id, pipeline_id, operation, error_type, revision, timing_before, timing, reason, reverts
)
VALUES ($1, $2, $3, $4, $5, $6::text::json, $7::text::json, $8, $9)
"""
_CHANGES = """
SELECT pipeline_id, operation, error_type, revision, timing_before::text AS timing_before,
    timing::text AS timing, reason, reverts, changed_at
FROM {schema}.tuning_changes
WHERE ($1::text IS NULL OR pipeline_id = $1)
  AND changed_at > clock_timestamp() - $2::int * interval '1 day'
ORDER BY change_id DESC LIMIT $3
"""
_FORGET_TIMINGS = """
DELETE FROM {schema}.retry_timings
WHERE ($1::text IS NULL OR pipeline_id = $1) AND ($2::text IS NULL OR operation = $2)
"""
_FORGET = """
WITH gone AS (
    DELETE FROM {schema}.retry_tuning
    WHERE ($1::text IS NULL OR pipeline_id = $1) AND ($2::text IS NULL OR operation = $2)
    RETURNING 1
)
SELECT count(*) FROM gone
"""
_PRUNE = """
DELETE FROM {schema}.retry_timings
WHERE day < (clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int
"""
# A tuned operation keeps its numbers while it is retried now and then.
_PRUNE_KEYS = """
DELETE FROM {schema}.retry_tuning WHERE last_slot < clock_timestamp() - $1::int * interval '1 day'
"""


class PostgresTuningStore:
    """Implements ``TuningStore``. Timings count for 14 days and are kept for 60."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _sql(self, text: str) -> str:
        return in_schema(text, self._database.schema)

    async def add(self, deltas: Sequence[Delta]) -> None:
        """Add calls to those of today, and count their ten minutes."""
        pipelines = [each.key.pipeline_id for each in deltas]
        operations = [recordable(each.key.operation) for each in deltas]
        kinds = [each.key.error_type.value for each in deltas]
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(
                self._sql(_ADD),
                pipelines,
                operations,
                kinds,
                [each.revision for each in deltas],
                [each.interval.failed_until for each in deltas],
                [each.interval.succeeded_at for each in deltas],
                [each.calls for each in deltas],
            )
            await connection.execute(self._sql(_ADD_EPISODES), pipelines, operations, kinds)

    async def tuned(self) -> list[Tuned]:
        """The numbers that were changed."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_TUNED))
        return [Tuned(_key(row), row["revision"], _timing(row["timing"])) for row in rows]

    async def states(self, pipeline_id: str | None) -> list[State]:
        """What is known of the operations that were retried in the last 14 days."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                self._sql(STATES), pipeline_id, _COUNTED_DAYS, _MOST_STATES
            )
        return [_state(row) for row in rows]

    async def change(
        self, state: State, before: Timing, after: Timing, reason: str, *, reverts: bool
    ) -> bool:
        """Make a change and write it down, unless another worker has made one."""
        key = state.key
        names = (key.pipeline_id, key.operation, key.error_type.value)
        old, new = _json(before), _json(after)
        async with self._database.acquire() as connection, connection.transaction():
            revision = await connection.fetchval(
                self._sql(_CHANGE), *names, state.revision, new, old, reverts, _HELD_DAYS
            )
            if revision is None:
                return False
            await connection.execute(
                self._sql(_WRITE_DOWN), uuid7(), *names, revision, old, new, reason, reverts
            )
        return True

    async def changes(self, pipeline_id: str | None, days: int, limit: int) -> list[TuningChange]:
        """The last changes, the latest first."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_CHANGES), pipeline_id, days, limit)
        return [
            TuningChange(
                pipeline_id=row["pipeline_id"],
                operation=row["operation"],
                error_type=ErrorType(row["error_type"]),
                revision=row["revision"],
                before=_timing(row["timing_before"]),
                after=_timing(row["timing"]),
                reason=row["reason"],
                reverts=row["reverts"],
                changed_at=row["changed_at"],
            )
            for row in rows
        ]

    async def forget(self, pipeline_id: str | None, operation: str | None) -> int:
        """Go back to the configured numbers; how many keys there were."""
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(self._sql(_FORGET_TIMINGS), pipeline_id, operation)
            count: int = await connection.fetchval(self._sql(_FORGET), pipeline_id, operation)
        return count

    async def prune(self) -> None:
        """Delete what is old."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_PRUNE), _KEPT_DAYS)
            await connection.execute(self._sql(_PRUNE_KEYS), _KEPT_DAYS)


def _key(row: Any) -> Key:
    return Key(row["pipeline_id"], row["operation"], ErrorType(row["error_type"]))


def _timing(text: str) -> Timing:
    return Timing(**msgspec.json.decode(text))


def _json(timing: Timing) -> str:
    return msgspec.json.encode(timing).decode()


def _state(row: Any) -> State:
    counts: dict[Interval, int] = {}
    by_revision: dict[int, list[int]] = {}
    columns = (row["revisions"], row["failed_until"], row["succeeded_at"], row["calls"])
    for revision, failed, succeeded, calls in zip(*(each or () for each in columns), strict=True):
        interval = Interval(failed, succeeded)
        counts[interval] = counts.get(interval, 0) + calls
        cases = by_revision.setdefault(revision, [0, 0])
        cases[0] += calls
        cases[1] += calls if succeeded != NEVER else 0
    now = by_revision.get(row["revision"], [0, 0])
    before = by_revision.get(row["revision"] - 1, [0, 0])
    evidence = Evidence(
        counts,
        cases=now[0],
        successes=now[1],
        episodes=row["episodes"],
        cases_before=before[0],
        successes_before=before[1],
    )
    return State(
        _key(row),
        row["revision"],
        None if row["timing"] is None else _timing(row["timing"]),
        None if row["timing_before"] is None else _timing(row["timing_before"]),
        row["is_held"],
        evidence,
    )
