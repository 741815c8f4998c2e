"""The commands, each from its own module, which is imported when the command is run.

Exit codes: 0 done; 1 the work failed, or ``doctor`` found something wrong; 2 wrong use, or no
usable database; 130 stopped by a signal. ``load`` has more: see ``load_command``.
"""

import importlib
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from seawall._version import __version__

# Command: module, and what of it is the command. A module of the same name has ``app``, several
# commands.
_COMMANDS = {
    "demo": "demo_command.demo",
    "doctor": "doctor.doctor",
    "status": "status.status",
    "dashboard": "dashboard.dashboard",
    "runs": "runs.runs",
    "errors": "errors.errors",
    "patterns": "patterns.app",
    "budget": "budget.budget",
    "health": "health.health",
    "breakers": "breakers.app",
    "checkpoints": "checkpoints.app",
    "quarantine": "quarantine.app",
    "alerts": "alerts.app",
    "audit": "audit.audit",
    "journal": "journal.app",
    "load": "load_command.load",
    "migrate": "deploy.migrate",
    "prune": "deploy.prune",
    "schema": "deploy.schema",
    "roles": "deploy.roles",
    "server": "server.app",
}


def build(arguments: Sequence[str]) -> typer.Typer:
    """The app for a command line: only the command that it names is imported, else all are.

    Args:
        arguments: of the command line, without the program's name.
    """
    app = typer.Typer(
        name="seawall",
        help="Asyncio ETL workers that fail safely.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(main)
    named = [each for each in arguments[:1] if each in _COMMANDS]
    for name in named or _COMMANDS:
        module, _, attribute = _COMMANDS[name].partition(".")
        found = importlib.import_module(f"seawall.cli.{module}")
        command = getattr(found, attribute)
        if attribute == "app":
            app.add_typer(command, name=name)
        else:
            app.command(name, help=getattr(found, "HELP", None))(command)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Asyncio ETL workers that fail safely."""
    warnings.simplefilter("ignore", UserWarning)  # the commands say what they use themselves
