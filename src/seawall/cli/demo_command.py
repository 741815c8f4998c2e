"""``seawall demo``: the main job on real data, through faults."""

import json
from typing import Annotated, Any

import typer

from seawall.cli.common import AsJson, Dsn, Folder, dsn_of, fail, run, same_database


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
        fail(f"{error.name} is missing: pip install 'seawall[demo]'", 2)
    where = dsn_of(dsn, folder)
    try:
        with shown.Display(quiet=as_json) as display:
            report = run(_demo(supervisor, where, kill=kill, fresh=fresh, display=display))
    except supervisor.DemoError as error:
        fail(str(error), 1)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        shown.show(report, same_database("seawall status", dsn, folder))


async def _demo(supervisor: Any, dsn: str, **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = await supervisor.run(dsn, **options)
    return report
