"""Logs errors from many tasks, and prints the id of each that is on disk.

python journal_worker.py DSN FOLDER TASKS
"""

import asyncio
import sys
import warnings

from seawall import ErrorRecoveryManager


async def main(dsn, folder, tasks):
    config = {"journal_folder": folder, "journal_after": 0.3, "connect_timeout": 1}
    async with ErrorRecoveryManager(dsn, config=config, pipeline_id="p") as manager:
        print("started", flush=True)

        async def log(task):
            for n in range(100_000):
                error_id = await manager.log_error_details("r", ValueError(f"{task} {n}"))
                print(error_id, flush=True)
                await asyncio.sleep(0.2)

        await asyncio.gather(*(log(task) for task in range(tasks)))
        while manager._services._outage.is_on or any(
            manager._services._outage.journal.folder.path.glob("*.journal")
        ):
            await asyncio.sleep(0.05)
        print("drained", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
