"""What recommending and advising take at the roll-ups of 10 thousand to 10 million failures.

Run as ``PYTHONPATH=src:tests python benchmarks/recovery_actions.py``.
"""

import asyncio
import time
import timeit
from statistics import median

import asyncpg
from support.database import TestServer

from seawall import ErrorRecoveryManager
from seawall.actions.counter import ActionCounter
from seawall.events import RetrySucceeded
from seawall.scope import Scope
from seawall.tuning.counter import TimingCounter
from seawall.tuning.tuner import Tuner

# A hundred days of ten pipelines with fifty operations, three error types, four attempts; the
# number of failures is in the counts, not in the rows. And 300 patterns of the fleet.
FILL = """
INSERT INTO seawall.recovery_action_counts
SELECT 'p' || p, current_date - d, 'op' || o, '', k, 'retry', a, $1::bigint, $1::bigint / 10
FROM generate_series(1, 10) p, generate_series(0, 99) d, generate_series(1, 50) o,
    unnest('{transient,unknown,system}'::text[]) k, generate_series(2, 5) a;
"""
FLEET = """
INSERT INTO seawall.recovery_action_counts
SELECT '<all>', current_date - d, '', lpad(to_hex(o), 16, '0'), 'transient', 'retry', a, $1::bigint, 1
FROM generate_series(0, 99) d, generate_series(1, 300) o, generate_series(2, 5) a
"""
TIMINGS = """
INSERT INTO seawall.retry_timings
SELECT 'p' || p, 'op' || o, 'transient', current_date - d, 0, f, f + 2, $1::bigint
FROM generate_series(1, 10) p, generate_series(1, 50) o, generate_series(0, 13) d,
    generate_series(5, 12) f
"""
KEYS = """
INSERT INTO seawall.retry_tuning (pipeline_id, operation, error_type, episodes, last_slot)
SELECT 'p' || p, 'op' || o, 'transient', 99, now()
FROM generate_series(1, 10) p, generate_series(1, 50) o
"""
TABLES = "seawall.recovery_action_counts, seawall.retry_timings, seawall.retry_tuning"


async def milliseconds(call, times=7):
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1e3)
    return median(taken)


async def queries(dsn):
    connection = await asyncpg.connect(dsn)
    async with ErrorRecoveryManager(dsn) as manager:
        store = manager._services.analytics.tuning._store
        error = ConnectionResetError(104, "reset by peer")
        for each in (1, 100, 10_000):
            await connection.execute(f"TRUNCATE {TABLES}")
            for query in (FILL, FLEET, TIMINGS):
                await connection.execute(query, each)
            await connection.execute(KEYS)
            await connection.execute("VACUUM ANALYZE")
            one = {
                "for an error": lambda: manager.recommend_recovery_actions("p3", error=error),
                "in the fleet": lambda: manager.recommend_recovery_actions(error=error),
                "for a pipeline": lambda: manager.recommend_recovery_actions("p3"),
                "list": lambda: manager.list_recovery_actions("p3"),
                "states of a pipeline": lambda: store.states("p3"),
                "advice for a pipeline": lambda: manager.retry_advice("p3"),
            }
            found = {name: round(await milliseconds(call), 1) for name, call in one.items()}
            print(f"each row {each:>6,}: {found} ms")
    await connection.close()


def counting():
    event = RetrySucceeded(
        scope=Scope("p", "r", "load"), operation="load", attempt=3, elapsed_seconds=1.0,
        waits=(1.0, 2.0), error_type="transient", message="peer reset",
    )  # fmt: skip
    actions = ActionCounter(pipeline_id="p", identify=lambda *_: "abc")
    timings = TimingCounter(Tuner("p", is_on=True), pipeline_id="p")
    for name, hear in (("actions", actions.hear), ("timings", timings.hear)):
        seconds = min(timeit.repeat(lambda hear=hear: hear(event), number=20_000, repeat=5))
        print(f"counting {name}: {seconds / 20_000 * 1e6:.2f} us a retried call")


if __name__ == "__main__":
    counting()
    server = TestServer()
    try:
        asyncio.run(queries(server.create()))
    finally:
        server.close()
