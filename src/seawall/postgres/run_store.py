"""Runs as rows of ``runs``, and who is in them as rows of ``run_workers``."""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from seawall import process
from seawall.events import EventBus, RunAbandoned, default_bus
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.scope import Scope

_logger = logging.getLogger("seawall.postgres")

# Everything here locks the run's row first: two that leave at once must see each other.
_BEGIN = """
INSERT INTO {schema}.runs AS r (run_id, pipeline_id, status, release, tags, host, pid, start_count)
VALUES ($1, $2, 'running', $3, $4::text::jsonb, $5, $6, 1)
ON CONFLICT (run_id) DO UPDATE
SET status = 'running', release = coalesce(excluded.release, r.release),
    tags = coalesce(excluded.tags, r.tags), host = excluded.host, pid = excluded.pid,
    start_count = r.start_count + 1,
    resume_count = r.resume_count
        + (r.status IN ('failed', 'cancelled', 'abandoned'))::int,
    ended_at = NULL, outcome = NULL, outcome_entered_at = NULL,
    error_type = NULL, error_message = NULL
"""

_ENTER = """
INSERT INTO {schema}.run_workers (worker_id, run_id, lease_until, host, pid, process)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3), $4, $5, $6)
"""

_NEIGHBOURS = """
SELECT worker_id, process FROM {schema}.run_workers WHERE run_id = $1
"""

_GONE = "DELETE FROM {schema}.run_workers WHERE worker_id = ANY ($1)"

_LOCK = "SELECT status FROM {schema}.runs WHERE run_id = $1 FOR UPDATE"

_RENEW = """
UPDATE {schema}.run_workers
SET lease_until = clock_timestamp() + make_interval(secs => $2), renewed_at = clock_timestamp()
WHERE worker_id = $1
RETURNING worker_id
"""

_REVIVE = """
UPDATE {schema}.runs SET status = 'running', ended_at = NULL, outcome = NULL
WHERE run_id = $1 AND status = 'abandoned'
"""

_LEAVE = "DELETE FROM {schema}.run_workers WHERE worker_id = $1 RETURNING entered_at"

# An end that is not worse than what is known adds nothing; its error stands with the worst.
_END = """
WITH known AS (
    SELECT coalesce(array_position('{succeeded,cancelled,failed}'::text[], r.outcome), 0) AS rank
    FROM {schema}.runs r WHERE r.run_id = $1
), gone AS (
    DELETE FROM {schema}.run_workers
    WHERE run_id = $1 AND lease_until <= clock_timestamp()
), judged AS (
    SELECT array_position('{succeeded,cancelled,failed}'::text[], $2) > k.rank AS worse,
           EXISTS (
               SELECT FROM {schema}.run_workers w
               WHERE w.run_id = $1 AND w.lease_until > clock_timestamp()
           ) AS busy
    FROM known k
)
UPDATE {schema}.runs r
SET outcome = CASE WHEN j.worse THEN $2 ELSE r.outcome END,
    error_type = CASE WHEN j.worse THEN $3 ELSE r.error_type END,
    error_message = CASE WHEN j.worse THEN $4 ELSE r.error_message END,
    outcome_entered_at = greatest(r.outcome_entered_at, $5),
    status = CASE WHEN j.busy THEN 'running' WHEN j.worse THEN $2 ELSE r.outcome END,
    ended_at = CASE WHEN NOT j.busy THEN clock_timestamp() END
FROM judged j
WHERE r.run_id = $1
"""

# Who goes on with the work of one that was replaced, or has ended it well.
_OTHERS = """
SELECT r.outcome IS NOT NULL OR EXISTS (
    SELECT FROM {schema}.run_workers w
    WHERE w.run_id = r.run_id AND w.lease_until > clock_timestamp()
)
FROM {schema}.runs r WHERE r.run_id = $1
"""

# Every lease on a run: of the workers that entered it, and of those that opened its steps.
LEASES = """
    SELECT w.run_id, w.lease_until FROM {schema}.run_workers w
    UNION ALL
    SELECT c.run_id, l.lease_until
    FROM {schema}.checkpoint_leases l JOIN {schema}.checkpoints c USING (checkpoint_id)
"""

# Runs that somebody has left without a word, and where nobody is.
_LOST = f"""
SELECT r.run_id FROM {{schema}}.runs r
WHERE r.status = 'running' AND ($1::text IS NULL OR r.pipeline_id = $1)
  AND EXISTS (SELECT FROM ({LEASES}) l WHERE l.run_id = r.run_id)
  AND NOT EXISTS (
      SELECT FROM ({LEASES}) l WHERE l.run_id = r.run_id AND l.lease_until > clock_timestamp()
  )
ORDER BY r.run_id
FOR UPDATE SKIP LOCKED
"""

# Asked again under the lock, by a statement of its own: it sees who came in before it.
_ABANDON = f"""
WITH gone AS (
    DELETE FROM {{schema}}.run_workers
    WHERE run_id = ANY ($1) AND lease_until <= clock_timestamp()
    RETURNING run_id, host, pid, lease_until, renewed_at
), ended AS (
    SELECT run_id, max(lease_until) AS at, max(renewed_at) AS last_sign,
           string_agg(host || ':' || pid, ', ') AS workers
    FROM gone GROUP BY run_id
)
UPDATE {{schema}}.runs r
SET status = CASE
        WHEN r.outcome = 'failed' OR r.outcome_entered_at > ended.last_sign THEN r.outcome
        ELSE 'abandoned'
    END,
    ended_at = coalesce(ended.at, clock_timestamp())
FROM unnest($1::text[]) AS lost(run_id) LEFT JOIN ended USING (run_id)
WHERE r.run_id = lost.run_id AND NOT EXISTS (
    SELECT FROM ({LEASES}) l WHERE l.run_id = r.run_id AND l.lease_until > clock_timestamp()
)
RETURNING r.run_id, r.pipeline_id, r.status, coalesce(ended.workers, 'its workers') AS workers
"""

