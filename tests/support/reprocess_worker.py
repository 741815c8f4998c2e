"""A process that reprocesses the quarantined records of run ``r`` into ``loaded``.

    python reprocess_worker.py DSN SIZE function|table

Prints a line when it begins, and one for every record that a function has run.
"""

import asyncio
import sys

from seawall import ErrorRecoveryManager


async def processor(tx, record):
    await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
    print("one", flush=True)


async def main(dsn, size, kind):
    config = {"initial_delay": 0.05, "max_delay": 0.5, "max_retries": 10, "connect_timeout": 5}
    async with ErrorRecoveryManager(dsn, config=config) as manager:
        print("open", flush=True)
        metrics = await manager.reprocess_quarantined_records(
            "r", processor=processor if kind == "function" else "loaded", size=size
        )
    print("done", metrics.taken, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
