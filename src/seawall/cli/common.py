"""What the commands share: options, the way to the database, how to fail, how to print."""

import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar
from urllib.parse import quote
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.config import RecoveryConfig
from seawall.errors import MigrationError, SeawallError
from seawall.postgres.database import Database
from seawall.postgres.embedded import default_root
from seawall.postgres.migrate import pending
from seawall.quarantine.preview import preview

if TYPE_CHECKING:
    from seawall.manager import ErrorRecoveryManager

T = TypeVar("T")

_NOT_PERMITTED = "42501"

Dsn = Annotated[
    str | None,
    typer.Option(help="The database; SEAWALL_DSN, or the embedded server, without it."),
]
Schema = Annotated[str, typer.Option(help="Where seawall's tables are.")]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of the embedded server, instead of the user's own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Rows at the most.")]
Actor = Annotated[
    str | None, typer.Option(help="Who does it, for the audit log; your login name without it.")
]
Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]


def fail(message: str, code: int) -> NoReturn:
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"seawall: {message}")
    raise typer.Exit(code)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an error of ours or of the database is one line."""
    try:
        return asyncio.run(work)
    except SeawallError as error:
        fail(str(error), 2)
    except (KeyboardInterrupt, asyncio.CancelledError):
        fail("stopped; run it again to go on where it was", 130)
    except Exception as error:
        if (sqlstate := getattr(error, "sqlstate", None)) is None:
            raise
        todo = ": use a role that may do this" if sqlstate == _NOT_PERMITTED else ""
        fail(f"the database refuses (SQLSTATE {sqlstate}): {error}{todo}", 2)


def dsn_of(dsn: str | None, folder: Path | None = None) -> str:
    """The DSN meant: named, of the environment, or the embedded server's folder."""
    if folder is None and (given := dsn or os.environ.get("SEAWALL_DSN")):
        return given
    root = (folder or default_root()).absolute()
    return f"embedded://{quote(str(root))}"


def same_database(command: str, dsn: str | None, folder: Path | None) -> str:
    """A command for the same database; a DSN may hold a password and isn't repeated."""
    if folder is not None:
        return f"{command} --folder {shlex.quote(str(folder))}"
    return f"{command} (with the same --dsn)" if dsn else command


def actor_of(actor: str | None) -> str:
    """Who acts: as named, else the login name."""
    return actor or os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid {os.getuid()}"


@asynccontextmanager
async def looking(
    dsn: str | None, folder: Path | None, schema: str
) -> AsyncIterator[tuple[Any, Database]]:
    """A connection to look at the schema, which must be up to date; to look changes nothing."""
    database = Database(dsn_of(dsn, folder), config=RecoveryConfig(), schema=schema)
    await database.start(migrated=False)
    try:
        async with database.acquire() as connection:
            await _check(connection, database, schema)
            yield connection, database
    finally:
        await database.aclose()


@asynccontextmanager
async def acting(
    dsn: str | None, folder: Path | None, schema: str, **config: Any
) -> "AsyncIterator[ErrorRecoveryManager]":
    """A started manager, for what only it can do; the schema must be up to date.

    A person at a terminal is no worker: it sends no samples of its health.
    """
    from seawall.manager import ErrorRecoveryManager  # half of all that there is to be imported

    async with looking(dsn, folder, schema):
        pass
    config = {"health_interval_seconds": 0, **config}
    async with ErrorRecoveryManager(dsn_of(dsn, folder), schema=schema, config=config) as manager:
        yield manager


async def _check(connection: Any, database: Database, schema: str) -> None:
    if await pending(connection, schema):
        raise MigrationError(
            f"schema {schema!r} is missing or not up to date in {database.describe()}: run "
            "`seawall migrate` with the same options"
        )


Row = Mapping[str, Any]
Columns = Sequence[tuple[str, str]]


def emit(found: Any, *, as_json: bool, show: Callable[[Console], None]) -> None:
    """Print what was found: for programs, or for people."""
    if as_json:
        typer.echo(json.dumps(found, default=str, indent=2))
    else:
        show(Console(highlight=False))


def table(console: Console, title: str, columns: Columns, rows: Sequence[Row]) -> None:
    """Rows under the heads of ``columns`` (head, key); what is long is folded."""
    if not rows:
        console.print(f"[bold]{title}[/]: none\n")
        return
    shown = Table(title=title, title_justify="left", title_style="bold")
    for head, key in columns:
        numeric = isinstance(rows[0][key], int | float)
        shown.add_column(head, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(cell(row[key])) for _, key in columns))
    console.print(shown)
    console.print()


def fields(console: Console, title: str, pairs: Sequence[tuple[str, Any]]) -> None:
    """One thing: a line for each of its fields."""
    console.print(f"[bold]{escape(title)}[/]")
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        console.print(f"  {name:<{width}}  {escape(cell(value))}", soft_wrap=True)
    console.print()


def cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 10 else f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value) if isinstance(value, str | UUID) else preview(value, 40)
