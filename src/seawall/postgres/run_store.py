"""Runs as rows of ``runs``."""

import os
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from seawall.postgres.database import Database
from seawall.postgres.names import in_schema

_BEGIN = """
INSERT INTO {schema}.runs AS r (run_id, pipeline_id, status, release, tags, host, pid, start_count)
VALUES ($1, $2, 'running', $3, $4, $5, $6, 1)
ON CONFLICT (run_id) DO UPDATE
SET status = 'running', release = coalesce(excluded.release, r.release),
    tags = coalesce(excluded.tags, r.tags), host = excluded.host, pid = excluded.pid,
    start_count = r.start_count + 1, ended_at = NULL, error_type = NULL, error_message = NULL
"""

_END = """
UPDATE {schema}.runs
SET status = $2, ended_at = clock_timestamp(), error_type = $3, error_message = $4
WHERE run_id = $1
"""


class PostgresRunStore:
    """The ``RunStore`` over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, run_id: str, pipeline_id: str, release: str | None, tags: Mapping[str, Any] | None
    ) -> None:
        async with self._database.acquire() as connection:
            await connection.execute(
                in_schema(_BEGIN, self._database.schema),
                run_id,
                pipeline_id,
                release,
                None if tags is None else msgspec.json.encode(tags).decode(),
                socket.gethostname(),
                os.getpid(),
            )

    async def end(
        self, run_id: str, status: str, error_type: str | None, message: str | None
    ) -> None:
        async with self._database.acquire() as connection:
            await connection.execute(
                in_schema(_END, self._database.schema), run_id, status, error_type, message
            )
