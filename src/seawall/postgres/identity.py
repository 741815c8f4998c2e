"""Which database this is, whatever the way to it: its name alone could be another server's."""

import asyncpg

from seawall.postgres.database import Database

_IDENTITY = "SELECT system_identifier::text || ' ' || current_database() FROM pg_control_system()"
_NAME = "SELECT current_database()"


async def identity_of(database: Database) -> str:
    """The server's own identifier (a standby has it too), the database, seawall's schema."""
    async with database.acquire() as connection:
        try:
            found = await connection.fetchval(_IDENTITY)
        except asyncpg.InsufficientPrivilegeError:
            found = f"{database.describe()} {await connection.fetchval(_NAME)}"
    return f"{found} {database.schema}"