# What _ABANDON would make of a run, for those who only look; ``r`` is its row.
STATUS_NOW = f"""
CASE
    WHEN r.status <> 'running' OR NOT EXISTS (
        SELECT FROM ({LEASES}) l WHERE l.run_id = r.run_id
    ) OR EXISTS (
        SELECT FROM ({LEASES}) l WHERE l.run_id = r.run_id AND l.lease_until > clock_timestamp()
    ) THEN r.status
    WHEN r.outcome = 'failed' OR r.outcome_entered_at > (
        SELECT max(w.renewed_at) FROM {{schema}}.run_workers w WHERE w.run_id = r.run_id
    ) THEN r.outcome
    ELSE 'abandoned'
END
"""


class PostgresRunStore:
    """The ``RunStore`` over one database.

    Args:
        database: where the tables are.
        bus: hears of runs that are found abandoned.
    """

    def __init__(self, database: Database, bus: EventBus = default_bus) -> None:
        self._database, self._bus = database, bus

    async def begin(
        self,
        worker_id: UUID,
        run_id: str,
        pipeline_id: str,
        release: str | None,
        tags: Mapping[str, Any] | None,
        lease_seconds: float,
    ) -> None:
        await self.abandon_lost(pipeline_id)
        host, pid = socket.gethostname(), os.getpid()
        tags_text = None if tags is None else msgspec.json.encode(tags).decode()
        async with self._database.acquire() as connection, _transaction(connection):
            await connection.execute(
                self._sql(_BEGIN), run_id, pipeline_id, release, tags_text, host, pid
            )
            await self._drop_gone(connection, run_id)
            await self._enter(connection, worker_id, run_id, lease_seconds)

    async def renew(self, worker_id: UUID, run_id: str, lease_seconds: float) -> None:
        async with self._database.acquire() as connection:
            if await connection.fetch(self._sql(_RENEW), worker_id, lease_seconds):
                return
            # Its lease ended while it was frozen or cut off. Where nobody has come, it lives on.
            async with _transaction(connection):
                if await connection.fetchval(self._sql(_LOCK), run_id) != "abandoned":
                    return
                await connection.execute(self._sql(_REVIVE), run_id)
                await self._enter(connection, worker_id, run_id, lease_seconds)

    async def end(
        self,
        worker_id: UUID,
        run_id: str,
        status: str,
        error_type: str | None,
        message: str | None,
        *,
        replaced: bool,
    ) -> None:
        async with self._database.acquire() as connection, _transaction(connection):
            before = await connection.fetchval(self._sql(_LOCK), run_id)
            here = await connection.fetch(self._sql(_LEAVE), worker_id)
            _here.discard(worker_id)
            if not here and before != "abandoned":
                return  # it was given up and the run went on, or has ended, without it
            if replaced and await self._others(connection, run_id):
                return
            entered_at = here[0]["entered_at"] if here else None
            await connection.execute(
                self._sql(_END), run_id, status, error_type, message, entered_at
            )

    async def abandon_lost(self, pipeline_id: str | None = None) -> list[str]:
        """End the runs whose workers have all vanished; the ids of those that are ``abandoned``.

        Others end as the last worker that left them: where one had failed before, or one that came
        after the last sign of life of those that vanished has taken up what they left.
        """
        async with self._database.acquire() as connection, _transaction(connection):
            lost = [row["run_id"] for row in await connection.fetch(self._sql(_LOST), pipeline_id)]
            rows = await connection.fetch(self._sql(_ABANDON), lost) if lost else []
        for row in rows:
            _logger.warning(
                "run %s is %s: %s vanished", row["run_id"], row["status"], row["workers"]
            )
            if self._bus.listeners:
                scope = Scope(row["pipeline_id"], row["run_id"])
                self._bus.emit(
                    RunAbandoned(scope=scope, status=row["status"], workers=row["workers"])
                )
        return [row["run_id"] for row in rows if row["status"] == "abandoned"]

    async def _enter(
        self, connection: Any, worker_id: UUID, run_id: str, lease_seconds: float
    ) -> None:
        _here.add(worker_id)
        await connection.execute(
            self._sql(_ENTER), worker_id, run_id, lease_seconds, socket.gethostname(), os.getpid(),
            process.identity(),
        )  # fmt: skip

    async def _drop_gone(self, connection: Any, run_id: str) -> None:
        """Those that died on this machine need no lease to tell: a restart comes at once."""
        rows = await connection.fetch(self._sql(_NEIGHBOURS), run_id)
        gone = [row["worker_id"] for row in rows if _is_gone(row)]
        if gone:
            await connection.execute(self._sql(_GONE), gone)

    async def _others(self, connection: Any, run_id: str) -> bool:
        return bool(await connection.fetchval(self._sql(_OTHERS), run_id))

    def _sql(self, query: str) -> str:
        return in_schema(query, self._database.schema)


# The workers of this process: one of its own that is not among them was left behind.
_here: set[UUID] = set()


def _is_gone(worker: Any) -> bool:
    if worker["process"] == process.identity():
        return worker["worker_id"] not in _here
    return process.is_dead(worker["process"])


def _transaction(connection: Any) -> Any:
    # What is read after the lock must be as it is then, whatever the database's default.
    return connection.transaction(isolation="read_committed")
