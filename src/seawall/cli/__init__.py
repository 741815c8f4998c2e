"""The command line: ``seawall``; needs the extra ``cli``."""

import sys


def main() -> None:
    """Run the command line; the entry point of the ``seawall`` script."""
    try:
        from seawall.cli.app import build

        app = build(sys.argv[1:])
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich", "click"):
            raise
        print(  # noqa: T201 - there is no rich to print with
            f"seawall: {error.name} is missing: pip install 'seawall[cli]'", file=sys.stderr
        )
        sys.exit(2)
    app()
