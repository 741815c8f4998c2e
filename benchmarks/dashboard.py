"""What a page of the dashboard costs at the server, and how soon a page hears of a breaker.

    python benchmarks/dashboard.py [--errors 10000000] [--records 1000000] [--check]

Ten million errors, a million quarantined records, 100,000 runs, 300 breakers with 100,000
transitions, 100,000 audit lines, as they would be after 30 days. Each page is asked for in-process
(ASGI, no network) by an operator; a search is worst where it finds nothing. Then a real server and
a worker in another process: from the worker's opening of a breaker to the line that the browser gets.
``--check`` fails where a median is above 200 ms, or a page hears later than a second.
"""

import argparse
import asyncio
import contextlib
import socket
import sys
import time
import warnings
from statistics import median

import asyncpg
import httpx
import uvicorn
from analysis import fill
from common import database

from seawall import ErrorRecoveryManager
from seawall.dashboard import Role, User, dashboard_app
from seawall.postgres.budget_store import PostgresBudgetStore
from seawall.postgres.migrate import migrate
from seawall.postgres.run_store import PostgresRunStore
from seawall.postgres.upkeep_store import PostgresUpkeepStore

TOKEN = "a-token-of-the-benchmark"
BOUND, HEARD_BOUND, TIMES, OPENINGS = 200.0, 1000.0, 9, 20

RUNS = """
INSERT INTO seawall.runs (run_id, pipeline_id, status, started_at, ended_at, host, pid, start_count)
SELECT 'run-' || n, (ARRAY['flights', 'orders', 'invoices'])[n % 3 + 1],
    CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'succeeded' END,
    now() - (n * interval '26 seconds'), now() - (n * interval '26 seconds') + interval '20 s',
    'host-' || n % 20, n, 1
FROM generate_series(1, 100000) n;
INSERT INTO seawall.runs (run_id, pipeline_id, status, started_at, start_count)
SELECT 'at-work-' || n, 'pipeline-' || n, 'running', now() - n * interval '1 minute', 1
FROM generate_series(1, 50) n;
"""
# As loads write them: some hundred rows of a batch at a time; one run has a third of all.
RECORDS = """
INSERT INTO seawall.quarantined_records (record_id, quarantine_id, run_id, pipeline_id, step,
    position, payload, error_type, reason, status, quarantined_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000'
        || lpad(to_hex((x'8000'::int + n % 16384)), 4, '0') || lpad(to_hex(n), 12, '0'))::uuid,
    gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'run-1' ELSE 'run-' || (n / 500) % 100000 END,
    (ARRAY['flights', 'orders', 'invoices'])[n % 3 + 1], 'load', to_json(n),
    json_build_object('n', n, 'name', repeat('x', 200)), 'data',
    'value ' || n % 40 || ' violates a constraint', CASE WHEN n % 10 = 0 THEN 'reprocessed'
        WHEN n % 10 = 1 THEN 'discarded' ELSE 'pending' END, at
FROM generate_series($1::int, $2::int) n,
    LATERAL (SELECT now() - interval '30 days' * (1 - n / $3::float8) AS at) t
"""
OTHERS = """
INSERT INTO seawall.circuit_breaker_states (service_name, state, opened_count)
SELECT 'service-' || n, CASE WHEN n % 30 = 0 THEN 'open' ELSE 'closed' END, n
FROM generate_series(1, 300) n;
INSERT INTO seawall.circuit_breaker_transitions
    (transition_id, service_name, from_state, to_state, epoch, reason, host, pid, occurred_at)
SELECT gen_random_uuid(), 'service-' || n % 300, 'closed', 'open', n, 'it is down', 'host', n,
    now() - n * interval '20 s'
FROM generate_series(1, 100000) n;
INSERT INTO seawall.audit_log (audit_id, acted_at, actor, action, subject, reason)
SELECT gen_random_uuid(), now() - n * interval '1 minute', 'ann-' || n % 7, 'records discarded',
    'run-' || n, 'why not'
FROM generate_series(1, 100000) n;
INSERT INTO seawall.workers
    (worker_id, host, pid, pipeline_id, version, interval_seconds, status, readings, problems)
SELECT 'worker-' || n, 'host-' || n, n, 'flights', '1', 30, 'ok', '{}', '{}'
FROM generate_series(1, 200) n;
"""

