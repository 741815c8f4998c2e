"""A worker that does everything for ten minutes: memory, connections, tasks and files stay flat.

    python benchmarks/soak.py [--minutes 10]

Runs, batches with bad rows, retries, a breaker that opens and closes, errors, alerts and reprocessing,
over and over. Every tenth of the time the process is measured; it fails (exit code 1) where the second
half of the time has, at its median, more than the first half by 15 % and by a bit that is named.
"""

import argparse
import asyncio
import gc
import sys
import time
import warnings
from statistics import median

import psutil
from common import database

from seawall import ErrorRecoveryManager, retry

# What may come and go at any moment: MiB, files, tasks, connections.
SLACK = {"memory": 24.0, "files": 6, "tasks": 6, "connections": 3}

PROCESS = psutil.Process()


class Round:
    """One round of everything that a worker does."""

    def __init__(self, manager):
        self.manager, self.count = manager, 0
        self.breaker = manager.circuit_breaker("soak-service", failure_threshold=3, timeout=0.05)

    async def __call__(self):
        self.count += 1
        manager, run_id = self.manager, f"soak-{self.count}"
        try:
            async with manager.run("soak", run_id) as run:
                await run.step("extract", self._rows)
                rows = [
                    {"id": self.count * 1000 + n, "total": -1 if n % 97 == 0 else n}
                    for n in range(1000)
                ]
                await manager.stream(
                    lambda after: [row for row in rows if after is None or row["id"] > after],
                    "orders", run_id=run_id, size=250, position=lambda row: row["id"], tolerance=0.5,
                )  # fmt: skip
                await self._flaky(self.count)
                await self._service()
                if self.count % 5 == 0:
                    raise ConnectionResetError(f"order {self.count} was reset")
        except ConnectionResetError:
            pass
        await manager.reprocess_quarantined_records(run_id, processor=self._mend)
        if self.count % 20 == 0:
            await manager.get_error_patterns()
            await manager.analyze_failures(days=7)
            await manager.get_system_health()

    async def _rows(self):
        return self.count

    async def _mend(self, tx, record):
        await tx.load("orders", [{**record, "total": 0}])

    async def _flaky(self, number):
        calls = iter((TimeoutError(f"no answer to {number}"), None))

        @retry(max_retries=2, initial_delay=0.001, bus=self.manager.bus)
        async def call():
            if (error := next(calls)) is not None:
                raise error

        await call()

    async def _service(self):
        async def fail():
            raise ConnectionRefusedError("soak-service refuses")

        for _ in range(4):
            try:
                await self.breaker.call(fail if self.count % 3 == 0 else self._rows)
            except Exception:
                pass
        await asyncio.sleep(0.06)


async def measured(manager):
    gc.collect()
    async with manager.database.acquire() as connection:
        connections = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        )
    return {
        "memory": PROCESS.memory_info().rss / 2**20,
        "files": PROCESS.num_fds(),
        "tasks": len(asyncio.all_tasks()),
        "connections": connections,
    }


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    seconds = parser.parse_args().minutes * 60
    warnings.simplefilter("ignore")
    found = []
    async with database() as dsn, ErrorRecoveryManager(dsn, pipeline_id="soak") as manager:
        async with manager.database.acquire() as connection:
            await connection.execute(
                "CREATE TABLE orders (id int PRIMARY KEY, total int CHECK (total >= 0))"
            )
        turn, begun = Round(manager), time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            await turn()
            # The first tenth warms up: imports, caches, the pool.
            if passed > seconds * (len(found) + 1) / 11:
                found.append(await measured(manager))
                shown = "  ".join(f"{name} {value:,.0f}" for name, value in found[-1].items())
                print(f"{passed:6.0f} s  {turn.count:6,} rounds  {shown}", flush=True)
    grown = []
    for name, slack in SLACK.items():
        values = [each[name] for each in found]
        first, second = median(values[: len(values) // 2]), median(values[len(values) // 2 :])
        if second > first * 1.15 and second - first > slack:
            grown.append(f"{name} grew from {first:,.0f} to {second:,.0f}")
    print("; ".join(grown) or f"flat over {turn.count:,} rounds")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
