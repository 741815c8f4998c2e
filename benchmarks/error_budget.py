"""What an error budget costs: its status by history, a look at many pipelines, the end of a run.

python benchmarks/error_budget.py
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import asyncpg
from common import database

from seawall import ErrorRecoveryManager

MINUTES = """
INSERT INTO seawall.error_budget (pipeline_id, minute, good_runs, bad_runs)
SELECT 'p' || p, date_trunc('minute', now()) - n * interval '1 minute', ceil($1::float8)::int,
    (random() < 0.01)::int
FROM generate_series(0, $2::int * 1440) n, generate_series(1, $3::int) p
WHERE random() < least(1, $1)
"""
RUNS = """
INSERT INTO seawall.runs (run_id, pipeline_id, status)
SELECT 'r' || n, 'p', 'running' FROM generate_series(1, 2000) n
"""
END = "UPDATE seawall.runs SET status = 'failed', ended_at = clock_timestamp() WHERE run_id = $1"


async def median(call, times=15):
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1e3


async def status_by_history(dsn, connection):
    print("status of one pipeline with a year of history, ms (median of 15)")
    for label, a_minute in (("10 thousand", 0.02), ("1 million", 2), ("10 million", 19)):
        await connection.execute("TRUNCATE seawall.error_budget, seawall.error_budget_hours")
        await connection.execute(MINUTES, a_minute, 365, 1)
        async with ErrorRecoveryManager(dsn) as manager:
            await manager._services.analytics.budget.fold()
            await connection.execute("VACUUM ANALYZE seawall.error_budget")
            await connection.execute("VACUUM ANALYZE seawall.error_budget_hours")
            took = [
                await median(lambda days=days: manager.get_error_budget_status("p1", days))
                for days in (1, 30, 365)
            ]
        print(
            f"    {label:>11} runs: 1 day {took[0]:.1f}, 30 days {took[1]:.1f}, 365 days {took[2]:.1f}"
        )


async def looks(dsn, connection):
    await connection.execute("TRUNCATE seawall.error_budget, seawall.error_budget_hours")
    await connection.execute(MINUTES, 1, 30, 100)
    async with ErrorRecoveryManager(dsn) as manager:
        budget = manager._services.analytics.budget
        await budget.fold()
        await connection.execute("VACUUM ANALYZE seawall.error_budget")
        await connection.execute("VACUUM ANALYZE seawall.error_budget_hours")
        alerts, gone = await median(budget.evaluate, 5), await median(budget.look_for_exhausted, 5)
    print(
        f"100 pipelines with 60 runs an hour: alerts {alerts:.0f} ms, whose budget is gone {gone:.0f} ms"
    )


async def ends(connection):
    took = []
    for switch in ("ENABLE", "DISABLE"):
        await connection.execute(f"ALTER TABLE seawall.runs {switch} TRIGGER USER")
        await connection.execute("TRUNCATE seawall.runs CASCADE")
        await connection.execute(RUNS)
        statement = await connection.prepare(END)
        started = time.perf_counter()
        for n in range(1, 2001):
            await statement.fetch(f"r{n}")
        took.append((time.perf_counter() - started) / 2000 * 1e6)
    print(
        f"the end of a run, a transaction each: {took[0]:.0f} us; without the count {took[1]:.0f} us"
    )


async def main():
    async with database() as dsn:
        async with ErrorRecoveryManager(dsn):
            pass  # migrated
        connection = await asyncpg.connect(dsn)
        await status_by_history(dsn, connection)
        await looks(dsn, connection)
        await ends(connection)
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
