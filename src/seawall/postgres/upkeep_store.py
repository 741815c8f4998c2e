"""The database's side of upkeep. Every time is its own: workers' clocks may be wrong."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.events import EventBus, RunStuck, default_bus
from seawall.maintenance.upkeep import Retention
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.postgres.partitions import drop_partitions, ensure_partitions, uuid7_floor
from seawall.postgres.run_store import LEASES, PostgresRunStore
from seawall.scope import Scope

_logger = logging.getLogger("seawall.maintenance")

_BATCH = 2000  # rows a transaction: locks are short, and a batch that is cut off costs little
_RUN_BATCH = 50  # a run takes its checkpoints, their history and its steps with it

# Keys grow with time: their index finds the old ones.
_OLD_TRANSITIONS = """
DELETE FROM {schema}.circuit_breaker_transitions WHERE transition_id IN (
    SELECT transition_id FROM {schema}.circuit_breaker_transitions
    WHERE transition_id < $1 ORDER BY transition_id LIMIT $2
) RETURNING 1
"""

_OLD_STATES = """
DELETE FROM {schema}.checkpoint_history WHERE ctid = ANY (ARRAY (
    SELECT ctid FROM {schema}.checkpoint_history WHERE saved_at < $1 LIMIT $2
)) RETURNING 1
"""

# A run that is begun again meanwhile is locked by that, or seen as running.
_OLD_RUNS = f"""
DELETE FROM {{schema}}.runs WHERE run_id IN (
    SELECT r.run_id FROM {{schema}}.runs r
    WHERE r.started_at < $1 AND coalesce(r.ended_at, r.started_at) < $1
      AND NOT EXISTS (
          SELECT FROM {{schema}}.checkpoints c WHERE c.run_id = r.run_id AND c.updated_at >= $1)
      AND NOT EXISTS (
          SELECT FROM {{schema}}.run_steps s WHERE s.run_id = r.run_id AND s.updated_at >= $1)
      AND NOT EXISTS (
          SELECT FROM ({LEASES}) l WHERE l.run_id = r.run_id AND l.lease_until > $1)
    ORDER BY r.started_at LIMIT $2
    FOR UPDATE SKIP LOCKED
) RETURNING 1
"""

# Longer than any clock or lease is wrong: what is deleted here belongs to nobody.
_GONE = (
    """
    DELETE FROM {schema}.run_workers w USING {schema}.runs r
    WHERE r.run_id = w.run_id AND r.status <> 'running'
      AND w.lease_until < clock_timestamp() - interval '1 hour'
    """,
    """
    DELETE FROM {schema}.circuit_breaker_permits
    WHERE lease_until < clock_timestamp() - interval '1 hour'
    """,
    """
    DELETE FROM {schema}.fleet_token_holders
    WHERE seen_at < clock_timestamp() - interval '1 day'
    """,
    """
    DELETE FROM {schema}.workers
    WHERE last_seen_at < clock_timestamp()
        - greatest(interval '1 day', make_interval(secs => 10 * interval_seconds))
    """,
)

# Every batch with bad rows adds some. Whoever comes second finds the rows gone and adds nothing.
_MANY_COUNTS = """
SELECT count(*) > $1 FROM (SELECT FROM {schema}.quarantine_counts LIMIT $1 + 1) AS counted
"""
_FOLD_COUNTS = """
WITH rows AS (DELETE FROM {schema}.quarantine_counts RETURNING *)
INSERT INTO {schema}.quarantine_counts
SELECT pipeline_id, counted_on, set_aside_on, reason, sum(set_aside), sum(settled)
FROM rows GROUP BY 1, 2, 3, 4 HAVING sum(set_aside) <> 0 OR sum(settled) <> 0
"""
_FEW_COUNTS = 1_000

# A run is judged by its open steps: those under a live lease, and those that run. What it saved
# last, in any step, is its progress; so is a worker that came in.
_STUCK = """
WITH open AS (
    SELECT c.run_id, c.step, c.updated_at
    FROM {schema}.checkpoint_leases l JOIN {schema}.checkpoints c USING (checkpoint_id)
    WHERE l.lease_until > clock_timestamp()
    UNION ALL
    SELECT s.run_id, s.step, s.updated_at FROM {schema}.run_steps s
    JOIN {schema}.runs r ON r.run_id = s.run_id AND r.status = 'running'
    WHERE s.status = 'running' AND s.lease_until > clock_timestamp()
), silent AS (
    SELECT o.run_id, (array_agg(o.step ORDER BY o.updated_at))[1] AS step, greatest(
        (SELECT max(c.updated_at) FROM {schema}.checkpoints c WHERE c.run_id = o.run_id),
        (SELECT max(s.updated_at) FROM {schema}.run_steps s WHERE s.run_id = o.run_id),
        (SELECT max(w.entered_at) FROM {schema}.run_workers w WHERE w.run_id = o.run_id)
    ) AS saved_at
    FROM open o GROUP BY o.run_id
    HAVING max(o.updated_at) < clock_timestamp() - make_interval(secs => $1)
), told AS (
    SELECT r.run_id FROM {schema}.runs r JOIN silent s USING (run_id)
    WHERE r.status = 'running' AND s.saved_at < clock_timestamp() - make_interval(secs => $1)
      AND (r.stuck_at IS NULL OR r.stuck_at < s.saved_at)
    FOR UPDATE OF r SKIP LOCKED
)
UPDATE {schema}.runs r SET stuck_at = clock_timestamp()
FROM silent s
WHERE s.run_id = r.run_id AND r.run_id IN (SELECT run_id FROM told)
  AND (r.stuck_at IS NULL OR r.stuck_at < s.saved_at)
