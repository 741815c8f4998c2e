"""How long does it take to go on with a run, and how much memory does one of any length take?

    python benchmarks/resume.py [rows]

Runs of 10 thousand, 1 million and 10 million rows (or up to ``rows``) are loaded for real, each by
a worker that is stopped 1,000 rows before its end; then a manager that is started opens the step
until its position is known (resume), and on to the first batch's commit. The memory is that of the
loading process, looked at after a tenth, a half and all of the largest run.
"""

import sys
import time

import asyncpg
import psutil

import common
from seawall import ErrorRecoveryManager, ShutdownError

SIZE = 10_000


def source(total):
    return lambda after: ((n, "word") for n in range((after or 0) + 1, total + 1))


async def load(manager, total, run_id, look):
    """Load all but the last batch; ``look`` at the process after each commit."""
    step = manager.checkpoint(run_id, "load", size=SIZE)
    stop_at = total - 1_000

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        look(batch.last_position)
        if batch.last_position >= stop_at - SIZE:
            step.stop("the benchmark")

    try:
        async with step:
            await step.for_each(
                lambda: source(stop_at)(step.position), sink, position=lambda row: row[0]
            )
    except ShutdownError:
        pass


async def resume(manager, total, run_id):
    start = time.perf_counter()
    async with manager.checkpoint(run_id, "load", size=100) as cp:
        opened = time.perf_counter() - start
        records = list(source(min(total, cp.position + 100))(cp.position))
        async for batch in cp.batches(records, position=lambda row: row[0]):
            async with batch.transaction() as tx:
                await tx.load("numbers", batch.records)
    return opened * 1000, (time.perf_counter() - start) * 1000


async def main():
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    results, memory = [], []
    async with common.database() as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE numbers (n bigint PRIMARY KEY, word text NOT NULL)")
        async with ErrorRecoveryManager(dsn, pipeline_id="bench") as manager:
            for total in sorted({10_000, 1_000_000, most}):
                await connection.execute("TRUNCATE numbers")
                process, seen = psutil.Process(), {}

                def look(position, total=total, process=process, seen=seen):
                    for share in (0.1, 0.5, 0.9):
                        if position >= share * total and share not in seen:
                            seen[share] = process.memory_info().rss / 1e6

                run_id = f"r{total}"
                start = time.perf_counter()
                await load(manager, total, run_id, look)
                rate = total / (time.perf_counter() - start)
                times = [await resume(manager, total, run_id) for _ in range(9)]
                opened = common.median([each[0] for each in times])
                committed = common.median([each[1] for each in times])
                results.append((f"{total:,}", f"{rate:,.0f}", f"{opened:.1f}", f"{committed:.1f}"))
                if len(seen) == 3:
                    memory.append((f"{total:,}", *(f"{seen[s]:.0f}" for s in sorted(seen))))
        await connection.close()
    common.table(
        "Going on with a run",
        ("rows done", "rows/s", "ms until open", "ms to the first commit"),
        results,
    )
    common.table("Memory of the loading process, MB", ("rows", "at 10 %", "50 %", "90 %"), memory)


if __name__ == "__main__":
    common.run(main)
