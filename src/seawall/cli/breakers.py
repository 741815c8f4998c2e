"""``seawall breakers``: the fleet's circuit breakers, to look at and to force."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from seawall.circuitbreaker import CircuitState
from seawall.cli.common import (
    Actor,
    AsJson,
    Dsn,
    Folder,
    Reason,
    Schema,
    acting,
    actor_of,
    emit,
    looking,
    run,
    table,
)
from seawall.clock import MACHINE_CLOCK
from seawall.postgres import breaker_reports

app = typer.Typer(help="The fleet's circuit breakers.", no_args_is_help=True)

Service = Annotated[str, typer.Argument(help="The breaker's name.")]
_COLUMNS = [
    ("service", "service_name"), ("state", "state"), ("since", "updated_at"),
    ("openings", "opened_count"), ("open for, s", "open_seconds"), ("reason", "reason"),
]  # fmt: skip


@app.command("list")
def list_breakers(
    dsn: Dsn = None, folder: Folder = None, schema: Schema = "seawall", *, as_json: AsJson = False
) -> None:
    """List all breakers with their state."""

    async def work() -> list[dict[str, Any]]:
        async with looking(dsn, folder, schema) as (connection, _):
            return await breaker_reports.breakers(connection, schema)

    found = run(work())
    emit(found, as_json=as_json, show=lambda c: table(c, "Circuit breakers", _COLUMNS, found))


@app.command("open")
def open_breaker(
    service: Service,
    reason: Reason,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    seconds: Annotated[
        float | None, typer.Option(min=0.001, help="For so long; until `close` without it.")
    ] = None,
    actor: Actor = None,
) -> None:
    """Open a breaker for the whole fleet."""
    state = CircuitState.FORCED_OPEN if seconds is None else CircuitState.OPEN
    _force(service, state, reason, dsn, folder, schema, actor, seconds or 300.0)


@app.command("close")
def close_breaker(
    service: Service,
    reason: Reason,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    actor: Actor = None,
) -> None:
    """Close a breaker for the whole fleet; it goes on by its rules."""
    _force(service, CircuitState.CLOSED, reason, dsn, folder, schema, actor, 300.0)


app.command("reset", help="The same as close.")(close_breaker)


def _force(
    service: str,
    state: CircuitState,
    reason: str,
    dsn: Any,
    folder: Any,
    schema: str,
    actor: str | None,
    seconds: float,
) -> None:
    async def work() -> None:
        async with acting(dsn, folder, schema) as manager:
            await manager.force_circuit_breaker(
                service, state, reason=reason, seconds=seconds, actor=actor_of(actor)
            )

    run(work())
    typer.echo(f"{service} is {state.value} for the whole fleet")


@app.command("watch")
def watch_breakers(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show all breakers as they change, until stopped."""

    async def work() -> None:
        console = Console(highlight=False)
        async with looking(dsn, folder, schema) as (connection, _):
            with Live(console=console, auto_refresh=False) as live:
                while True:
                    found = await breaker_reports.breakers(connection, schema)
                    with console.capture() as captured:
                        table(console, "Circuit breakers", _COLUMNS, found)
                    live.update(captured.get(), refresh=True)
                    await MACHINE_CLOCK.sleep(every)

    run(work())
