"""Recovery actions as rows of ``recovery_actions``, the frequent ones as counts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from seawall.actions.store import Counted, Delta, KnownPattern, RunOutcome, Taken
from seawall.classification import ErrorType
from seawall.clock import uuid7
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.text import recordable

_KEPT_DAYS = 100
_UNKNOWN_HOURS = 24  # after which an outcome that nobody told is a failure

# In the order of the key, so that two workers never wait for each other's rows in a circle.
_ADD = """
INSERT INTO {schema}.recovery_action_counts AS c (
    pipeline_id, day, operation, pattern_id, error_type, action, attempts, succeeded, failed
)
SELECT pipeline_id, (clock_timestamp() AT TIME ZONE 'UTC')::date, operation, pattern_id,
    error_type, action, attempts, sum(succeeded), sum(failed)
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::bigint[],
    $8::bigint[]
) AS d (pipeline_id, operation, pattern_id, error_type, action, attempts, succeeded, failed)
GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 5, 4, 3, 6, 7
ON CONFLICT (pipeline_id, day, error_type, pattern_id, operation, action, attempts) DO UPDATE SET
    succeeded = c.succeeded + excluded.succeeded, failed = c.failed + excluded.failed
"""
_COLUMNS = """
action_id, pipeline_id, run_id, operation, pattern_id, error_type, action, outcome, automatic,
    actor, summary, details::text AS details, once, taken_at
"""
# What is told once is told anew after an hour: epochs of a worker's own breakers begin again.
_WRITE = f"""
INSERT INTO {{schema}}.recovery_actions (
    action_id, pipeline_id, run_id, operation, pattern_id, error_type, action, outcome, automatic,
    actor, summary, details, once, settled_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::json,
    $13 || ':' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDDHH24'),
    CASE WHEN $8::text IS NOT NULL THEN clock_timestamp() END)
