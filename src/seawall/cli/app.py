"""The commands. Exit codes: 0 done, 1 the work failed, 2 wrong use or no usable database.

``load`` has more of them: see ``load_command``.
"""

import asyncio
import json
import os
import shlex
import sys
import warnings
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import quote

import typer
from rich.console import Console

from seawall._version import __version__
from seawall.cli import load_command
from seawall.cli import status as status_view
from seawall.config import RecoveryConfig
from seawall.errors import MigrationError, SeawallError
from seawall.postgres.database import Database
from seawall.postgres.embedded import default_root, start_detached, stop
from seawall.postgres.embedded import status as server_status
from seawall.postgres.migrate import migrate as apply_migrations
from seawall.postgres.migrate import pending, render_schema
from seawall.postgres.partitions import drop_partitions

T = TypeVar("T")

_NOT_PERMITTED = "42501"

app = typer.Typer(
    name="seawall",
    help="Asyncio ETL workers that fail safely.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
server = typer.Typer(help="The embedded PostgreSQL.", no_args_is_help=True)
app.add_typer(server, name="server")

Dsn = Annotated[
    str | None,
    typer.Option(help="The database; SEAWALL_DSN, or the embedded server, without it."),
]
Schema = Annotated[str, typer.Option(help="Where seawall's tables are.")]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of the embedded server, instead of the user's own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def _fail(message: str, code: int) -> NoReturn:
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"seawall: {message}")
    raise typer.Exit(code)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; an error of ours or of the database is one line."""
    try:
        return asyncio.run(work)
    except SeawallError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, asyncio.CancelledError):
        _fail("stopped; run it again to go on where it was", 130)
    except Exception as error:
        if (sqlstate := getattr(error, "sqlstate", None)) is None:
            raise
        todo = ": use a role that may do this" if sqlstate == _NOT_PERMITTED else ""
        _fail(f"the database refuses (SQLSTATE {sqlstate}): {error}{todo}", 2)


def _dsn(dsn: str | None, folder: Path | None = None) -> str:
    """The DSN meant: named, of the environment, or the embedded server's folder."""
    if folder is None and (given := dsn or os.environ.get("SEAWALL_DSN")):
        return given
    root = (folder or default_root()).absolute()
    return f"embedded://{quote(str(root))}"


def _look(dsn: str | None, folder: Path | None) -> str:
    """The command that shows the same database; a DSN may hold a password and isn't repeated."""
    if folder is not None:
        return f"seawall status --folder {shlex.quote(str(folder))}"
    return "seawall status (with the same --dsn)" if dsn else "seawall status"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Asyncio ETL workers that fail safely."""
    warnings.simplefilter("ignore", UserWarning)  # the commands say what they use themselves


@app.command()
def demo(
    dsn: Dsn = None,
    folder: Folder = None,
    *,
    kill: Annotated[
        bool, typer.Option("--kill", help="Kill the worker in the middle, and start it again.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Load all 336,776 flights that left New York in 2013, exactly once, through faults."""
    try:
        from seawall.cli.demo import display as shown
        from seawall.cli.demo import supervisor
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is missing: pip install 'seawall[demo]'", 2)
    where = _dsn(dsn, folder)
    try:
        with shown.Display(quiet=as_json) as display:
            report = _run(_demo(supervisor, where, kill=kill, fresh=fresh, display=display))
    except supervisor.DemoError as error:
        _fail(str(error), 1)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        shown.show(report, _look(dsn, folder))


async def _demo(supervisor: Any, dsn: str, **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = await supervisor.run(dsn, **options)
    return report


load_command.register(app, _dsn)


@app.command()
def migrate(dsn: Dsn = None, folder: Folder = None, schema: Schema = "seawall") -> None:
    """Bring the database's schema up to date."""

    async def work() -> list[str]:
        database = Database(_dsn(dsn, folder), config=RecoveryConfig(), schema=schema)
        await database.start(migrated=False)
        try:
            async with database.acquire() as connection:
                return await apply_migrations(connection, schema)
        finally:
            await database.aclose()

    applied = _run(work())
    typer.echo("\n".join(f"applied {name}" for name in applied) or "up to date")


@app.command()
def prune(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    days: Annotated[int, typer.Option(min=1, help="Keep what is younger than this.")] = 90,
) -> None:
    """Drop the monthly partitions of errors, retries and health that are older than that."""

    async def work() -> list[str]:
        database = Database(_dsn(dsn, folder), config=RecoveryConfig(), schema=schema)
        await database.start()
        try:
            async with database.acquire() as connection:
                return await drop_partitions(connection, schema, keep=timedelta(days=days))
        finally:
            await database.aclose()

    dropped = _run(work())
    typer.echo("\n".join(f"dropped {name}" for name in dropped) or "nothing is older")


@app.command()
def schema(schema: Schema = "seawall") -> None:
    """Print the schema as one SQL file."""
    sys.stdout.write(render_schema(schema))


@app.command()
def status(
    dsn: Dsn = None, folder: Folder = None, schema: Schema = "seawall", *, as_json: AsJson = False
) -> None:
    """Show runs, positions, what is in quarantine and why, and circuit breakers."""

    async def work() -> dict[str, list[dict[str, Any]]]:
        database = Database(_dsn(dsn, folder), config=RecoveryConfig(), schema=schema)
        await database.start(migrated=False)  # to look changes nothing
        try:
            async with database.acquire() as connection:
                if await pending(connection, schema):
                    raise MigrationError(
                        f"schema {schema!r} is missing or not up to date in "
                        f"{database.describe()}: run `seawall migrate` with the same options"
                    )
                return await status_view.collect(connection, schema)
        finally:
            await database.aclose()

    found = _run(work())
    if as_json:
        typer.echo(status_view.as_json(found))
    else:
        status_view.show(found, Console(highlight=False))


@server.command("start")
def server_start(folder: Folder = None) -> None:
    """Start the embedded PostgreSQL; it runs on until ``seawall server stop``."""
    running = _run(start_detached(folder))
    typer.echo(f"running in {running.root}\nDSN: {running.dsn()}")


@server.command("stop")
def server_stop(folder: Folder = None) -> None:
    """Stop the embedded PostgreSQL; its clients are disconnected."""
    typer.echo("stopped" if _run(stop(folder)) else "it was not running")


@server.command("status")
def server_show(folder: Folder = None, *, as_json: AsJson = False) -> None:
    """Say whether the embedded PostgreSQL runs, and where it is."""
    found = _run(server_status(folder))
    if as_json:
        fields = ("root", "state", "version", "socket_dir", "held", "data_bytes")
        typer.echo(json.dumps({name: getattr(found, name) for name in fields}, default=str))
        return
    size = "" if found.data_bytes is None else f", {found.data_bytes / 1e6:,.0f} MB"
    held = " (until `seawall server stop`)" if found.held else ""
    version = "" if found.version is None else f"PostgreSQL {found.version} "
    typer.echo(f"{version}{found.state}{held} in {found.root}{size}")
