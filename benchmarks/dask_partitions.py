"""Partitions over a Dask cluster of 1, 2 and 4 worker processes, against one plain process.

    python benchmarks/dask_partitions.py [--rounds 3] [--rows 200000] [--wait 0.02]

Two kinds of work: Python has it (rows made and loaded), and each batch waits for a service.
"""

import argparse
import asyncio
import statistics
import time

import asyncpg
from common import database
from distributed import Client, LocalCluster

from seawall import ErrorRecoveryManager
from seawall.integrations.dask import map_partitions

PARTITIONS = 8


def work(rows, wait):
    """Loads ``rows`` rows of a partition in batches of 1,000; each waits ``wait`` seconds first."""

    async def load(cp):
        import asyncio

        part = cp.key.partition
        source = ({"part": part, "n": n, "text": f"row {n}"} for n in range(rows))
        async for batch in cp.batches(source, size=1000, position=lambda row: row["n"]):
            if wait:
                await asyncio.sleep(wait)
            async with batch.transaction() as tx:
                await tx.load("numbers", batch.records)

    return load


async def plain(dsn, load, run_id):
    async with ErrorRecoveryManager(dsn) as manager:
        for part in range(PARTITIONS):
            async with manager.checkpoint(run_id, "load", partition=part) as cp:
                await load(cp)


async def measure(dsn, clients, load, name, rounds, rows):
    seconds = {}
    for turn in range(rounds):
        begun = time.perf_counter()
        await plain(dsn, load, f"{name} plain {turn}")
        seconds.setdefault("plain", []).append(time.perf_counter() - begun)
        for workers, client in clients.items():
            begun = time.perf_counter()
            await map_partitions(
                client,
                load,
                range(PARTITIONS),
                dsn=dsn,
                run_id=f"{name} {workers} {turn}",
                step="load",
            )
            seconds.setdefault(workers, []).append(time.perf_counter() - begun)
    base = statistics.median(seconds["plain"])
    total = PARTITIONS * rows
    for who, times in seconds.items():
        median = statistics.median(times)
        label = who if who == "plain" else f"dask, {who} workers"
        print(
            f"  {label:18} {total / median:9,.0f} rows/s  {base / median:5.2f} of one plain process"
        )


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--wait", type=float, default=0.02)
    given = parser.parse_args()
    async with database() as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE numbers (part int, n int, text text)")
        clusters, clients = [], {}
        for workers in (1, 2, 4):
            cluster = await LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                asynchronous=True,
                silence_logs=50,
            )
            clusters.append(cluster)
            clients[workers] = await Client(cluster, asynchronous=True)
        rows = given.rows // PARTITIONS
        print("Python has the work:")
        await measure(dsn, clients, work(rows, 0), "busy", given.rounds, rows)
        print(f"each batch waits {given.wait:g} s:")
        await measure(dsn, clients, work(rows // 4, given.wait), "waits", given.rounds, rows // 4)
        for client in clients.values():
            await client.close()
        for cluster in clusters:
            await cluster.close()
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
