"""The table that files are loaded into: made where it is missing, and checked first."""

from collections.abc import Mapping, Sequence
from typing import Any

from seawall.errors import MissingTableError
from seawall.postgres.database import Database
from seawall.postgres.loading.target import describe
from seawall.postgres.names import quote

_PARTS = "SELECT parse_ident($1)"
_EXISTS = "SELECT to_regclass($1) IS NOT NULL"


async def exists(database: Database, table: str) -> bool:
    """Whether there is such a table, as SQL would find it."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(_EXISTS, table))


async def create(database: Database, table: str, types: Mapping[str, str]) -> None:
    """Create the table; nothing is done where it is there by now.

    ``types`` are its columns, named exactly so, and their types as SQL.
    """
    columns = ", ".join(f"{quote(name)} {kind}" for name, kind in types.items())
    async with database.acquire() as connection:
        parts = await connection.fetchval(_PARTS, table)
        name = ".".join(quote(part) for part in parts)
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")


async def check(database: Database, table: str, files: Mapping[str, Sequence[str]]) -> None:
    """Do nothing if the table has the columns of every file.

    Raises:
        MissingTableError: there is no such table, or it lacks a column; names the file.
    """
    async with database.acquire() as connection:
        target = await describe(connection, table)
        for name, columns in files.items():
            _check_columns(target, name, columns)


def _check_columns(target: Any, name: str, columns: Sequence[str]) -> None:
    try:
        chosen = target.choose(columns)
    except MissingTableError as error:
        raise MissingTableError(f"{name}: {error}") from None
    if generated := [column.name for column in chosen if column.generated]:
        raise MissingTableError(
            f"{name}: column {generated[0]!r} of {target.sql} is generated: it can't be loaded"
        )
