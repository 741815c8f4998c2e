"""The commands, each from its own module.

Exit codes: 0 done; 1 the work failed, or ``doctor`` found something wrong; 2 wrong use, or no
usable database; 130 stopped by a signal. ``load`` has more: see ``load_command``.
"""

import warnings
from typing import Annotated

import typer

from seawall._version import __version__
from seawall.cli import (
    breakers,
    checkpoints,
    deploy,
    journal,
    load_command,
    patterns,
    quarantine,
    server,
)
from seawall.cli.alerts import app as alerts
from seawall.cli.audit import audit
from seawall.cli.budget import budget
from seawall.cli.dashboard import dashboard
from seawall.cli.demo_command import demo
from seawall.cli.doctor import doctor
from seawall.cli.errors import errors
from seawall.cli.health import health
from seawall.cli.runs import runs
from seawall.cli.status import status

app = typer.Typer(
    name="seawall",
    help="Asyncio ETL workers that fail safely.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


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


for command in (
    demo, doctor, status, dashboard, runs, errors, budget, health, audit, deploy.migrate,
    deploy.prune, deploy.schema, deploy.roles,
):  # fmt: skip
    app.command()(command)
app.command("load", help=load_command.HELP)(load_command.load)
app.add_typer(patterns.app, name="patterns")
app.add_typer(breakers.app, name="breakers")
app.add_typer(checkpoints.app, name="checkpoints")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(alerts, name="alerts")
app.add_typer(journal.app, name="journal")
app.add_typer(server.app, name="server")
