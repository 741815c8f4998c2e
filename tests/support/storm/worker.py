"""A worker of the storm: one line of JSON says what to do; its last line says how it ended.

Row n is bad (its word breaks the check) where n % 37 == 5. With every batch, in its transaction, a
row about it goes into ``commits``. With a sink outside the database its records go, by the batch's
key, into a file.
"""

import asyncio
import faulthandler
import json
import random
import signal
import sys
import traceback

from seawall import ErrorRecoveryManager
from seawall.checkpoint import CheckpointStrategy

STEP = "load"


def is_bad(n):
    return n % 37 == 5


def rows(partition, total, width):
    """A source: ``(partition, n, word)`` after a position, with words of so many characters."""

    def after(position):
        start = (position or 0) + 1
        return (
            (partition, n, "bad" if is_bad(n) else f"word {n} ".ljust(width, "."))
            for n in range(start, total + 1)
        )

    return after


def config_of(job):
    return {
        "initial_delay": 0.05,
        "max_delay": 0.5,
        "max_retries": 6,
        "connect_timeout": 3,
        "lease_seconds": job["lease"],
        "pool_size": 12,
    }


class Work:
    """What is done with a step: its rows into ``numbers``, in batches that take their time."""

    def __init__(self, job):
        self.job = job

    def sink(self, partition):
        async def sink(tx, batch):
            about = (partition, tx.fence, batch.first_position, batch.last_position)
            loads_first = random.random() < 0.5  # with, and without, something to keep on a fault
            if loads_first:
                await tx.load("numbers", batch.records)
            await tx.execute("INSERT INTO commits VALUES ($1, $2, $3, $4)", *about)
            await asyncio.sleep(random.uniform(0, self.job["pause"]))
            if not loads_first:
                await tx.load("numbers", batch.records)

        return sink

    def source(self, partition):
        return rows(partition, self.job["rows"], self.job["width"])

    async def outside(self, cp):
        """Every batch to a file, a line each, under the batch's key; bad rows are refused by it."""
        records = _slowly(self.source(0)(cp.position), self.job["pause"])
        async for batch in cp.batches(records, position=lambda row: row[1]):
            async with batch.acknowledge() as sink:
                line = json.dumps([batch.id, [row[1] for row in batch.records]]) + "\n"
                with open(self.job["outside"], "a") as file:
                    file.write(line)
                for index, row in enumerate(batch.records):
                    if is_bad(row[1]):
                        sink.reject(index, "the sink refuses it")
                await asyncio.sleep(random.uniform(0, self.job["pause"]))

    async def on(self, cp):
        job, partition = self.job, cp.key.partition
        await cp.for_each(
            lambda: self.source(partition)(cp.position),
            self.sink(partition),
            position=lambda row: row[1],
            concurrency=job["concurrency"],
        )


async def _slowly(records, pause):
    """With breaks here and there, so that batches are cut by time."""
    for record in records:
        if random.random() < 0.05:
            await asyncio.sleep(random.uniform(0, pause))
        yield record


async def main(job):
    work = Work(job)
    async with ErrorRecoveryManager(job["dsn"], config=config_of(job)) as manager:
        print("open", flush=True)
        options = {"size": random.randint(job["size"] // 2, job["size"] * 2)}
        if job["outside"]:
            options["strategy"] = CheckpointStrategy.every_seconds(0.03, rows=options["size"])
            async with manager.checkpoint(job["run"], STEP, **options) as cp:
                await work.outside(cp)
        elif job["partitions"] == 1:
            async with manager.checkpoint(job["run"], STEP, **options) as cp:
                await work.on(cp)
        else:
            await manager.for_each_partition(
                job["run"],
                STEP,
                range(job["partitions"]),
                work.on,
                concurrency=job["at_a_time"],
                **options,
            )


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    try:
        asyncio.run(main(json.loads(sys.argv[1])))
    except Exception as error:
        traceback.print_exc()
        print(type(error).__name__, flush=True)
        sys.exit(1)
    print("done", flush=True)
