"""Many files, shared by as many processes as you start: python partitions.py part-*.csv

Each file is a partition with a lease: a process that dies loses its files to the others.
"""

import asyncio
import sys

from seawall import CsvSource, ErrorRecoveryManager

manager = ErrorRecoveryManager(pipeline_id="parts")


async def main(paths: list[str]) -> None:
    async def load(cp):
        source = CsvSource(paths[cp.key.partition], converters={"id": int})

        async def into(tx, batch):
            await tx.load("parts", batch.records)

        await cp.for_each(source, into, size=500)

    async with manager:
        reports = await manager.for_each_partition("parts", "load", range(len(paths)), load)
    print(f"{len(reports)} partitions done, {sum(r.rows_loaded for r in reports.values())} rows")


asyncio.run(main(sorted(sys.argv[1:])))