ON CONFLICT DO NOTHING
RETURNING {_COLUMNS}
"""
_SETTLE = f"""
UPDATE {{schema}}.recovery_actions SET outcome = $3, settled_at = clock_timestamp()
WHERE action_id = (
    SELECT action_id FROM {{schema}}.recovery_actions
    WHERE action = $1 AND operation = $2 AND outcome IS NULL
    ORDER BY action_id DESC LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING {_COLUMNS}
"""
_FINISH = f"""
UPDATE {{schema}}.recovery_actions SET outcome = $2, settled_at = clock_timestamp()
WHERE action_id = $1 AND outcome IS NULL
RETURNING {_COLUMNS}
"""
# The error that it answers is the run's last one.
_RESUMED = """
SELECT r.run_id, r.resume_count, e.error_type, e.pattern_id
FROM {schema}.runs r LEFT JOIN LATERAL (
    SELECT error_type, pattern_id FROM {schema}.error_details d
    WHERE d.run_id = r.run_id ORDER BY error_id DESC LIMIT 1
) e ON true
WHERE r.run_id = ANY ($1::text[]) AND r.resume_count > 0
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_TAKEN_LATELY = """
SELECT count(*) FROM {schema}.recovery_actions
WHERE automatic AND pipeline_id = $1 AND taken_at > clock_timestamp() - interval '1 hour'
"""
_COUNTS = """
SELECT action, error_type, false AS by_pattern, attempts, sum(succeeded)::bigint AS succeeded,
    sum(failed)::bigint AS failed
FROM {schema}.recovery_action_counts
WHERE pipeline_id = $1 AND error_type = ANY ($2::text[]) AND pattern_id = ''
  AND day > (clock_timestamp() AT TIME ZONE 'UTC')::date - $3::int
GROUP BY action, error_type, attempts
"""
# Under the pattern's id of now, and those that it had before.
_PATTERN_COUNTS = """
SELECT action, error_type, true AS by_pattern, attempts, sum(succeeded)::bigint AS succeeded,
    sum(failed)::bigint AS failed
FROM {schema}.recovery_action_counts
WHERE pattern_id <> '' AND pattern_id IN (
    SELECT unnest($1::text[])
    UNION SELECT shape_key FROM {schema}.error_pattern_shapes WHERE pattern_id = ANY ($1::text[])
)
  AND day > (clock_timestamp() AT TIME ZONE 'UTC')::date - $2::int
GROUP BY action, error_type, attempts
"""
# What its samples were, whose ids it keeps.
_SAMPLES = """
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT e.exception_type) AS exception_types,
        array_agg(DISTINCT e.sqlstate) FILTER (WHERE e.sqlstate IS NOT NULL) AS sqlstates
    FROM {schema}.error_details e WHERE e.error_id = ANY (p.sample_ids)
) s
"""
ONE_PATTERN = f"""
SELECT p.pattern_id, p.error_type, p.error_message_pattern, p.frequency, s.*
FROM {{schema}}.error_patterns p {_SAMPLES}
WHERE p.pattern_id = coalesce(
    (SELECT pattern_id FROM {{schema}}.error_pattern_shapes WHERE shape_key = $1), $1
)
"""
TOP_PATTERNS = f"""
WITH counted AS (
    SELECT pattern_id, sum(from_00 + from_06 + from_12 + from_18)::bigint AS frequency
    FROM {{schema}}.error_pattern_counts
    WHERE pipeline_id = $1 AND day > (clock_timestamp() AT TIME ZONE 'UTC')::date - $2::int
    GROUP BY pattern_id
), top AS (
    SELECT c.pattern_id, c.frequency
    FROM counted c JOIN {{schema}}.error_patterns p USING (pattern_id)
    WHERE p.status = 'open' ORDER BY c.frequency DESC, c.pattern_id LIMIT $3
)
SELECT p.pattern_id, p.error_type, p.error_message_pattern, top.frequency, s.*
FROM top JOIN {{schema}}.error_patterns p USING (pattern_id) {_SAMPLES}
ORDER BY top.frequency DESC, p.pattern_id
"""
_LIST = f"""
SELECT {_COLUMNS} FROM {{schema}}.recovery_actions
WHERE ($1::text IS NULL OR pipeline_id = $1)
  AND taken_at > clock_timestamp() - $2::int * interval '1 day'
ORDER BY action_id DESC LIMIT $3
"""
_GIVE_UP = """
UPDATE {schema}.recovery_actions SET outcome = 'failed', settled_at = clock_timestamp()
WHERE action = 'breaker_opened' AND outcome IS NULL
  AND taken_at < clock_timestamp() - $1::int * interval '1 hour'
"""
_PRUNE = """
DELETE FROM {schema}.recovery_actions
WHERE taken_at < clock_timestamp() - $1::int * interval '1 day'
"""
_PRUNE_COUNTS = """
DELETE FROM {schema}.recovery_action_counts
WHERE day < (clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int
"""


class PostgresActionStore:
    """Implements ``ActionStore``; rows and counts are kept for 100 days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _sql(self, text: str) -> str:
        return in_schema(text, self._database.schema)

    async def add(self, deltas: Sequence[Delta]) -> None:
        """Add counts to those of today."""
        async with self._database.acquire() as connection:
            await connection.execute(
                self._sql(_ADD),
                [each.pipeline_id for each in deltas],
                [recordable(each.operation) for each in deltas],
                [each.pattern_id for each in deltas],
                [each.error_type for each in deltas],
                [recordable(each.action) for each in deltas],
                [each.attempts for each in deltas],
                [each.succeeded for each in deltas],
                [each.failed for each in deltas],
            )

    async def write(self, taken: Sequence[Taken]) -> list[Taken]:
        """Write rows; those that are new."""
        async with self._database.acquire() as connection, connection.transaction():
            found = [await self._write(connection, each) for each in taken]
        return [each for each in found if each is not None]

    async def _write(self, connection: Any, taken: Taken) -> Taken | None:
        row = await connection.fetchrow(
            self._sql(_WRITE),
            taken.action_id,
            taken.pipeline_id,
            taken.run_id,
            taken.operation,
            taken.pattern_id,
            taken.error_type,
            taken.action,
            taken.outcome,
            taken.automatic,
            taken.actor,
            taken.summary,
            msgspec.json.encode(taken.details, enc_hook=str).decode(),
            taken.once,
        )
        return None if row is None else _taken(row)

    async def settle(self, action: str, operation: str, outcome: str) -> Taken | None:
        """Say how the last such action came out."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(self._sql(_SETTLE), action, operation, outcome)
        return None if row is None else _taken(row)

    async def finish(self, action_id: UUID, outcome: str) -> Taken | None:
        """The same of one action."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(self._sql(_FINISH), action_id, outcome)
        return None if row is None else _taken(row)

    async def resumed(self, runs: Sequence[RunOutcome]) -> list[Taken]:
        """Of those runs that had failed before, what resuming gave."""
        by_id = {each.run_id: each for each in runs}
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_RESUMED), list(by_id))
        return [
            Taken(
                action_id=uuid7(),
                action="resume",
                pipeline_id=by_id[row["run_id"]].pipeline_id,
                run_id=row["run_id"],
                pattern_id=row["pattern_id"],
                error_type=row["error_type"],
                outcome="succeeded" if by_id[row["run_id"]].succeeded else "failed",
                summary=f"run {row['run_id']} was entered again (time {row['resume_count']})",
                once=f"resume:{row['run_id']}:{row['resume_count']}",
            )
            for row in rows
        ]

    async def claim(self, taken: Taken, cap: int, escalation: Taken) -> Taken | None:
        """Write an automatic action under the cap, else the escalation, once an hour."""
        async with self._database.acquire() as connection, connection.transaction():
            lock = f"seawall automatic actions {self._database.schema} {taken.pipeline_id}"
            await connection.execute(_LOCK, lock)
            lately = await connection.fetchval(self._sql(_TAKEN_LATELY), taken.pipeline_id)
            return await self._write(connection, taken if lately < cap else escalation)

    async def counts(
        self,
        pipeline_id: str,
        error_types: Sequence[ErrorType],
        pattern_ids: Sequence[str],
        days: int,
    ) -> list[Counted]:
        """The sums of the last days."""
        rows: list[Any] = []
        async with self._database.acquire() as connection:
            if error_types:
                kinds = [each.value for each in error_types]
                rows += await connection.fetch(self._sql(_COUNTS), pipeline_id, kinds, days)
            if pattern_ids:
                rows += await connection.fetch(self._sql(_PATTERN_COUNTS), list(pattern_ids), days)
        return [
            Counted(
                row["action"],
                ErrorType(row["error_type"]),
                row["by_pattern"],
                row["attempts"],
                row["succeeded"],
                row["failed"],
            )
            for row in rows
        ]

    async def patterns(
        self, pipeline_id: str, pattern_id: str | None, days: int, limit: int
    ) -> list[KnownPattern]:
        """One pattern, also by an id of before, or the pipeline's most frequent ones."""
        async with self._database.acquire() as connection:
            if pattern_id is not None:
                rows = await connection.fetch(self._sql(ONE_PATTERN), pattern_id)
            else:
                rows = await connection.fetch(self._sql(TOP_PATTERNS), pipeline_id, days, limit)
        return [
            KnownPattern(
                row["pattern_id"],
                ErrorType(row["error_type"]),
                row["error_message_pattern"],
                frozenset(row["exception_types"] or ()),
                frozenset(row["sqlstates"] or ()),
                row["frequency"],
            )
            for row in rows
        ]

    async def list(self, pipeline_id: str | None, days: int, limit: int) -> list[Taken]:
        """The last rows, the latest first."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_LIST), pipeline_id, days, limit)
        return [_taken(row) for row in rows]

    async def prune(self) -> None:
        """Give up on outcomes, delete what is old."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_GIVE_UP), _UNKNOWN_HOURS)
            await connection.execute(self._sql(_PRUNE), _KEPT_DAYS)
            await connection.execute(self._sql(_PRUNE_COUNTS), _KEPT_DAYS)


def _taken(row: Any) -> Taken:
    return Taken(
        action_id=row["action_id"],
        action=row["action"],
        pipeline_id=row["pipeline_id"],
        run_id=row["run_id"],
        operation=row["operation"],
        pattern_id=row["pattern_id"],
        error_type=row["error_type"],
        outcome=row["outcome"],
        automatic=row["automatic"],
        actor=row["actor"],
        summary=row["summary"],
        details={} if row["details"] is None else msgspec.json.decode(row["details"]),
        taken_at=row["taken_at"],
        once=row["once"],
    )
