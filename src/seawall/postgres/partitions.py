"""Tables that grow without end: monthly partitions by UUIDv7 key, made ahead, dropped by age."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from seawall.clock import utc_now
from seawall.postgres.names import in_schema, quote

PARTITIONED = ("error_details", "retry_attempts", "system_health")

MONTHS_AHEAD = 2

_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_EXISTING = """
SELECT c.relname AS name
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE n.nspname = $1 AND p.relname = $2
"""

# A row of the default partition that belongs into a new one would refuse the attaching.
_MOVE = """
WITH moved AS (
    DELETE FROM {schema}.{default} WHERE {key} >= $1 AND {key} < $2 RETURNING *
)
INSERT INTO {schema}.{partition} SELECT * FROM moved
"""

_KEYS = {"error_details": "error_id", "retry_attempts": "attempt_id", "system_health": "sample_id"}


def uuid7_floor(moment: datetime) -> UUID:
    """The smallest UUIDv7 of ``moment`` (milliseconds count): a bound between partitions."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


def _month(moment: datetime, later: int = 0) -> datetime:
    months = moment.year * 12 + moment.month - 1 + later
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def _name(table: str, month: datetime) -> str:
    return f"{table}_{month:%Y_%m}"


async def ensure_partitions(
    connection: Any, schema: str, *, ahead: int = MONTHS_AHEAD, now: datetime | None = None
) -> list[str]:
    """Make the partitions of this month and of ``ahead`` more; the names of the new ones.

    Safe from many workers at once. One that can't have its lock within 2 s is left to the next
    time: rows then go to the default partition, and are moved when it is made.
    """
    moment = utc_now() if now is None else now
    made = []
    for table in PARTITIONED:
        existing = {row["name"] for row in await connection.fetch(_EXISTING, schema, table)}
        for later in range(ahead + 1):
            month = _month(moment, later)
            name = _name(table, month)
            if name not in existing and await _make(connection, schema, table, month):
                made.append(name)
    return made


async def _make(connection: Any, schema: str, table: str, month: datetime) -> bool:
    name, start, end = _name(table, month), uuid7_floor(month), uuid7_floor(_month(month, 1))
    try:
        async with connection.transaction():
            await connection.execute(_LOCK_TIMEOUT)
            await connection.fetchval(_LOCK, f"seawall partitions {schema}")
            if await connection.fetchval("SELECT to_regclass($1)", f"{quote(schema)}.{name}"):
                return False
            parent, child = f"{quote(schema)}.{table}", f"{quote(schema)}.{name}"
            # Made aside and attached: creating it in place would lock the parent for all.
            await connection.execute(
                f"CREATE TABLE {child} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            )
            move = in_schema(_MOVE, schema).replace("{default}", f"{table}_default")
            move = move.replace("{partition}", name).replace("{key}", _KEYS[table])
            await connection.execute(move, start, end)
            # DDL takes no parameters; the bounds are UUIDs of our own making.
            await connection.execute(
                f"ALTER TABLE {parent} ATTACH PARTITION {child} "
                f"FOR VALUES FROM ('{start}') TO ('{end}')"
            )
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return False
    return True


async def drop_partitions(
    connection: Any, schema: str, *, keep: timedelta, now: datetime | None = None
) -> list[str]:
    """Drop the partitions whose every row is older than ``keep``; the names of those dropped.

    One that can't be locked within 2 s is left to the next time.
    """
    oldest = (utc_now() if now is None else now) - keep
    dropped = []
    for table in PARTITIONED:
        for row in await connection.fetch(_EXISTING, schema, table):
            suffix = row["name"].removeprefix(f"{table}_")
            if suffix == "default" or _end(suffix) > oldest:
                continue
            try:
                async with connection.transaction():
                    await connection.execute(_LOCK_TIMEOUT)
                    await connection.execute(f"DROP TABLE {quote(schema)}.{quote(row['name'])}")
            except asyncpg.LockNotAvailableError:
                continue
            dropped.append(row["name"])
    return sorted(dropped)


def _end(suffix: str) -> datetime:
    year, month = map(int, suffix.split("_"))
    return _month(datetime(year, month, 1, tzinfo=UTC), 1)
