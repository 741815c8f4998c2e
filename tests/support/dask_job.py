"""Six partitions on a real cluster of processes, one of which is killed: python dask_job.py DSN"""

import asyncio
import os
import signal
import sys

import asyncpg
from distributed import Client, LocalCluster

from seawall.integrations.dask import map_partitions

PARTITIONS, ROWS = 6, 400


async def load(cp):
    part = cp.key.partition
    done = cp.position or 0

    async def rows():
        for n in range(done + 1, ROWS + 1):
            if n % 50 == 0:
                await asyncio.sleep(0.05)
            yield {"part": part, "n": n}

    async for batch in cp.batches(rows(), size=50, position=lambda row: row["n"]):
        async with batch.transaction() as tx:
            await tx.load("numbers", batch.records)


async def kill_one(client, dsn):
    """SIGKILL to a worker that has committed something and isn't done."""
    connection = await asyncpg.connect(dsn)
    while not await connection.fetchval("SELECT count(*) > 200 FROM numbers"):
        await asyncio.sleep(0.01)
    await connection.close()
    pids = await client.run(os.getpid)
    os.kill(next(iter(pids.values())), signal.SIGKILL)


async def main(dsn):
    async with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            asynchronous=True, silence_logs=50,
        ) as cluster,
        Client(cluster, asynchronous=True) as client,
    ):  # fmt: skip
        killing = asyncio.create_task(kill_one(client, dsn))
        reports = await map_partitions(
            client, load, range(PARTITIONS), dsn=dsn, run_id="r", step="load"
        )
        await killing
        print(sum(report.rows_loaded for report in reports.values()))
        print(sum(report.this_process.write_count for report in reports.values()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
