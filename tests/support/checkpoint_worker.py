"""A worker process for the tests of steps: streams numbers 1 … TOTAL into ``numbers``.

    python checkpoint_worker.py DSN MODE TOTAL SIZE [ARGUMENT]

Modes:
    load        to the end
    hold        prints "in batch" inside the second batch, and stays there for ARGUMENT seconds
    slow        prints "in batch" inside every batch, and takes ARGUMENT milliseconds for each
    die         ends itself with os._exit whenever it comes to record ARGUMENT
    block       its source blocks for ever behind record ARGUMENT
    ack         acknowledges, and prints each batch as the sink sees it; dies at record ARGUMENT
    partitions  shares partitions 0 to 5, TOTAL numbers each; dies at record ARGUMENT of one
"""

import asyncio
import os
import signal
import sys
import time

from seawall import ErrorRecoveryManager
from seawall.errors import ShutdownError

CONFIG = {"initial_delay": 0.05, "max_delay": 0.2, "connect_timeout": 5, "lease_seconds": 20}


def say(*words):
    print(*words, flush=True)


def source(mode, total, argument):
    def after(position):
        for n in range((position or 0) + 1, total + 1):
            yield (n, "word")
            if mode == "block" and n == argument:
                say("blocked")
                time.sleep(1000)

    return after


def sink(mode, size, argument):
    async def handler(tx, batch):
        if mode == "die" and any(row[0] == argument for row in batch.records):
            os._exit(1)
        await tx.load("numbers", batch.records)
        if mode == "hold" and batch.first_position == size + 1:
            say("in batch")
            await asyncio.sleep(argument)
        if mode == "slow":
            say("in batch")
            await asyncio.sleep(argument / 1000)

    return handler


async def acknowledged(manager, total, size, argument):
    async with manager.checkpoint("r", "load", size=size) as cp:
        rows = source("ack", total, argument)(cp.position)
        async for batch in cp.batches(rows, position=lambda row: row[0]):
            async with batch.acknowledge():
                say(batch.id, *[row[0] for row in batch.records])
                if any(row[0] == argument for row in batch.records):
                    os.kill(os.getpid(), signal.SIGKILL)


async def partitions(manager, total, size, argument):
    async def work(cp):
        number = cp.key.partition
        first, last = number * total + 1, (number + 1) * total
        say("partition", number)

        async def handler(tx, batch):
            if any(row[0] == argument for row in batch.records):
                os.kill(os.getpid(), signal.SIGKILL)
            await tx.load("numbers", batch.records)
            await asyncio.sleep(0.02)

        rows = [(n, "word") for n in range((cp.position or first - 1) + 1, last + 1)]
        await cp.for_each(rows, handler, size=size, position=lambda row: row[0])

    reports = await manager.for_each_partition("r", "load", range(6), work)
    say("finished", *reports)


async def main(dsn, mode, total, size, argument):
    async with ErrorRecoveryManager(dsn, config=CONFIG, pipeline_id="numbers") as manager:
        say("started")
        if mode == "ack":
            return await acknowledged(manager, total, size, argument)
        if mode == "partitions":
            return await partitions(manager, total, size, argument)
        try:
            report = await manager.stream(
                source(mode, total, argument),
                sink(mode, size, argument),
                run_id="r",
                step="load",
                size=size,
                position=lambda row: row[0],
                handle_signals=True,
                grace_seconds=1.5,
            )
        except ShutdownError as error:
            say("shutdown", error)
            return None
        return say("done", report.rows_loaded, report.rows_quarantined)


if __name__ == "__main__":
    dsn, mode, total, size, *rest = sys.argv[1:]
    asyncio.run(main(dsn, mode, int(total), int(size), int(rest[0]) if rest else 0))
