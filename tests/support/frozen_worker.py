"""A worker that freezes itself (SIGSTOP) at a named place, to be thawed by its parent.

    python frozen_worker.py DSN WHERE TOTAL SIZE CONCURRENCY

WHERE is ``batch`` (inside the transaction, rows loaded), ``copy`` (in the middle of a COPY, rows
sent), ``source`` (between two batches), ``sink`` (in an acknowledged batch, before the sink is
called) or ``never``. Prints what it ended by; and each batch that its outer sink was given.
"""

import asyncio
import os
import signal
import sys

from seawall import ErrorRecoveryManager

CONFIG = {"initial_delay": 0.05, "max_delay": 0.5, "connect_timeout": 5, "lease_seconds": 1.0}


def freeze():
    os.kill(os.getpid(), signal.SIGSTOP)


async def main(dsn, where, total, size, concurrency):
    def source(after):
        for n in range((after or 0) + 1, total + 1):
            if where == "source" and n == size + 2:
                freeze()
            yield n, f"word {n} ".ljust(900, ".")  # a batch is sent in several messages

    def frozen_half_way(records):
        for place, record in enumerate(records):
            if place == len(records) - 10:  # the first half megabyte is in the table by then
                freeze()
            yield record

    async def sink(tx, batch):
        await tx.execute(
            "INSERT INTO commits VALUES ($1, $2, $3)",
            tx.fence, batch.first_position, batch.last_position,
        )  # fmt: skip
        frozen_here = batch.first_position == size + 1
        if where == "copy" and frozen_here:
            await tx.copy_records_to_table("numbers", records=frozen_half_way(batch.records))
        else:
            await tx.load("numbers", batch.records)
        if where == "batch" and frozen_here:
            freeze()

    async with ErrorRecoveryManager(dsn, config=CONFIG) as manager:
        async with manager.checkpoint("r", "load", size=size) as cp:
            if where != "sink":
                await cp.for_each(
                    lambda: source(cp.position),
                    sink,
                    position=lambda row: row[0],
                    concurrency=concurrency,
                )
                return
            async for batch in cp.batches(source(cp.position), position=lambda row: row[0]):
                async with batch.acknowledge():
                    if batch.first_position == size + 1:
                        freeze()
                    print("given", batch.id, flush=True)


if __name__ == "__main__":
    dsn, where, *numbers = sys.argv[1:]
    try:
        asyncio.run(main(dsn, where, *map(int, numbers)))
    except Exception as error:
        print("ended by", type(error).__name__, flush=True)
    else:
        print("done", flush=True)
