"""What do durable records cost, from a thousand tasks at once, and from one alone?

    python benchmarks/records.py [rounds]

The writer alone (rows that are made beforehand), and `log_error_details` whole: an exception raised,
classified, masked, fingerprinted, mined, described and committed. Against one COPY of the very rows
into the very table, an INSERT and a commit a row from as many tasks, `logging` with a traceback to a
file (no fsync: nothing is durable), and sqlite with a commit a row. The journal: the same while the
database is away. Rounds alternate, medians are compared; CPU is this process's own.
"""

import asyncio
import gc
import json
import logging
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

import common
from seawall import ErrorRecoveryManager
from seawall.clock import utc_now, uuid7
from seawall.error_details import COLUMNS
from seawall.journal import Journal, JournalFolder

TASKS, ROWS, FEW, ALONE = 1_000, 30_000, 2_000, 200
TEXT = "Traceback (most recent call last):\n" + 4 * '  File "load.py", line 7, in f\n    g()\n'
NAMES = ", ".join(COLUMNS)
INSERT = (
    f"INSERT INTO seawall.error_details ({NAMES}) "
    f"VALUES ({', '.join(f'${n + 1}' for n in range(len(COLUMNS)))})"
)


def row():
    values = {
        "error_id": uuid7(), "occurred_at": utc_now(), "pipeline_id": "bench", "run_id": "r",
        "step": "load", "error_type": "transient", "exception_type": "builtins.ConnectionError",
        "message": "connection to 10.0.0.7:5432 timed out after 5s", "fingerprint": "0" * 16,
        "traceback": TEXT, "traceback_digest": "1" * 16, "context": '{"k": 1}', "host": "h",
        "pid": 1,
    }  # fmt: skip
    return tuple(values.get(name) for name in COLUMNS)


def fail(depth, task, number):
    if depth:
        fail(depth - 1, task, number)
    raise ConnectionError(f"connection to 10.0.0.{task % 255}:5432 timed out after {number}s")


async def side_by_side(count, work):
    """``work(task, number)`` from a thousand tasks, ``count`` times in all."""

    async def one(task):
        for number in range(count // TASKS):
            await work(task, number)

    await asyncio.gather(*(one(task) for task in range(TASKS)))


class Bench:
    def __init__(self, dsn, manager, pool, folder):
        self.dsn, self.manager, self.pool, self.folder = dsn, manager, pool, folder
        self.rows = []

    async def copy(self):
        async with self.pool.acquire() as connection:
            await connection.copy_records_to_table(
                "error_details", schema_name="seawall", columns=list(COLUMNS), records=self.rows
            )

    async def insert_each(self):
        await side_by_side(FEW, lambda *_: self.pool.execute(INSERT, *self.rows.pop()))

    async def writer(self):
        recorder = self.manager._services._recorder
        put, rows = recorder.put, self.rows
        await side_by_side(ROWS, lambda *_: put([("error_details", rows.pop())]))

    async def whole(self):
        log = self.manager.log_error_details

        async def one(task, number):
            try:
                fail(3, task, number)
            except ConnectionError as error:
                await log("r", error, {"k": task, "i": number}, step="load")

        await side_by_side(ROWS, one)

    async def alone(self):
        recorder = self.manager._services._recorder
        for _ in range(ALONE):
            await recorder.put([("error_details", self.rows.pop())])

    async def insert_alone(self):
        async with self.pool.acquire() as connection:
            for _ in range(ALONE):
                await connection.execute(INSERT, *self.rows.pop())

    async def journal(self):
        journal = Journal(JournalFolder(Path(self.folder) / "journal"), 2**30)
        rows = self.rows
        await side_by_side(ROWS, lambda *_: journal.append([("error_details", rows.pop())]))
        file = await journal.seal()
        journal.folder.remove(file)
        file.close()

    async def log_file(self):
        logger = logging.getLogger("bench")
        logger.propagate = False
        handler = logging.FileHandler(Path(self.folder) / "log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        try:
            for number in range(FEW):
                try:
                    fail(3, number, number)
                except ConnectionError as error:
                    logger.exception(error, extra={"k": number})
        finally:
            logger.removeHandler(handler)
            handler.close()

    async def sqlite(self):
        base = sqlite3.connect(Path(self.folder) / "base", isolation_level=None)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        base.execute(f"CREATE TABLE IF NOT EXISTS error_details ({NAMES})")
        places = ", ".join("?" * len(COLUMNS))
        for _ in range(FEW):
            values = [v if isinstance(v, int | str | None) else str(v) for v in self.rows.pop()]
            base.execute(f"INSERT INTO error_details VALUES ({places})", values)
        base.close()


WAYS = [
    ("COPY of all rows at once", "copy", ROWS, True),
    ("the writer, 1,000 tasks", "writer", ROWS, True),
    ("log_error_details, 1,000 tasks", "whole", ROWS, False),
    ("the journal, 1,000 tasks", "journal", ROWS, True),
    ("INSERT each, 1,000 tasks", "insert_each", FEW, True),
    ("sqlite, a commit each", "sqlite", FEW, True),
    ("logging to a file (not durable)", "log_file", FEW, False),
    ("the writer, one task", "alone", ALONE, True),
    ("INSERT each, one task", "insert_alone", ALONE, True),
]


async def measured(bench, connection, name, count, prepared):
    await connection.execute("TRUNCATE seawall.error_details; CHECKPOINT")
    bench.rows = [row() for _ in range(count)] if prepared else []
    gc.collect()
    cpu, start = time.process_time(), time.perf_counter()
    await getattr(bench, name)()
    seconds = time.perf_counter() - start
    return seconds / count, (time.process_time() - cpu) / count


async def main(rounds):
    taken = {name: [] for _, name, *_ in WAYS}
    with tempfile.TemporaryDirectory(prefix="seawall-bench-") as folder:
        async with common.database() as dsn:
            # A stall of this machine's disk must not send the rows to the journal.
            config = {"journal_folder": folder, "journal_after": 60.0}
            async with (
                ErrorRecoveryManager(dsn, pipeline_id="bench", config=config) as manager,
                asyncpg.create_pool(dsn, min_size=10, max_size=10) as pool,
            ):
                connection = await asyncpg.connect(dsn)
                bench = Bench(dsn, manager, pool, folder)
                await measured(bench, connection, "whole", ROWS, False)  # warm
                for _ in range(rounds):
                    for _, name, count, prepared in WAYS:
                        taken[name].append(await measured(bench, connection, name, count, prepared))
                await connection.close()
    bare = common.median([wall for wall, _ in taken["copy"]])
    lines = []
    for title, name, *_ in WAYS:
        wall, cpu = (common.median(each) for each in zip(*taken[name], strict=True))
        best = min(each for each, _ in taken[name])
        least = min(each for _, each in taken[name])
        lines.append(
            [title, f"{1 / wall:,.0f}", f"{1 / best:,.0f}", f"{wall / bare:.1f}",
             f"{cpu * 1e6:.1f}", f"{least * 1e6:.1f}"]
        )  # fmt: skip
    head = ["way", "rows/s", "best", "x COPY", "CPU us/row", "least"]
    common.table(f"Durable records, medians of {rounds} rounds", head, lines)
    print(json.dumps({line[0]: line[1:] for line in lines}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
