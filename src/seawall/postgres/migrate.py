"""Migrations: numbered plain-SQL files, checksummed, each in a transaction of its own."""

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from seawall._version import __version__
from seawall.errors import MigrationError, UnsupportedServerError
from seawall.postgres.names import in_schema, quote
from seawall.postgres.partitions import ensure_partitions

_logger = logging.getLogger("seawall.postgres")

OLDEST_VERSION = 15

_FILE = re.compile(r"(?P<number>\d{4})_(?P<phase>pre|post)_[a-z0-9_]+\.sql")

# An advisory lock of the transaction: it works behind a transaction pooler too.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_TABLE = """
CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
    number int PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    library_version text NOT NULL
);
COMMENT ON TABLE {schema}.schema_migrations IS 'Which migrations this schema has had.';
COMMENT ON COLUMN {schema}.schema_migrations.number IS 'From 1, without gaps.';
COMMENT ON COLUMN {schema}.schema_migrations.name IS 'The file, without .sql.';
COMMENT ON COLUMN {schema}.schema_migrations.checksum IS 'SHA-256 of the file as applied.';
COMMENT ON COLUMN {schema}.schema_migrations.applied_at IS 'When it was applied.';
COMMENT ON COLUMN {schema}.schema_migrations.library_version IS 'The seawall that brought it.';
"""

_SCHEMA_EXISTS = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"

_EXISTS = "SELECT to_regclass($1) IS NOT NULL"

_APPLIED = "SELECT number, name, checksum FROM {schema}.schema_migrations ORDER BY number"

_RECORD = """
INSERT INTO {schema}.schema_migrations (number, name, checksum, library_version)
VALUES ($1, $2, $3, $4)
"""

_SEARCH_PATH = "SELECT set_config('search_path', $1, true)"


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def sql_folder() -> Path:
    """The folder ``sql``: inside the package in a wheel, at the top of a source checkout."""
    package = Path(__file__).parents[1]
    inside = package / "sql"
    return inside if inside.is_dir() else package.parents[1] / "sql"


def migrations() -> list[Migration]:
    """All migrations, in order."""
    found = []
    for path in sorted((sql_folder() / "migrations").glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: a migration is named NNNN_pre_… or NNNN_post_….sql")
        found.append(Migration(int(match["number"]), path.stem, path.read_text("utf-8")))
    if not found:
        raise MigrationError(f"no migrations in {sql_folder()}: install seawall again")
    numbers = [each.number for each in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"migrations are numbered {numbers}: they run from 1, without gaps")
    return found


async def migrate(connection: Any, schema: str = "seawall") -> list[str]:
    """Bring the schema up to date; the names of the migrations that this call applied.

    Also makes the partitions that are due. Up to date already, it costs a few queries and takes no
    lock. Safe from any number of workers.

    Raises:
        UnsupportedServerError: the server is older than PostgreSQL 15.
        MigrationError: a file was altered after it was applied, the database is newer than this
            library, or the role may not create the schema.
    """
    version = connection.get_server_version()
    if version.major < OLDEST_VERSION:
        raise UnsupportedServerError(
            f"the server is PostgreSQL {version.major}.{version.minor}; seawall needs "
            f"{OLDEST_VERSION} or newer: upgrade it, or pass another DSN"
        )
    try:
        applied = await _apply(connection, schema) if await pending(connection, schema) else []
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(
            f"the role may not create or change schema {schema!r} ({error}): run `seawall migrate` "
            "once with a role that may, grant it CREATE on the database, or give it a schema of "
            "that name"
        ) from error
    except asyncpg.ReadOnlySQLTransactionError as error:
        raise MigrationError(
            f"schema {schema!r} needs a migration, but the server takes no writes ({error}): pass "
            "the DSN of the primary, or of a role without default_transaction_read_only"
        ) from error
    try:
        await ensure_partitions(connection, schema)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError) as error:
        # A role that only writes: its rows go to the default partition until the owner starts.
        _logger.info("no partitions made in schema %s: %s", schema, error)
    return applied


async def pending(connection: Any, schema: str = "seawall") -> list[str]:
    """Names of the migrations that are still to be applied.

    Raises:
        MigrationError: an applied file was altered, or the database is newer than this library.
    """
    return [each.name for each in await _to_apply(connection, schema)]


async def _to_apply(connection: Any, schema: str) -> list[Migration]:
    known = migrations()
    if not await connection.fetchval(_EXISTS, f"{quote(schema)}.schema_migrations"):
        return known
    applied = {row["number"]: row for row in await connection.fetch(in_schema(_APPLIED, schema))}
    newer = [row["name"] for number, row in applied.items() if number > len(known)]
    if newer:
        raise MigrationError(
            f"schema {schema!r} is newer than seawall {__version__} (it has {', '.join(newer)}): "
            "upgrade this installation"
        )
    for each in known:
        if each.number in applied and applied[each.number]["checksum"] != each.checksum:
            raise MigrationError(
                f"migration {each.name} differs from the one applied to schema {schema!r}: restore "
                "the file; what is applied is changed by a new migration only"
            )
    return [each for each in known if each.number not in applied]


async def _apply(connection: Any, schema: str) -> list[str]:
    names: list[str] = []
    while True:
        # Read committed, whatever the user's default: after the lock, see what the last one did.
        async with connection.transaction(isolation="read_committed"):
            await connection.fetchval(_LOCK, f"seawall migrations {schema}")
            # IF NOT EXISTS would ask for CREATE on the database even where the schema is there.
            if not await connection.fetchval(_SCHEMA_EXISTS, schema):
                await connection.execute(in_schema("CREATE SCHEMA {schema}", schema))
            await connection.execute(in_schema(_TABLE, schema))
            waiting = await _to_apply(connection, schema)  # another worker may have been first
            if not waiting:
                return names
            migration = waiting[0]
            await connection.fetchval(_SEARCH_PATH, quote(schema))
            await connection.execute(migration.sql)
            await connection.execute(
                in_schema(_RECORD, schema),
                migration.number,
                migration.name,
                migration.checksum,
                __version__,
            )
            names.append(migration.name)


def render_schema(schema: str = "seawall") -> str:
    """All migrations as one file, for people and for other tools.

    Run on a server, it does what ``migrate`` does there, their record in ``schema_migrations``
    included, all or nothing; ``migrate`` then only adds the partitions.
    """
    head = (
        "-- seawall's schema: all migrations in order, made by `seawall schema`. The monthly "
        "partitions\n-- of error_details, retry_attempts and system_health are made by the "
        "program.\n\nBEGIN;\n"
        f"CREATE SCHEMA IF NOT EXISTS {quote(schema)};\nSET LOCAL search_path TO {quote(schema)};\n"
    )
    parts = [f"-- {each.name}\n\n{each.sql.strip()}\n{_record(each)}" for each in migrations()]
    return "\n".join([head, in_schema(_TABLE, schema).lstrip(), *parts, "COMMIT;\n"])


def _record(migration: Migration) -> str:
    """The row that says it was applied; its values are names and numbers of our own."""
    return (
        "\nINSERT INTO schema_migrations (number, name, checksum, library_version) VALUES\n"
        f"    ({migration.number}, '{migration.name}',\n    '{migration.checksum}',\n"
        f"    '{__version__}');\n"
    )
