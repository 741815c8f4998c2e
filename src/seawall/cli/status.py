"""``seawall status``: runs, positions, quarantine, breakers."""

from typing import Any

from rich.console import Console

from seawall.cli.common import AsJson, Dsn, Folder, Schema, emit, looking, run, table
from seawall.postgres import breaker_reports, run_reports
from seawall.postgres.names import in_schema
from seawall.quarantine import codec

_CHECKPOINTS = """
SELECT c.run_id, c.step, c.partition, c.status, c.position, c.read_count, c.write_count,
       c.skip_count, c.batch_count, c.updated_at
FROM {schema}.checkpoints c JOIN {schema}.runs r USING (run_id)
WHERE c.batch_count > 0
ORDER BY c.updated_at DESC LIMIT $1
"""

_QUARANTINE = """
SELECT run_id, step, status, reason, count(*) AS records
FROM {schema}.quarantined_records GROUP BY run_id, step, status, reason
ORDER BY records DESC LIMIT $1
"""

_OUTBOX = """
SELECT topic, status, count(*) AS messages, max(attempts) AS attempts,
       extract(epoch FROM clock_timestamp() - min(published_at))::float8 AS oldest_seconds
FROM {schema}.outbox_messages GROUP BY topic, status ORDER BY topic, status LIMIT $1
"""

_LIMIT = 20


async def collect(connection: Any, schema: str) -> dict[str, list[dict[str, Any]]]:
    """What is to be shown, as plain values."""

    async def rows(query: str, *args: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await connection.fetch(in_schema(query, schema), *args)]

    checkpoints = await rows(_CHECKPOINTS, _LIMIT)
    for row in checkpoints:
        row["position"] = None if row["position"] is None else codec.decode(row["position"])
    return {
        "runs": await run_reports.runs(connection, schema, None, None, _LIMIT),
        "checkpoints": checkpoints,
        "quarantine": await rows(_QUARANTINE, _LIMIT),
        "breakers": await breaker_reports.breakers(connection, schema),
        "outbox": await rows(_OUTBOX, _LIMIT),
    }


def show(found: dict[str, list[dict[str, Any]]], console: Console) -> None:
    """The same for people."""
    table(
        console,
        "Runs",
        [("run", "run_id"), ("pipeline", "pipeline_id"), ("status", "status"),
         ("starts", "start_count"), ("started", "started_at"), ("seconds", "seconds")],
        found["runs"],
    )  # fmt: skip
    table(
        console,
        "Positions",
        [("run", "run_id"), ("step", "step"), ("position", "position"), ("read", "read_count"),
         ("loaded", "write_count"), ("aside", "skip_count"), ("batches", "batch_count")],
        found["checkpoints"],
    )  # fmt: skip
    table(
        console,
        "Quarantine",
        [("run", "run_id"), ("status", "status"), ("records", "records"), ("reason", "reason")],
        found["quarantine"],
    )
    table(
        console,
        "Circuit breakers of the fleet",
        [("service", "service_name"), ("state", "state"), ("since", "updated_at"),
         ("openings", "opened_count"), ("open for, s", "open_seconds"), ("reason", "reason")],
        found["breakers"],
    )  # fmt: skip
    table(
        console,
        "Outbox",
        [("topic", "topic"), ("status", "status"), ("messages", "messages"),
         ("attempts", "attempts"), ("oldest, s", "oldest_seconds")],
        found["outbox"],
    )  # fmt: skip


def status(
    dsn: Dsn = None, folder: Folder = None, schema: Schema = "seawall", *, as_json: AsJson = False
) -> None:
    """Show runs, positions, what is in quarantine and why, and circuit breakers."""

    async def work() -> dict[str, list[dict[str, Any]]]:
        async with looking(dsn, folder, schema) as (connection, _):
            return await collect(connection, schema)

    found = run(work())
    emit(found, as_json=as_json, show=lambda console: show(found, console))
