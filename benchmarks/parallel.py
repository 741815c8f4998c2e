"""What do batches side by side bring?

    python benchmarks/parallel.py [rounds]

The flights go through `stream(concurrency=N)`, N from 1 to 4, in three kinds of work: a source that
takes the processor (each record is hashed in Python), a database that has the work (five indexes
and a check on the table), and a sink that waits (20 ms a batch, as for a round trip to another
service). Rounds alternate, medians are compared.
"""

import asyncio
import hashlib
import sys

import asyncpg

import common
from seawall import ErrorRecoveryManager

SIZE = 1_000
LANES = (1, 2, 4)
INDEXES = """
CREATE INDEX ON flights (carrier, flight); CREATE INDEX ON flights (tailnum);
CREATE INDEX ON flights (origin, dest); CREATE INDEX ON flights (time_hour);
CREATE INDEX ON flights (dep_delay);
"""


def hashed(row):
    digest = hashlib.sha256(repr(row).encode()).hexdigest()
    for _ in range(20):
        digest = hashlib.sha256(digest.encode()).hexdigest()
    return row


async def waits(tx, batch):
    await asyncio.sleep(0.02)
    await tx.load("flights", batch.records)


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    known = {faa for faa, _ in common.airports()}
    rows = [row for row in common.flights() if row[4] is not None and row[14] in known][:60_000]
    results = []
    async with common.database() as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(common.FLIGHTS)
        await connection.copy_records_to_table("airports", records=common.airports())
        async with ErrorRecoveryManager(dsn, pipeline_id="bench") as manager:
            for name, indexes, sink, transform in (
                ("processor", "", "flights", hashed),
                ("waiting", "", waits, None),
                ("database", INDEXES, "flights", None),
            ):
                await connection.execute(indexes or "SELECT")
                times = {lanes: [] for lanes in LANES}
                for turn in range(rounds + 1):
                    for lanes in LANES:
                        await connection.execute("TRUNCATE flights")
                        await connection.execute("CHECKPOINT")
                        seconds = await common.timed(
                            manager.stream(
                                lambda after: rows,
                                sink,
                                run_id=f"{name}{lanes}{turn}",
                                size=SIZE,
                                position=lambda row: row[0],
                                transform=transform,
                                concurrency=lanes,
                            )
                        )
                        if turn:  # the first round warms up
                            times[lanes].append(seconds)
                one = common.median(times[1])
                results += [
                    (
                        name,
                        lanes,
                        f"{len(rows) / common.median(values):,.0f}",
                        f"{one / common.median(values):.2f}",
                    )
                    for lanes, values in times.items()
                ]
        await connection.close()
    common.table(
        "Flights in batches of 1,000, side by side",
        ("what has the work", "batches at a time", "rows/s", "of one at a time"),
        results,
    )


if __name__ == "__main__":
    common.run(main)
