"""``seawall budget``: how error budgets stand, with a chart of how one burns."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from seawall.cli.common import (
    AsJson,
    Dsn,
    Folder,
    Schema,
    acting,
    cell,
    emit,
    fields,
    run,
    table,
)
from seawall.postgres import budget_reports

_BARS = " ▁▂▃▄▅▆▇█"

Pipeline = Annotated[str, typer.Argument(help="The pipeline.")]


def budget(
    pipeline: Pipeline,
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    days: Annotated[float, typer.Option(min=0.01, max=400, help="Over the last days.")] = 30,
    sli: Annotated[str, typer.Option(help="runs or rows.")] = "runs",
    objective: Annotated[
        float | None, typer.Option(help="Set what the pipeline aims at, such as 0.995.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a pipeline's error budget stands and burns; or set its objective."""

    async def work() -> dict[str, Any]:
        async with acting(dsn, folder, schema) as manager:
            if objective is not None:
                await manager.set_error_budget_objective(objective, pipeline, sli=sli)
            status = await manager.get_error_budget_status(pipeline, days, sli=sli)
            alerts = await manager.get_error_budget_alerts(pipeline)
            async with manager.database.acquire() as connection:
                burn = await budget_reports.burn_down(connection, schema, pipeline, days, sli)
        return {"status": dict(status), "burn": burn, "alerts": [asdict(each) for each in alerts]}

    found = run(work())
    emit(found, as_json=as_json, show=lambda console: _show(console, pipeline, found))


def _show(console: Console, pipeline: str, found: dict[str, Any]) -> None:
    status = found["status"]
    fields(
        console, f"Error budget of {pipeline}",
        [(name.replace("_", " "), value) for name, value in status.items() if name != "burn_rates"],
    )  # fmt: skip
    rates = "  ".join(f"{name} {rate:.2f}" for name, rate in status["burn_rates"].items())
    console.print(f"  burn rates: {rates}")
    shares = budget_reports.remaining(found["burn"], status["objective"])
    if shares:
        console.print(f"\n[bold]Left of the budget[/], by day, {cell(len(shares))} days:")
        console.print(f"  {escape(''.join(_bar(each) for each in shares))}  {shares[-1]:.0%} left")
    columns = [("alert", "severity"), ("state", "state"), ("rule", "rule"), ("bad", "bad"),
               ("of", "total"), ("since", "fired_at"), ("until", "resolved_at")]  # fmt: skip
    console.print()
    table(console, "Burn-rate alerts", columns, found["alerts"])


def _bar(share: float) -> str:
    return _BARS[round(share * (len(_BARS) - 1))]
