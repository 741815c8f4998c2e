"""What does setting records aside cost, and running them again?

    python benchmarks/quarantine.py [rounds]

Set aside: flights as mappings, against the COPY of the very same rows, encoded beforehand, into an
equal table; against the COPY of the raw records into their own table; and against an INSERT each.
Again: from the quarantine into the table of the flights, by its name and by a function a record,
against the COPY of the raw records. Rounds alternate, medians are compared.
"""

import gc
import sys

import asyncpg

import common
from seawall import ErrorRecoveryManager
from seawall.checkpoint.model import Rejection, StepKey
from seawall.postgres import quarantine_store

REASON = 'null value in column "dep_time" of relation "flights" violates not-null constraint'
COUNT, SIZE, EACH = 20_000, 1_000, 1_000
COLUMNS = ", ".join(quarantine_store.COLUMNS)
EQUAL = (
    "CREATE TABLE equal_table (LIKE seawall.quarantined_records INCLUDING ALL); "
    "CREATE TABLE raw_flights AS SELECT * FROM flights; "
    "ALTER TABLE raw_flights ADD PRIMARY KEY (n)"
)
INSERT = (
    f"INSERT INTO equal_table ({COLUMNS}) "
    f"VALUES ({', '.join(f'${n + 1}' for n in range(len(quarantine_store.COLUMNS)))})"
)


def rows_of(records, run_id):
    rejections = [
        Rejection(index=n, reason=REASON, reasons=(f"{REASON} Failing row contains ({n}).",))
        for n in range(len(records))
    ]
    return quarantine_store.rows(
        "bench", StepKey(run_id, "load"), None, rejections, records, [r["n"] for r in records]
    )


class Bench:
    def __init__(self, connection, manager, flights, names):
        self.connection, self.manager = connection, manager
        self.flights, self.names = flights, names
        self.records = [dict(zip(names, row, strict=True)) for row in flights]
        self.turn = 0

    async def empty(self):
        await self.connection.execute(
            "TRUNCATE seawall.quarantined_records CASCADE; TRUNCATE equal_table, raw_flights"
        )
        await self.connection.execute("CHECKPOINT")
        self.turn += 1

    async def seconds(self, prepare, work):
        await self.empty()
        prepared = prepare()
        return await common.timed(work(prepared))

    # -- setting aside

    def encoded(self):
        return list(rows_of(self.records, f"r{self.turn}"))

    async def copy_encoded(self, rows):
        for start in range(0, COUNT, SIZE):
            async with self.connection.transaction():
                await self.connection.copy_records_to_table(
                    "equal_table",
                    columns=list(quarantine_store.COLUMNS),
                    records=rows[start : start + SIZE],
                )

    async def copy_encoded_at_once(self, rows):
        await self.connection.copy_records_to_table(
            "equal_table", columns=list(quarantine_store.COLUMNS), records=rows
        )

    async def copy_raw(self, _):
        for start in range(0, COUNT, SIZE):
            async with self.connection.transaction():
                await self.connection.copy_records_to_table(
                    "raw_flights", records=self.flights[start : start + SIZE]
                )

    async def insert_each(self, rows):
        for row in rows[:EACH]:
            await self.connection.execute(INSERT, *row)

    async def in_one_call(self, _):
        await self.manager.quarantine_bad_records(
            f"r{self.turn}", self.records, REASON, step="load", positions=range(COUNT)
        )

    async def within_batches(self, _):
        """As a batch's transaction does it: encode, COPY, commit."""
        for start in range(0, COUNT, SIZE):
            async with self.connection.transaction():
                rows = rows_of(self.records[start : start + SIZE], f"r{self.turn}")
                await quarantine_store.write(self.connection, "seawall", rows)

    # -- running again

    async def again(self, processor, limit=None):
        await self.in_one_call(None)
        metrics = None

        async def work():
            nonlocal metrics
            metrics = await self.manager.reprocess_quarantined_records(
                f"r{self.turn}", processor=processor, limit=limit
            )

        seconds = await common.timed(work())
        assert metrics.reprocessed == (limit or COUNT), metrics
        return seconds

    async def put(self, tx, record):
        places = ", ".join(f"${n + 1}" for n in range(len(self.names)))
        await tx.execute(f"INSERT INTO raw_flights VALUES ({places})", *record.values())


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    async with common.database() as dsn:
        async with ErrorRecoveryManager(dsn, pipeline_id="bench") as manager:
            connection = await asyncpg.connect(dsn)
            await connection.execute(common.FLIGHTS)
            await connection.execute(EQUAL)
            names = [
                row["column_name"]
                for row in await connection.fetch(
                    "SELECT column_name FROM information_schema.columns "
                    "WHERE table_name = 'flights' ORDER BY ordinal_position"
                )
            ]
            bench = Bench(connection, manager, common.flights(COUNT), names)
            gc.collect()
            gc.freeze()  # the source's records are not looked through again and again
            ways = {
                "COPY of the encoded rows, a batch each": (bench.encoded, bench.copy_encoded, COUNT),
                "COPY of the encoded rows, all at once": (
                    bench.encoded, bench.copy_encoded_at_once, COUNT,
                ),
                "COPY of the raw records": (lambda: None, bench.copy_raw, COUNT),
                "an INSERT each": (bench.encoded, bench.insert_each, EACH),
                "quarantine_bad_records, one call": (lambda: None, bench.in_one_call, COUNT),
                "within a batch's transaction": (lambda: None, bench.within_batches, COUNT),
            }  # fmt: skip
            times = {name: [] for name in [*ways, "by a table's name", "by a function a record"]}
            for turn in range(rounds + 1):
                for name, (prepare, work, _) in ways.items():
                    times[name].append(await bench.seconds(prepare, work))
                await bench.empty()
                times["by a table's name"].append(await bench.again("raw_flights"))
                await bench.empty()
                times["by a function a record"].append(await bench.again(bench.put, 2 * EACH))
                if turn == 0:  # the first round warms up
                    for values in times.values():
                        values.clear()
            await connection.close()
    counts = {name: count for name, (_, _, count) in ways.items()}
    counts |= {"by a table's name": COUNT, "by a function a record": 2 * EACH}
    speed = {name: counts[name] / common.median(values) for name, values in times.items()}
    encoded = speed["COPY of the encoded rows, a batch each"]
    at_once = speed["COPY of the encoded rows, all at once"]
    raw = speed["COPY of the raw records"]
    common.table(
        f"Flights, 20 columns, as mappings; {COUNT:,} records, {SIZE:,} a batch",
        ("how", "records/s", "of the encoded COPY", "of the raw COPY"),
        [
            (
                name, f"{each:,.0f}",
                f"{each / (at_once if 'one call' in name else encoded):.2f}", f"{each / raw:.2f}",
            )
            for name, each in speed.items()
        ],
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
