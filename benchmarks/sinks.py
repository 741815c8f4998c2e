"""The same flights into each kind of sink, with a checkpoint a batch of 10,000.

    python benchmarks/sinks.py [rounds]

The table of the own database, one of another database, upserts, files (JSON Lines, gzip), and a
sink that does nothing, acknowledged at least once. The floor is the bare COPY of the same rows.
Rounds alternate, medians are compared.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import asyncpg

import common
from seawall import ErrorRecoveryManager, FileSink

SIZE = 10_000
COUNT = 100_000


async def bare(connection, rows):
    for start in range(0, len(rows), SIZE):
        async with connection.transaction():
            await connection.copy_records_to_table("flights", records=rows[start : start + SIZE])


async def acknowledged(manager, rows, run_id):
    async with manager.checkpoint(run_id, "load", size=SIZE) as cp:
        async for batch in cp.batches(rows, position=lambda row: row[0]):
            async with batch.acknowledge():
                pass


async def prepared(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute(common.FLIGHTS)
    await connection.copy_records_to_table("airports", records=common.airports())
    return connection


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    known = {faa for faa, _ in common.airports()}
    every = common.flights()
    rows = [row for row in every if row[4] is not None and row[14] in known][:COUNT]
    folder = Path(tempfile.mkdtemp(prefix="seawall-bench-"))
    results = []
    async with common.database() as dsn, common.database() as other:
        here, there = await prepared(dsn), await prepared(other)
        async with ErrorRecoveryManager(dsn, pipeline_id="bench") as manager:

            def stream(sink, run_id, **options):
                return manager.stream(
                    lambda after: rows, sink, run_id=run_id, size=SIZE,
                    position=lambda row: row[0], **options,
                )  # fmt: skip

            works = {
                "bare COPY": lambda name: bare(here, rows),
                "table": lambda name: stream("flights", name),
                "table of another database": lambda name: stream("flights", name, database=other),
                "upsert, keys new": lambda name: stream("flights", name, on_conflict="update"),
                "files, JSON Lines": lambda name: stream(FileSink(folder / name), name),
                "files, gzip": lambda name: stream(
                    FileSink(folder / name, compression="gzip"), name
                ),
                "nothing, acknowledged": lambda name: acknowledged(manager, rows, name),
            }
            times = {name: [] for name in works}
            for turn in range(rounds + 1):
                for number, (name, work) in enumerate(works.items()):
                    for connection in (here, there):
                        await connection.execute("TRUNCATE flights")
                        await connection.execute("CHECKPOINT")
                    seconds = await common.timed(work(f"r{number}-{turn}"))
                    if turn:  # the first round warms up
                        times[name].append(seconds)
        await here.close()
        await there.close()
    shutil.rmtree(folder)
    for name, values in times.items():
        pairs = [b / v for b, v in zip(times["bare COPY"], values, strict=True)]
        results.append(
            (name, f"{COUNT / common.median(values):,.0f}", f"{common.median(pairs):.2f}")
        )
    common.table("100,000 flights in batches of 10,000", ("sink", "rows/s", "of bare"), results)


if __name__ == "__main__":
    common.run(main)
