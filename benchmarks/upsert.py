"""What does an upsert cost? Batches of which half of the keys are there already, rows/s.

    python benchmarks/upsert.py [rounds]

`load(on_conflict="update")`, in a batch's transaction without the checkpoint, against the same
INSERT … ON CONFLICT by executemany, and by unnest over arrays; all in one transaction a batch. Then
what bad records and repeated keys add to ours.
"""

import random
import sys

import asyncpg

import common
from seawall.postgres.loading.loader import Loader
from seawall.postgres.transaction import Transaction

DDL = """
CREATE TABLE items (id int PRIMARY KEY, v int NOT NULL CHECK (v >= 0), t text, at timestamptz);
INSERT INTO items SELECT i * 2, 0, 'as it was', now() FROM generate_series(0, 100000) i;
"""
BEGIN = "BEGIN; SET CONSTRAINTS ALL IMMEDIATE"
UPDATE = "ON CONFLICT (id) DO UPDATE SET v = excluded.v, t = excluded.t, at = excluded.at"
VALUES = f"INSERT INTO items VALUES ($1, $2, $3, $4) {UPDATE}"
UNNEST = (
    "INSERT INTO items SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::timestamptz[]) "
    + UPDATE
)


def batch(size, seed, moment):
    draw = random.Random(seed)
    ids = draw.sample(range(200_000), size)
    return [(i, seed, f"some text of record {i}", moment) for i in ids]


class Ours:
    def __init__(self, connection):
        self._connection, self._loader, self.aside = connection, Loader(), 0

    async def __call__(self, rows):
        async def rejects(rejections, records):
            self.aside += len(rejections)

        tx = Transaction(self._connection, BEGIN, self._loader, rejects)
        await tx.begin()
        await tx.load("items", rows, on_conflict="update")
        await tx.commit()


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    async with common.database() as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(DDL)
        moment = await connection.fetchval("SELECT now()")

        async def executemany(rows):
            async with connection.transaction():
                await connection.executemany(VALUES, rows)

        async def unnest(rows):
            async with connection.transaction():
                await connection.execute(UNNEST, *map(list, zip(*rows, strict=True)))

        async def copy(rows):  # the floor: the same rows, no keys to look for
            async with connection.transaction():
                await connection.execute("CREATE TEMP TABLE f (LIKE items) ON COMMIT DROP")
                await connection.copy_records_to_table("f", records=rows)

        ways = {
            "load": Ours(connection), "executemany": executemany, "unnest": unnest,
            "COPY alone": copy,
        }  # fmt: skip
        results = []
        for size in (100, 1_000, 10_000, 50_000):
            seconds = {name: [] for name in ways}
            for turn in range(rounds + 1):
                for name, way in ways.items():
                    rows = batch(size, turn, moment)
                    await connection.execute("VACUUM items")
                    took = await common.timed(way(rows))
                    if turn:
                        seconds[name].append(took)
            speed = {name: size / common.median(took) for name, took in seconds.items()}
            results.append(
                (f"{size:,}", *(f"{each:,.0f}" for each in speed.values()),
                 f"{speed['load'] / speed['executemany']:.1f}x",
                 f"{speed['load'] / speed['unnest']:.2f}x")
            )  # fmt: skip
        common.table(
            "Upserts, half of the keys there, rows/s",
            ("batch", *ways, "load/executemany", "load/unnest"), results,
        )  # fmt: skip

        results = []
        for what, spoil in {
            "clean": lambda rows: rows,
            "100 break the check": lambda rows: [(i, -1, t, a) for i, _, t, a in rows[:100]] + rows[100:],
            "1,000 keys twice": lambda rows: rows + rows[:1000],
            "one key 1,000 times": lambda rows: rows + rows[:1] * 1000,
        }.items():  # fmt: skip
            ours, took = Ours(connection), []
            for turn in range(rounds + 1):
                rows = spoil(batch(10_000, turn, moment))
                await connection.execute("VACUUM items")
                took.append(await common.timed(ours(rows)))
            results.append(
                (what, f"{took[0] * 1e3:.0f} ms", f"{common.median(took[1:]) * 1e3:.0f} ms")
            )
        common.table("Ours, a batch of 10,000", ("batch", "first", "later"), results)
        await connection.close()


if __name__ == "__main__":
    common.run(main)
