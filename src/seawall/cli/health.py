"""``seawall health``: the workers and their machines."""

from dataclasses import asdict
from typing import Any

from rich.console import Console

from seawall.cli.common import AsJson, Dsn, Folder, Schema, acting, cell, emit, run, table


def health(
    dsn: Dsn = None, folder: Folder = None, schema: Schema = "seawall", *, as_json: AsJson = False
) -> None:
    """Show this machine's readings, and the latest sample of every worker."""

    async def work() -> dict[str, Any]:
        async with acting(dsn, folder, schema) as manager:
            return asdict(await manager.get_system_health())

    found = run(work())
    emit(found, as_json=as_json, show=lambda console: _show(console, found))


def _show(console: Console, found: dict[str, Any]) -> None:
    heads = [("status", "status"), ("reading", "says"), ("do", "advice")]
    table(console, f"This machine: {found['status'].value}", heads, found["readings"])
    workers = [
        {
            **each["worker"],
            "status": each["status"],
            "seen": each["last_seen_at"],
            "alive": cell(each["alive"]),
            "problems": "; ".join(each["problems"]),
        }
        for each in found["fleet"]
    ]
    heads = [("host", "host"), ("pid", "pid"), ("pipeline", "pipeline_id"), ("alive", "alive"),
             ("status", "status"), ("last seen", "seen"), ("problems", "problems")]  # fmt: skip
    table(console, "Workers", heads, workers)