RETURNING r.run_id, r.pipeline_id, s.step,
    extract(epoch FROM clock_timestamp() - s.saved_at)::float8 AS seconds,
    (SELECT string_agg(w.host || ':' || w.pid, ', ' ORDER BY w.host, w.pid)
     FROM {schema}.run_workers w WHERE w.run_id = r.run_id) AS workers
"""


class PostgresUpkeepStore:
    """Implements ``UpkeepStore``."""

    def __init__(
        self,
        database: Database,
        runs: PostgresRunStore,
        bus: EventBus = default_bus,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._database, self._runs, self._bus, self._clock = database, runs, bus, clock

    async def ensure_partitions(self) -> None:
        """Make the partitions of this month and the next ones."""
        async with self._database.acquire() as connection:
            made = await ensure_partitions(connection, self._database.schema)
        if made:
            _logger.info("partitions made: %s", ", ".join(made))

    async def drop_partitions(self, retention: Retention) -> None:
        """Drop what is past its retention, a month at a time."""
        keep = {
            table: timedelta(days=days)
            for table, days in (
                ("error_details", retention.errors),
                ("retry_attempts", retention.retries),
                ("system_health", retention.health),
            )
            if days
        }
        dropped: list[str] = []
        async with self._database.acquire() as connection:
            with _leaving_to_the_owner():
                dropped = await drop_partitions(connection, self._database.schema, keep=keep)
        if dropped:
            _logger.info("partitions dropped: %s", ", ".join(dropped))

    async def prune(self, retention: Retention, seconds: float) -> None:
        """Delete in batches, each a transaction of its own, for about so long."""
        ends_at = self._clock.monotonic() + seconds
        async with self._database.acquire() as connection:
            now: datetime = await connection.fetchval("SELECT clock_timestamp()")
            for query, bound, size in _prunings(retention, now):
                with _leaving_to_the_owner():
                    deleted = size
                    while deleted == size and self._clock.monotonic() < ends_at:
                        deleted = len(await connection.fetch(self._sql(query), bound, size))

    async def forget_gone(self) -> None:
        """Delete what workers that vanished have left in tables of leases."""
        async with self._database.acquire() as connection:
            for query in _GONE:
                await connection.execute(self._sql(query))

    async def fold_quarantine_counts(self) -> None:
        """Let one row stand for a day, a reason and a pipeline, where there are many."""
        async with self._database.acquire() as connection:
            if await connection.fetchval(self._sql(_MANY_COUNTS), _FEW_COUNTS):
                await connection.execute(self._sql(_FOLD_COUNTS))

    async def tell_stuck(self, after_seconds: float) -> None:
        """Each run once: it is marked first, then told."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_STUCK), after_seconds)
        for row in rows:
            self._tell(row)

    async def abandon_lost(self) -> None:
        """End the runs whose workers have all vanished."""
        await self._runs.abandon_lost()

    def _tell(self, row: Any) -> None:
        workers = row["workers"] or "its workers"
        _logger.warning(
            "run %s has saved nothing for %.0f s (step %s, %s)",
            row["run_id"], row["seconds"], row["step"], workers,
        )  # fmt: skip
        if self._bus.listeners:
            self._bus.emit(
                RunStuck(
                    scope=Scope(row["pipeline_id"], row["run_id"], row["step"]),
                    stalled_seconds=row["seconds"],
                    step=row["step"],
                    workers=workers,
                )
            )

    def _sql(self, query: str) -> str:
        return in_schema(query, self._database.schema)


@contextlib.contextmanager
def _leaving_to_the_owner() -> Iterator[None]:
    """A role that only writes may delete no history: that is no failure, and is done elsewhere."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        _logger.info("left to a worker of the owner's role, or to `seawall prune`: %s", error)


def _prunings(retention: Retention, now: datetime) -> Sequence[tuple[str, Any, int]]:
    """Each query with its bound and the size of its batches."""
    found: list[tuple[str, Any, int]] = []
    if retention.history:
        oldest = now - timedelta(days=retention.history)
        found.append((_OLD_TRANSITIONS, uuid7_floor(oldest), _BATCH))
        found.append((_OLD_STATES, oldest, _BATCH))
    if retention.runs:
        found.append((_OLD_RUNS, now - timedelta(days=retention.runs), _RUN_BATCH))
    return found
