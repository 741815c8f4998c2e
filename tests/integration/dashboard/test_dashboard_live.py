"""Live pages: told of what other processes do, by notifications."""

import asyncio
import sys
from contextlib import asynccontextmanager

import httpx

from seawall import ErrorRecoveryManager
from seawall.circuitbreaker import CircuitState
from support.dashboard import OPERATOR, app_of, managed
from support.serving import serving

_OPEN_ELSEWHERE = """
import asyncio, sys
from seawall import ErrorRecoveryManager

async def main():
    config = {"health_interval_seconds": 0, "quorum": 1}
    async with ErrorRecoveryManager(sys.argv[1], config=config) as manager:
        @manager.circuit_breaker("weather api", failure_threshold=2)
        async def call():
            raise ConnectionError("refused")
        for _ in range(2):
            try:
                await call()
            except ConnectionError:
                pass

asyncio.run(main())
"""


@asynccontextmanager
async def _live(port):
    """A live page: gives a function that waits until it is told of topics."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15) as client:
        await client.post("/sign-in", data={"token": OPERATOR})
        async with client.stream("GET", "/live") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()

            async def told(*topics):
                missing = set(topics)
                async for line in lines:
                    if line.startswith("data: "):
                        missing -= set(line.removeprefix("data: ").split())
                    if not missing:
                        return

            await told("up")
            yield told


async def test_breaker_opened_in_another_process_is_told(database_dsn):
    async with managed(database_dsn) as manager, serving(app_of(manager)) as port:
        async with _live(port) as told:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _OPEN_ELSEWHERE, database_dsn
            )
            await told("breakers")
            assert await process.wait() == 0


async def test_what_workers_and_people_do_is_told(database_dsn):
    """Runs, errors, patterns, quarantine, alerts and what is audited, by another manager."""
    async with managed(database_dsn) as manager, serving(app_of(manager)) as port:
        async with _live(port) as told, managed(database_dsn) as worker:
            async with worker.run("flights"):
                await worker.log_error_details(None, ValueError("x"))
                await worker.quarantine_bad_records("r", [{"n": 1}], "bad")
            await told("runs", "errors", "quarantine")
            await worker.raise_alert("a", "an alert")
            await told("alerts")
            await worker.discard_quarantined_records("r", why="x")
            await told("audit")
            await worker.get_error_patterns()  # writes what was counted
            await told("patterns")


async def test_what_another_schema_does_is_not_told(database_dsn):
    """The same database, other tables."""
    async with managed(database_dsn) as manager, serving(app_of(manager)) as port:
        config = {"health_interval_seconds": 0}
        other = ErrorRecoveryManager(database_dsn, schema="other", config=config)
        async with _live(port) as told, other:
            await other.force_circuit_breaker("theirs", CircuitState.OPEN, reason="x")
            async with other.run("flights"):
                pass
            await manager.force_circuit_breaker("ours", CircuitState.OPEN, reason="x")
            await told("breakers")
        async with managed(database_dsn) as worker, _live(port) as told:
            async with worker.run("flights"):
                pass
            await told("runs")


async def test_connection_lost_and_back_is_told_and_shows_all_anew(database_dsn):
    """Nobody hears in between: the page says so, and then looks at everything again."""
    async with managed(database_dsn) as manager, serving(app_of(manager)) as port:
        async with _live(port) as told:
            async with manager.database.acquire() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
                )
            await told("up", "runs", "breakers", "alerts", "errors", "quarantine", "audit")


async def test_last_page_closed_closes_the_connection(database_dsn):
    """No page, no listener; the next page makes one again."""
    async with managed(database_dsn) as manager:
        app = app_of(manager)
        async with serving(app) as port:
            for _ in range(2):
                async with _live(port):
                    pass
                await _until_none_listens(manager)


async def _until_none_listens(manager):
    async with asyncio.timeout(10), manager.database.acquire() as connection:
        while (
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND query LIKE 'LISTEN \"seawall_circuit%' AND pid <> pg_backend_pid()"
            )
            > 1
        ):  # the manager's own stays
            await asyncio.sleep(0.05)
