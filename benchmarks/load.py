"""What does exactly once cost? A checkpointed load against the bare COPY of the same rows.

    python benchmarks/load.py [rounds]

Both load the same tuples (all flights that a clean target takes) into the same table in the same
transactions on one connection; rounds alternate, medians are compared.
"""

import sys

import asyncpg

import common
from seawall import ErrorRecoveryManager


async def bare(connection, rows, size):
    for start in range(0, len(rows), size):
        async with connection.transaction():
            await connection.copy_records_to_table("flights", records=rows[start : start + size])


async def checkpointed(manager, rows, size, run_id):
    await manager.stream(
        lambda after: rows, "flights", run_id=run_id, size=size, position=lambda row: row[0]
    )


async def as_mappings(manager, mappings, size, run_id):
    await manager.stream(
        lambda after: mappings, "flights", run_id=run_id, size=size, position=lambda row: row["n"]
    )


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    known = {faa for faa, _ in common.airports()}
    every = common.flights()
    rows = [row for row in every if row[4] is not None and row[14] in known]
    results = []
    async with common.database() as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(common.FLIGHTS)
        await connection.copy_records_to_table("airports", records=common.airports())
        names = [
            row["column_name"]
            for row in await connection.fetch(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'flights' "
                "ORDER BY ordinal_position"
            )
        ]
        async with ErrorRecoveryManager(dsn, pipeline_id="bench") as manager:
            for size, count in ((10_000, 100_000), (1_000, 100_000)):
                part = rows[:count]
                mappings = [dict(zip(names, row, strict=True)) for row in part]
                times = {"bare COPY": [], "checkpointed": [], "mappings": []}
                for turn in range(rounds + 1):
                    for name, work in (
                        ("bare COPY", lambda: bare(connection, part, size)),
                        (
                            "checkpointed",
                            lambda: checkpointed(manager, part, size, f"t{size}{turn}"),
                        ),
                        (
                            "mappings",
                            lambda: as_mappings(manager, mappings, size, f"m{size}{turn}"),
                        ),
                    ):
                        await connection.execute("TRUNCATE flights")
                        await connection.execute("CHECKPOINT")
                        seconds = await common.timed(work())
                        if turn:  # the first round warms up
                            times[name].append(seconds)
                floor = common.median(times["bare COPY"])
                for name, values in times.items():
                    pairs = [b / v for b, v in zip(times["bare COPY"], values, strict=True)]
                    results.append(
                        (
                            f"{size:,}", name, f"{count / common.median(values):,.0f}",
                            f"{floor / common.median(values):.3f}", f"{common.median(pairs):.3f}",
                        )
                    )  # fmt: skip
        await connection.close()
    common.table(
        "Flights, 20 columns, a primary and a foreign key",
        ("batch", "how", "rows/s", "of bare", "median of pairs"),
        results,
    )


if __name__ == "__main__":
    common.run(main)
