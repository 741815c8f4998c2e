"""``seawall doctor``: what is wrong with the installation, and what to do about it."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from seawall.cli.common import AsJson, Dsn, Folder, Schema, dsn_of, emit, run
from seawall.cli.journal import waiting
from seawall.clock import utc_now
from seawall.config import RecoveryConfig
from seawall.errors import SeawallError
from seawall.postgres.database import Database
from seawall.postgres.migrate import pending
from seawall.postgres.names import in_schema

_ROLE = """
SELECT current_user AS role, rolsuper,
    has_database_privilege(current_database(), 'TEMPORARY') AS temporary
FROM pg_roles WHERE rolname = current_user
"""

_DENIED = """
SELECT string_agg(relname || ' (' || verb || ')', ', ' ORDER BY relname) AS denied
FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT']) AS verb
WHERE relnamespace = to_regnamespace($1) AND relname = ANY($2::text[])
  AND NOT has_table_privilege(c.oid, verb)
"""

# Tables that every worker writes.
_WRITTEN = ["checkpoints", "error_details", "quarantined_records", "runs"]

_DEFAULTS = """
SELECT (SELECT count(*) FROM {schema}.error_details_default) AS error_details,
       (SELECT count(*) FROM {schema}.retry_attempts_default) AS retry_attempts,
       (SELECT count(*) FROM {schema}.system_health_default) AS system_health
"""

_PARTITION = "SELECT to_regclass($1) IS NOT NULL"

_JOBS = """
SELECT job, last_error, failure_count, due_at < clock_timestamp() - interval '1 hour' AS late
FROM {schema}.background_jobs ORDER BY job
"""

_LISTENERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'seawall listener'
"""

_SLOW_CLOCK = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``state``: ok, warning or failed."""

    check: str
    state: str
    found: str
    do: str = ""


def doctor(
    dsn: Dsn = None, folder: Folder = None, schema: Schema = "seawall", *, as_json: AsJson = False
) -> None:
    """Look at connection, version, rights, migrations, partitions, clock and background work.

    Exit code 1 where something failed.
    """
    found = run(_examine(dsn, folder, schema))
    emit([asdict(each) for each in found], as_json=as_json, show=lambda c: _show(c, found))
    if any(each.state == "failed" for each in found):
        raise typer.Exit(1)


def _show(console: Console, found: list[Finding]) -> None:
    signs = {"ok": "[green]ok[/]", "warning": "[yellow]look[/]", "failed": "[red]bad[/]"}
    for each in found:
        console.print(f"{signs[each.state]:>4}  [bold]{each.check}[/]: {escape(each.found)}")
        if each.do:
            console.print(f"      -> {escape(each.do)}")


async def _examine(dsn: str | None, folder: Any, schema: str) -> list[Finding]:
    try:
        database = Database(dsn_of(dsn, folder), config=RecoveryConfig(), schema=schema)
        await database.start(migrated=False)
    except SeawallError as error:
        return [Finding("connection", "failed", str(error), "see above; the rest needs it")]
    try:
        async with database.acquire() as connection:
            version = ".".join(map(str, connection.get_server_version()[:2]))
            found = [
                Finding("connection", "ok", database.describe()),
                Finding("version", "ok", f"PostgreSQL {version}"),
                await _migrations(connection, schema),
            ]
            checks: list[Callable[[Any, str], Awaitable[Finding]]] = [
                _rights,
                _clock,
                _listeners,
                _journal,
            ]
            if found[-1].state == "ok":
                checks += [_partitions, _background]
            found += [await check(connection, schema) for check in checks]
            return found
    finally:
        await database.aclose()


async def _migrations(connection: Any, schema: str) -> Finding:
    try:
        waiting = await pending(connection, schema)
    except SeawallError as error:
        return Finding("migrations", "failed", str(error), "install the seawall that made it")
    if waiting:
        text = f"{len(waiting)} to be applied to schema {schema!r}, first {waiting[0]}"
        return Finding("migrations", "failed", text, "run `seawall migrate`")
    return Finding("migrations", "ok", f"schema {schema!r} is up to date")


async def _rights(connection: Any, schema: str) -> Finding:
    row = await connection.fetchrow(_ROLE)
    denied = await connection.fetchval(_DENIED, schema, _WRITTEN)
    if denied:
        do = "let the owner run what `seawall roles` prints; a reader's rights are meant so"
        return Finding("rights", "warning", f"{row['role']} may not: {denied}", do)
    if not row["temporary"]:
        do = "GRANT TEMPORARY ON DATABASE: bad rows are then found in a few statements"
        return Finding("rights", "warning", f"{row['role']} may not make temporary tables", do)
    if row["rolsuper"]:
        do = "workers need no superuser: see `seawall roles`"
        return Finding("rights", "ok", f"{row['role']} is a superuser", do)
    return Finding("rights", "ok", f"{row['role']} may do what a worker does")


async def _clock(connection: Any, _schema: str) -> Finding:
    before = utc_now()
    theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
    off = theirs.astimezone(UTC) - (before + (utc_now() - before) / 2)
    text = f"{abs(off.total_seconds()):.3f} s from the database's"
    if abs(off) > _SLOW_CLOCK:
        do = "set it by NTP: leases go by the database's clock, but ids and logs by this one"
        return Finding("clock", "warning", text, do)
    return Finding("clock", "ok", text)


async def _listeners(connection: Any, _schema: str) -> Finding:
    count = await connection.fetchval(_LISTENERS)
    return Finding("listeners", "ok", f"{count} workers are connected and listen")


async def _partitions(connection: Any, schema: str) -> Finding:
    name = f"{schema}.error_details_{utc_now():%Y_%m}"
    rows = dict(await connection.fetchrow(in_schema(_DEFAULTS, schema)))
    stray = {table: count for table, count in rows.items() if count}
    if not await connection.fetchval(_PARTITION, name):
        do = "start a worker, or run `seawall migrate`: it makes this month's and the next two"
        return Finding("partitions", "warning", "this month's are missing", do)
    if stray:
        listed = ", ".join(f"{count:,} in {table}" for table, count in stray.items())
        do = "rows of months without a partition; they can be read, but not dropped by month"
        return Finding("partitions", "warning", f"rows in the default ones: {listed}", do)
    return Finding("partitions", "ok", "this month's are there")


async def _journal(_connection: Any, _schema: str) -> Finding:
    found = waiting(None)
    left = [each for each in found if each["state"] == "waits"]
    if left:
        rows = sum(each["rows"] for each in left)
        do = "start a worker, or run `seawall journal replay`"
        return Finding("journal", "warning", f"{rows:,} rows wait on this machine's disk", do)
    aside = [each for each in found if each["state"] in ("corrupt", "refused")]
    if aside:
        do = f"look at {aside[0]['folder']}; delete what you don't need"
        return Finding("journal", "warning", f"{len(aside)} files were set aside", do)
    return Finding("journal", "ok", "nothing waits on this machine's disk")


async def _background(connection: Any, schema: str) -> Finding:
    rows = await connection.fetch(in_schema(_JOBS, schema))
    failing = [row for row in rows if row["failure_count"]]
    if failing:
        text = "; ".join(f"{row['job']}: {row['last_error']}" for row in failing)
        return Finding("background work", "warning", text, "it is tried again by itself")
    if rows and all(row["late"] for row in rows):
        text = "nothing was done for an hour"
        return Finding("background work", "warning", text, "no worker runs; fine between runs")
    return Finding("background work", "ok", f"{len(rows)} jobs")
