"""What do bad rows cost? A batch of 10,000 with 0 to 1,000 of them, quarantine written.

    python benchmarks/bad_rows.py [rounds]

Ours: the first dirty batch of a step, and one that knows what to expect, in multiples of a clean
batch through the same path. Peers on the same rows: bisecting, a savepoint a row, an INSERT a row
(each row its own commit). Then the flights as they come against the same load without bad rows.
"""

import random
import sys

import asyncpg

import common
from seawall import ErrorRecoveryManager
from seawall.events import BatchCommitted

N = 10_000
INSERT = "INSERT INTO items VALUES ($1, $2, $3, $4)"
DDL = """
CREATE TABLE parents (k text PRIMARY KEY);
INSERT INTO parents SELECT 'k' || i FROM generate_series(1, 1000) i;
CREATE TABLE items (
    id int PRIMARY KEY, k text REFERENCES parents, v int NOT NULL CHECK (v >= 0), t text
);
"""


def batch(bad, start, seed):
    """10,000 rows of which ``bad`` break, in turn, the foreign key, NOT NULL, CHECK and the key."""
    draw = random.Random(seed)
    rows = [(start + i, f"k{draw.randint(1, 1000)}", 1, "some text here") for i in range(N)]
    for turn, i in enumerate(sorted(draw.sample(range(1, N), bad))):
        id_, k, v, t = rows[i]
        rows[i] = [(id_, "none", v, t), (id_, k, None, t), (id_, k, -1, t), (start, k, v, t)][
            turn % 4
        ]
    return rows


class Ours:
    def __init__(self, manager):
        self._manager, self._seconds, self._runs = manager, [], 0
        manager.bus.subscribe(self._hear)

    def _hear(self, event):
        if isinstance(event, BatchCommitted):
            self._seconds.append(event.elapsed_seconds)

    async def load(self, *batches):
        """Seconds of each batch, from BEGIN to the answer of COMMIT."""
        self._seconds.clear()
        self._runs += 1
        rows = [row for each in batches for row in each]
        places = iter(range(1, 1 + 2 * len(rows)))
        await self._manager.stream(
            lambda after: rows, "items", run_id=f"run {self._runs}", size=N, tolerance=1.0,
            position=lambda row: next(places),
        )  # fmt: skip
        return list(self._seconds)


async def bisecting(connection, rows):
    async with connection.transaction():
        pending = [rows]
        while pending:
            part = pending.pop()
            try:
                async with connection.transaction():
                    await connection.copy_records_to_table("items", records=part)
            except asyncpg.PostgresError:
                if len(part) > 1:
                    half = len(part) // 2
                    pending += [part[half:], part[:half]]


async def savepoint_a_row(connection, rows):
    async with connection.transaction():
        for row in rows:
            try:
                async with connection.transaction():
                    await connection.execute(INSERT, *row)
            except asyncpg.PostgresError:
                pass


async def insert_a_row(connection, rows):
    for row in rows:
        try:
            await connection.execute(INSERT, *row)
        except asyncpg.PostgresError:
            pass


async def one_table(dsn, rounds):
    connection = await asyncpg.connect(dsn)
    await connection.execute(DDL)

    async def fresh():
        await connection.execute(
            "TRUNCATE items; TRUNCATE seawall.quarantined_records CASCADE; CHECKPOINT"
        )

    results = []
    async with ErrorRecoveryManager(dsn, pipeline_id="bench") as manager:
        ours = Ours(manager)
        for bad in (1, 10, 100, 1000):
            clean, first, later = [], [], []
            for turn in range(rounds + 1):
                await fresh()
                one, two = await ours.load(batch(0, 0, turn), batch(0, N, turn + 100))
                await fresh()
                three, four = await ours.load(batch(bad, 0, turn), batch(bad, N, turn + 100))
                if turn:
                    clean += [one, two]
                    first.append(three)
                    later.append(four)
            floor = common.median(clean)
            peers = []
            for peer in (bisecting, savepoint_a_row, insert_a_row):
                await fresh()
                peers.append(await common.timed(peer(connection, batch(bad, 0, 1))))
            results.append(
                (
                    f"{bad:,}", f"{floor * 1e3:.0f} ms",
                    f"{common.median(first) / floor:.2f}", f"{common.median(later) / floor:.2f}",
                    *(f"{each / floor:.1f}" for each in peers),
                    f"{peers[1] / common.median(first):.0f}x",
                )
            )  # fmt: skip
    await connection.close()
    common.table(
        "A batch of 10,000 rows, in multiples of a clean one",
        ("bad rows", "clean", "first", "later", "bisecting", "savepoint/row", "INSERT/row",
         "savepoint/first"),
        results,
    )  # fmt: skip


async def flights(dsn, rounds):
    connection = await asyncpg.connect(dsn)
    await connection.execute(common.FLIGHTS)
    await connection.copy_records_to_table("airports", records=common.airports())
    known = {faa for faa, _ in common.airports()}
    every = common.flights()
    clean = [row for row in every if row[4] is not None and row[14] in known]
    speeds = {"as they come": [], "bad rows left out": []}
    async with ErrorRecoveryManager(dsn, pipeline_id="bench") as manager:
        for turn in range(max(1, rounds // 2)):
            for name, rows in (("bad rows left out", clean), ("as they come", every)):
                await connection.execute("TRUNCATE flights; CHECKPOINT")
                seconds = await common.timed(
                    manager.stream(
                        lambda after, rows=rows: rows, "flights", run_id=f"{name} {turn}",
                        size=N, position=lambda row: row[0],
                    )
                )  # fmt: skip
                speeds[name].append(len(rows) / seconds)
        aside = await connection.fetchval(
            "SELECT count(*) FROM seawall.quarantined_records WHERE run_id = 'as they come 0'"
        )
        assert aside == 15_816, aside
    await connection.close()
    floor = common.median(speeds["bad rows left out"])
    common.table(
        "All 336,776 flights, 15,816 of them bad, batches of 10,000",
        ("how", "rows/s", "ratio"),
        [
            (name, f"{common.median(values):,.0f}", f"{common.median(values) / floor:.2f}")
            for name, values in speeds.items()
        ],
    )


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    async with common.database() as dsn:
        await one_table(dsn, rounds)
        await flights(dsn, rounds)


if __name__ == "__main__":
    common.run(main)
