"""Workers as rows of ``workers``, samples as rows of ``system_health``."""

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from seawall.clock import uuid7
from seawall.health.moment import by_name
from seawall.health.reading import Disk, HealthStatus, Reading, Sample, Worker, WorkerHealth
from seawall.health.rules import status_of
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema

TABLE = "system_health"

COLUMNS = (
    "sample_id", "sampled_at", "host", "pid", "worker_id", "cpu_percent", "memory_percent",
    "disk_percent", "disk_path", "open_files", "event_loop_lag_seconds", "pool_in_use", "pool_size",
    "healthy", "details",
)  # fmt: skip

_REPORT = """
INSERT INTO {schema}.workers AS w (
    worker_id, host, pid, pipeline_id, version, interval_seconds, status, readings, problems
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::json, $9)
ON CONFLICT (worker_id) DO UPDATE SET
    last_seen_at = clock_timestamp(), status = excluded.status, readings = excluded.readings,
    problems = excluded.problems
"""

_LEAVE = "DELETE FROM {schema}.workers WHERE worker_id = $1"

_FLEET = """
SELECT worker_id, host, pid, pipeline_id, version, started_at, last_seen_at, status,
       readings::text AS readings, problems,
       last_seen_at > clock_timestamp() - make_interval(secs => 3 * interval_seconds) AS alive
FROM {schema}.workers ORDER BY last_seen_at DESC LIMIT 1000
"""


class PostgresHealthStore:
    """Implements ``HealthStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        schema = database.schema
        self._report, self._leave = in_schema(_REPORT, schema), in_schema(_LEAVE, schema)
        self._fleet = in_schema(_FLEET, schema)

    async def report(
        self, worker: Worker, interval_seconds: float, found: Sequence[Reading]
    ) -> None:
        """One statement, on one row."""
        problems = [each.says for each in found if each.status is not HealthStatus.OK]
        async with self._database.acquire() as connection:
            await connection.execute(
                self._report, worker.worker_id, worker.host, worker.pid, worker.pipeline_id,
                worker.version, interval_seconds, status_of(found).value, _json(by_name(found)),
                problems,
            )  # fmt: skip

    async def leave(self, worker: Worker) -> None:
        """Delete its row."""
        async with self._database.acquire() as connection:
            await connection.execute(self._leave, worker.worker_id)

    async def fleet(self) -> list[WorkerHealth]:
        """The last seen first; at most 1,000."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._fleet)
        return [
            WorkerHealth(
                worker=Worker(
                    worker_id=row["worker_id"], host=row["host"], pid=row["pid"],
                    pipeline_id=row["pipeline_id"], version=row["version"],
                ),
                started_at=row["started_at"],
                last_seen_at=row["last_seen_at"],
                alive=row["alive"],
                status=HealthStatus(row["status"]),
                readings=msgspec.json.decode(row["readings"]),
                problems=tuple(row["problems"]),
            )
            for row in rows
        ]  # fmt: skip


def row(worker: Worker, sample: Sample, found: Sequence[Reading]) -> tuple[Any, ...]:
    """A sample as a row, in the order of ``COLUMNS``; of disks the fullest."""
    machine, gauges = sample.machine, sample.gauges
    fullest = max(sample.disks, key=lambda each: each.percent, default=None)
    status = status_of(found)
    details = {
        "status": status.value,
        "lag_max_seconds": sample.lag_max_seconds,
        "open_files_limit": machine.open_files_limit,
        "memory_free_bytes": machine.memory_free_bytes,
        "limited_by": machine.limited_by,
        "queue": gauges.queue,
        "dropped": gauges.dropped,
        "disks": [_disk(each) for each in sample.disks],
    }
    return (
        uuid7(), sample.taken_at, worker.host, os.getpid(), worker.worker_id, machine.cpu_percent,
        machine.memory_percent, None if fullest is None else fullest.percent,
        None if fullest is None else fullest.path, machine.open_files,
        sample.lag_seconds, gauges.pool_in_use, gauges.pool_size, status is HealthStatus.OK,
        _json(details),
    )  # fmt: skip


def _disk(disk: Disk) -> dict[str, Any]:
    return {
        "path": disk.path,
        "percent": disk.percent,
        "free_bytes": disk.free_bytes,
        "inodes_percent": disk.inodes_percent,
    }


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
