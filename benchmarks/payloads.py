"""What does setting records aside cost? Against a COPY of the very same rows, and an INSERT each.

    python benchmarks/payloads.py [rounds]

The floors copy the records into the table that they were meant for, and the quarantine's rows, made
beforehand, into the quarantine's table, in the same transactions; rounds alternate, medians are
compared. Telling why a record is bad is the load's part, and not measured here.
"""

import gc
import sys
import time
from importlib.util import find_spec

import asyncpg

import common
from seawall.checkpoint.model import Rejection, StepKey
from seawall.postgres import quarantine_store
from seawall.quarantine.encryption import KeyRing
from seawall.quarantine.payload import PLAIN, PayloadForm

REASON = 'null value in column "dep_time" of relation "flights" violates not-null constraint'
SIZE, COUNT, EACH = 1_000, 20_000, 1_000
INSERT = (
    f"INSERT INTO seawall.quarantined_records ({', '.join(quarantine_store.COLUMNS)}) "
    f"VALUES ({', '.join(f'${n + 1}' for n in range(len(quarantine_store.COLUMNS)))})"
)


def forms():
    yield "plain", PLAIN
    yield "redacted", PayloadForm(redact=True)
    yield "compressed", PayloadForm(compress_above=0)
    if find_spec("cryptography"):
        yield "encrypted", PayloadForm(keys=KeyRing({"bench": bytes(32)}))


REJECTIONS = [
    Rejection(index=n, reason=REASON, reasons=(f"{REASON} Failing row contains ({n}).",))
    for n in range(SIZE)
]


def made(records, form):
    key, rejections = StepKey("bench", "load"), REJECTIONS[: len(records)]
    return quarantine_store.rows("p", key, "b", rejections, records, range(len(records)), form=form)


async def loaded(connection, batches):
    for rows in batches:
        async with connection.transaction():
            await connection.copy_records_to_table("flights", records=rows)


async def copied(connection, batches):
    for rows in batches:
        async with connection.transaction():
            await connection.copy_records_to_table(
                "quarantined_records",
                schema_name="seawall",
                columns=quarantine_store.COLUMNS,
                records=rows,
            )


async def set_aside(connection, batches, form):
    for records in batches:
        async with connection.transaction():
            await quarantine_store.write(connection, "seawall", list(made(records, form)))


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    async with common.database() as dsn:
        connection = await asyncpg.connect(dsn)
        from seawall.postgres.migrate import migrate

        await migrate(connection)
        await connection.execute(common.FLIGHTS)
        await connection.copy_records_to_table("airports", records=common.airports())
        known = {faa for faa, _ in common.airports()}
        tuples = [each for each in common.flights() if each[4] is not None and each[14] in known]
        tuples = tuples[:COUNT]
        columns = [f"c{n}" for n in range(20)]
        records = [dict(zip(columns, row, strict=True)) for row in tuples]
        batches = [records[n : n + SIZE] for n in range(0, COUNT, SIZE)]
        bare = [tuples[n : n + SIZE] for n in range(0, COUNT, SIZE)]
        lines = []

        async def fresh(work):
            gc.collect()
            await connection.execute(
                "TRUNCATE flights; TRUNCATE seawall.quarantined_records CASCADE; CHECKPOINT"
            )
            return await common.timed(work)

        for name, form in forms():
            meant, same, ours = [], [], []
            for _ in range(rounds + 1):
                meant.append(await fresh(loaded(connection, bare)))
                ready = [list(made(batch, form)) for batch in batches]
                same.append(await fresh(copied(connection, ready)))
                del ready
                ours.append(await fresh(set_aside(connection, batches, form)))
            one, two, three = (common.median(each[1:]) for each in (meant, same, ours))
            speeds = [f"{COUNT / each:,.0f}" for each in (one, two, three)]
            lines.append([name, *speeds, f"{one / three:.2f}", f"{two / three:.2f}"])
        start = time.perf_counter()
        for row in made(records[:EACH], PLAIN):
            await connection.execute(INSERT, *row)
        lines.append(
            [
                "plain, an INSERT each",
                "",
                "",
                f"{EACH / (time.perf_counter() - start):,.0f}",
                "",
                "",
            ]
        )
        common.table(
            f"{COUNT:,} records of 20 fields, {SIZE:,} a transaction: records/s",
            ["form", "COPY of the records", "of the made rows", "set aside", "ratio", "ratio"],
            lines,
        )


common.run(main)
