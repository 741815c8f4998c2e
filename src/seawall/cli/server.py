"""``seawall server``: the embedded PostgreSQL."""

import json

import typer

from seawall.cli.common import AsJson, Folder, run
from seawall.postgres.embedded import start_detached, stop
from seawall.postgres.embedded import status as server_status

app = typer.Typer(help="The embedded PostgreSQL.", no_args_is_help=True)


@app.command("start")
def server_start(folder: Folder = None) -> None:
    """Start the embedded PostgreSQL; it runs on until ``seawall server stop``."""
    running = run(start_detached(folder))
    typer.echo(f"running in {running.root}\nDSN: {running.dsn()}")


@app.command("stop")
def server_stop(folder: Folder = None) -> None:
    """Stop the embedded PostgreSQL; its clients are disconnected."""
    typer.echo("stopped" if run(stop(folder)) else "it was not running")


@app.command("status")
def server_show(folder: Folder = None, *, as_json: AsJson = False) -> None:
    """Say whether the embedded PostgreSQL runs, and where it is."""
    found = run(server_status(folder))
    if as_json:
        names = ("root", "state", "version", "socket_dir", "held", "data_bytes")
        typer.echo(json.dumps({name: getattr(found, name) for name in names}, default=str))
        return
    size = "" if found.data_bytes is None else f", {found.data_bytes / 1e6:,.0f} MB"
    held = " (until `seawall server stop`)" if found.held else ""
    version = "" if found.version is None else f"PostgreSQL {found.version} "
    typer.echo(f"{version}{found.state}{held} in {found.root}{size}")
