"""A worker process for the chaos tests: streams numbered rows, with bad ones, into ``numbers``.

    python worker.py DSN TOTAL SIZE

Row n is bad (its word breaks the check) where n % 37 == 5. Prints one line when its step is open.
"""

import asyncio
import sys

from seawall import ErrorRecoveryManager


def is_bad(n):
    return n % 37 == 5


def source(total):
    def after(position):
        return (
            (n, "bad" if is_bad(n) else f"word {n}") for n in range((position or 0) + 1, total + 1)
        )

    return after


async def main(dsn, total, size):
    config = {"initial_delay": 0.05, "max_delay": 0.5, "max_retries": 10, "connect_timeout": 5}
    async with ErrorRecoveryManager(dsn, config=config, pipeline_id="numbers") as manager:
        async with manager.run("numbers", "r"):
            print("open", flush=True)
            report = await manager.stream(
                source(total),
                "numbers",
                run_id="r",
                step="load",
                size=size,
                position=lambda row: row[0],
            )
    print("done", report.rows_read, report.rows_loaded, report.rows_quarantined, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
