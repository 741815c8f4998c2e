"""What an analysis takes at 10 thousand and at 10 million failures, and what counting one costs.

Run as ``PYTHONPATH=src:tests python benchmarks/failure_analysis.py``.
"""

import asyncio
import sys
import time
import timeit
from pathlib import Path
from statistics import median

import asyncpg
from support.database import TestServer

from seawall.analysis import Analyst, FailureCounter
from seawall.config import RecoveryConfig
from seawall.events import BatchCommitted, EventBus
from seawall.postgres.analysis_store import PostgresAnalysisStore
from seawall.postgres.database import Database
from seawall.scope import Scope

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/integration/analysis"))
from test_failure_analysis import HISTORY, SLOTS

COUNT = """
SELECT sum(failures) FROM (
    SELECT failures FROM seawall.failure_analysis WHERE dimension = 'step'
    UNION ALL SELECT failures FROM seawall.failure_slots WHERE dimension = 'step') AS counts
"""


async def milliseconds(call, times=7):
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1e3)
    return median(taken)


async def analyses(dsn):
    connection = await asyncpg.connect(dsn)
    database = Database(dsn, config=RecoveryConfig())
    await database.start()
    store = PostgresAnalysisStore(database)
    analyst = Analyst(store, EventBus())
    for each in (1, 100, 3000):
        await connection.execute("TRUNCATE seawall.failure_analysis, seawall.failure_slots")
        for query in (HISTORY, SLOTS):
            await connection.execute(query, each, ["flights", "b", "c"], 10)
        await store.fold()
        await connection.execute("VACUUM ANALYZE")
        failures = await connection.fetchval(COUNT)
        series = await store.series("flights", 30)
        one = {
            "series": lambda: store.series("flights", 30),
            "values": lambda series=series: store.values("flights", 30, series.now, series.now),
            "runs": lambda: store.runs("flights", 30),
            "failing": store.failing,
            "whole analysis": lambda: analyst.analyze("flights"),
        }
        found = {name: round(await milliseconds(call), 1) for name, call in one.items()}
        print(f"{failures:>12,} failures: {found} ms")
    await database.aclose()
    await connection.close()


def counting():
    counter = FailureCounter(None, pipeline_id="p", host="a")
    event = BatchCommitted(
        scope=Scope("p", "r", "load", "1.4"), partition=0, batch_id="b", read_count=1,
        write_count=1, skip_count=0, elapsed_seconds=1.0,
    )  # fmt: skip
    seconds = min(timeit.repeat(lambda: counter.hear(event), number=100_000, repeat=5)) / 100_000
    print(f"counting a batch: {seconds * 1e6:.2f} us")


if __name__ == "__main__":
    counting()
    server = TestServer()
    dsn = server.create()
    try:
        asyncio.run(analyses(dsn))
    finally:
        server.drop(dsn)
        server.close()
