"""``seawall migrate | prune | schema | roles``: the database's schema."""

import math
import sys
from datetime import timedelta
from typing import Annotated

import typer

from seawall.cli.common import Dsn, Folder, Schema, dsn_of, run
from seawall.config import RecoveryConfig
from seawall.maintenance import Retention
from seawall.postgres.database import Database
from seawall.postgres.migrate import migrate as apply_migrations
from seawall.postgres.migrate import render_schema
from seawall.postgres.partitions import drop_partitions
from seawall.postgres.roles import render_roles
from seawall.postgres.run_store import PostgresRunStore
from seawall.postgres.upkeep_store import PostgresUpkeepStore


def migrate(dsn: Dsn = None, folder: Folder = None, schema: Schema = "seawall") -> None:
    """Bring the database's schema up to date."""

    async def work() -> list[str]:
        database = Database(dsn_of(dsn, folder), config=RecoveryConfig(), schema=schema)
        await database.start(migrated=False)
        try:
            async with database.acquire() as connection:
                return await apply_migrations(connection, schema)
        finally:
            await database.aclose()

    applied = run(work())
    typer.echo("\n".join(f"applied {name}" for name in applied) or "up to date")


def prune(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    days: Annotated[int, typer.Option(min=1, help="Keep what is younger than this.")] = 90,
) -> None:
    """Drop the months of errors, retries and health, and delete the history, that are older."""

    async def work() -> list[str]:
        database = Database(dsn_of(dsn, folder), config=RecoveryConfig(), schema=schema)
        await database.start()
        try:
            async with database.acquire() as connection:
                dropped = await drop_partitions(connection, schema, keep=timedelta(days=days))
            kept = Retention(errors=days, retries=days, health=days, history=days, runs=0)
            await PostgresUpkeepStore(database, PostgresRunStore(database)).prune(kept, math.inf)
            return dropped
        finally:
            await database.aclose()

    dropped = run(work())
    typer.echo("\n".join(f"dropped {name}" for name in dropped) or "nothing is older")


def schema(schema: Schema = "seawall") -> None:
    """Print the schema as one SQL file."""
    sys.stdout.write(render_schema(schema))


def roles(
    writer: Annotated[str, typer.Option(help="The workers' role.")] = "seawall_writer",
    reader: Annotated[str, typer.Option(help="People's and dashboards' role.")] = "seawall_reader",
    schema: Schema = "seawall",
) -> None:
    """Print the least rights of two roles as SQL, for the schema's owner to run."""
    sys.stdout.write(render_roles(schema, writer=writer, reader=reader))