OPENER = """
import asyncio, sys, time
from seawall import ErrorRecoveryManager

async def main(dsn, count):
    config = {"health_interval_seconds": 0, "quorum": 1}
    async with ErrorRecoveryManager(dsn, config=config) as manager:
        for n in range(count):
            breaker = manager.circuit_breaker(f"another-{n}", failure_threshold=1)
            @breaker
            async def call():
                raise ConnectionError("refused")
            await asyncio.sleep(1.5)
            print(time.time(), flush=True)
            try:
                await call()
            except ConnectionError:
                pass
        await asyncio.sleep(2)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def make(dsn, errors, records):
    connection = await asyncpg.connect(dsn)
    await migrate(connection)
    await connection.close()
    await fill(dsn, errors)
    connection = await asyncpg.connect(dsn)
    begun = time.perf_counter()
    await connection.execute(RUNS)
    for start in range(0, records, 500):
        await connection.execute(RECORDS, start + 1, min(start + 500, records), records)
    await connection.execute(OTHERS)
    await connection.execute("VACUUM ANALYZE")
    few = await connection.fetchval(
        "SELECT error_id FROM seawall.error_details ORDER BY error_id LIMIT 1 OFFSET 1000"
    )
    record = await connection.fetchval(
        "SELECT record_id FROM seawall.quarantined_records ORDER BY record_id LIMIT 1 OFFSET 1001"
    )
    await connection.close()
    print(f"{records:,} records and the rest in {time.perf_counter() - begun:,.1f} s")
    return few, record


def pages(error, record):
    return [
        "/", "/runs", "/runs?pipeline=flights&limit=100", "/runs?status=failed",
        "/runs?pipeline=nobody", "/run?id=run-1", "/run?id=run-77777",
        "/errors", "/errors?pipeline=orders", "/errors?run=run-17", "/errors?run=run-77777",
        "/errors?text=order+4711+", "/errors?text=nowhere", "/errors?type=data",
        "/errors?pipeline=nobody", f"/errors?before={error}", f"/error?id={error}",
        "/patterns", "/patterns?days=90", "/pattern?id=0000000000000001",
        "/pipelines", "/pipeline?id=flights", "/pipeline?id=flights&days=90",
        "/quarantine", "/quarantine?status=any", "/quarantine?run=run-1",
        "/quarantine?run=run-77777", "/quarantine?text=nowhere", "/quarantine?pipeline=orders",
        "/quarantine?reason=value+7+violates", "/quarantine?status=failed",
        f"/quarantine?before={record}", f"/record?id={record}", f"/record/edit?id={record}",
        "/breakers", "/breaker?name=service-30", "/alerts", "/workers", "/audit",
        "/audit?actor=nobody", "/audit?subject=run-99999",
    ]  # fmt: skip


async def signed_in(client):
    answer = await client.post("/sign-in", data={"token": TOKEN})
    assert answer.status_code == 303, answer.text


async def time_pages(app, asked):
    found = {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bench.test") as client:
        await signed_in(client)
        for page in asked:
            taken = []
            for _ in range(TIMES + 1):
                begun = time.perf_counter()
                answer = await client.get(page)
                taken.append((time.perf_counter() - begun) * 1e3)
                # 400: a settled record has no page to be edited.
                assert answer.status_code in (200, 400), (page, answer.text)
            found[page] = (median(taken[1:]), max(taken))
    return found


async def time_live(app, dsn):
    """Milliseconds from a breaker's opening in another process to the page's line."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    heard = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve([listener]))
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, timeout=30) as client:
            while not server.started:
                await asyncio.sleep(0.05)
            await signed_in(client)
            async with client.stream("GET", "/live") as answer:
                worker = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", OPENER, dsn, str(OPENINGS), stdout=asyncio.subprocess.PIPE
                )
                lines = answer.aiter_lines()
                for _ in range(OPENINGS):
                    opened = float(await worker.stdout.readline())
                    async for line in lines:
                        told = line.removeprefix("data: ").split()
                        if line.startswith("data: ") and "breakers" in told:
                            heard.append((time.time() - opened) * 1e3)
                            break
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
                await worker.wait()
        server.should_exit = True
        await serving
    return heard


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--errors", type=int, default=10_000_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    async with database() as dsn:
        error, record = await make(dsn, given.errors, given.records)
        config = {"health_interval_seconds": 0}
        async with ErrorRecoveryManager(dsn, config=config) as manager:
            # What background jobs do every minute and hour: it would be in the measurement else.
            await PostgresBudgetStore(manager.database).fold()
            runs = PostgresRunStore(manager.database, manager.bus)
            await PostgresUpkeepStore(manager.database, runs, manager.bus).fold_quarantine_counts()
            app = dashboard_app(manager, tokens={TOKEN: User("bench", Role.OPERATOR)})
            found = await time_pages(app, pages(error, record))
            heard = await time_live(app, dsn)
    print(f"{'page':58} {'median':>8} {'worst':>8}  (ms at the server)")
    for page, (middle, worst) in found.items():
        print(f"{page[:58]:58} {middle:8.1f} {worst:8.1f}{'  above' if middle > BOUND else ''}")
    slowest = max(found, key=lambda page: found[page][0])
    print(f"slowest page: {slowest}, {found[slowest][0]:.0f} ms")
    print(
        f"a breaker opened in another process is told to the page after {median(heard):.0f} ms, "
        f"worst of {len(heard)} {max(heard):.0f} ms"
    )
    if given.check and (found[slowest][0] > BOUND or max(heard) > HEARD_BOUND):
        sys.exit(1)


if __name__ == "__main__":
    asyncio.run(main())
