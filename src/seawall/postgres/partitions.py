"""Tables that grow without end: monthly partitions by UUIDv7 key, made ahead, dropped by age."""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from seawall.errors import InvalidConfigError
from seawall.postgres.names import in_schema, quote

# Each table's key: it grows with time, so a range of keys is a range of time.
_KEYS = {"error_details": "error_id", "retry_attempts": "attempt_id", "system_health": "sample_id"}

PARTITIONED = tuple(_KEYS)

MONTHS_AHEAD = 2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NAME = re.compile(
    rf"(?P<table>{'|'.join(PARTITIONED)})_(?P<year>[12]\d{{3}})_(?P<month>0[1-9]|1[0-2])"
)

_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_EXISTING = """
SELECT c.relname AS name
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_class p ON p.oid = i.inhparent
JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE n.nspname = $1 AND p.relname = ANY($2::text[])
ORDER BY name
"""

# A function of the owner: a role that only writes may make partitions all the same.
_MAKE = "SELECT {schema}.make_partition($1, $2)"

_DELETE_OLD = "DELETE FROM {schema}.{default} WHERE {key} < $1"


def uuid7_floor(moment: datetime) -> UUID:
    """The smallest UUIDv7 of ``moment`` (aware; milliseconds count): a bound between partitions."""
    milliseconds = max(0, (moment - _EPOCH) // timedelta(milliseconds=1))
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


def _fill(query: str, schema: str, table: str, **names: str) -> str:
    """The query with identifiers of ours filled in, and the user's schema last of all."""
    names |= {"table": table, "default": f"{table}_default", "key": _KEYS[table]}
    for placeholder, name in names.items():
        query = query.replace(f"{{{placeholder}}}", name)
    return in_schema(query, schema)


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
    time: rows then go to the default partition, and are moved when it is made. ``now`` is the
    database's, where none is given.
    """
    moment = await _now(connection, now)
    existing = set(await _existing(connection, schema))
    made = []
    for table in PARTITIONED:
        for later in range(ahead + 1):
            month = _month(moment, later)
            name = _name(table, month)
            if name not in existing and await _make(connection, schema, table, month):
                made.append(name)
    return made


async def _existing(connection: Any, schema: str) -> list[str]:
    return [row["name"] for row in await connection.fetch(_EXISTING, schema, PARTITIONED)]


async def _lock(connection: Any, schema: str) -> None:
    """Until the transaction's end, no other worker makes or drops partitions here."""
    await connection.execute(_LOCK_TIMEOUT)
    await connection.fetchval(_LOCK, f"seawall partitions {schema}")


async def _make(connection: Any, schema: str, table: str, month: datetime) -> bool:
    try:
        # Read committed, whatever the user's default: after the locks, see what others did.
        async with connection.transaction(isolation="read_committed"):
            made: bool = await connection.fetchval(in_schema(_MAKE, schema), table, month.date())
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return False
    return made


async def drop_partitions(
    connection: Any,
    schema: str,
    *,
    keep: timedelta | Mapping[str, timedelta],
    now: datetime | None = None,
) -> list[str]:
    """Drop the partitions whose every row is older than ``keep``; the names of those dropped.

    ``keep`` is for all tables, or by table: one that is not named is left alone. ``now`` is the
    database's, where none is given: a worker whose clock is wrong must not drop what is young.

    Rows of that age in the default partitions are deleted. Safe from many workers at once: each
    partition is named by the one that dropped it. What can't be locked within 2 s is left to the
    next time; a partition that a user attached under a name of another form stays.

    Raises:
        InvalidConfigError: ``keep`` isn't positive.
    """
    ages = keep if isinstance(keep, Mapping) else dict.fromkeys(PARTITIONED, keep)
    for age in ages.values():
        if age <= timedelta(0):
            raise InvalidConfigError(f"keep={age!r}: must be positive")
    moment = await _now(connection, now)
    oldest = {table: moment - age for table, age in ages.items() if age <= moment - _EPOCH}
    dropped = []
    for name in await _existing(connection, schema):
        match = _NAME.fullmatch(name)
        if match is None or match["table"] not in oldest or _end(match) > oldest[match["table"]]:
            continue
        if await _drop(connection, schema, name):
            dropped.append(name)
    for table, bound in oldest.items():
        await _delete_old(connection, schema, table, bound)
    return dropped


async def _now(connection: Any, given: datetime | None) -> datetime:
    now: datetime = given or await connection.fetchval("SELECT clock_timestamp()")
    return now


def _end(match: re.Match[str]) -> datetime:
    return _month(datetime(int(match["year"]), int(match["month"]), 1, tzinfo=UTC), 1)


async def _drop(connection: Any, schema: str, name: str) -> bool:
    try:
        async with connection.transaction(isolation="read_committed"):
            await _lock(connection, schema)
            if name not in await _existing(connection, schema):
                return False  # another worker was first
            await connection.execute(f"DROP TABLE {quote(schema)}.{quote(name)}")
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return False
    return True


async def _delete_old(connection: Any, schema: str, table: str, oldest: datetime) -> None:
    with contextlib.suppress(asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        async with connection.transaction(isolation="read_committed"):
            await _lock(connection, schema)
            await connection.execute(_fill(_DELETE_OLD, schema, table), uuid7_floor(oldest))
