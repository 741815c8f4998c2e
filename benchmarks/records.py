"""Durable records from 1,000 tasks at once: the writer, whole errors, and what others would do.

    python benchmarks/records.py [--rows 50000] [--rounds 3]

``bare COPY`` is the floor: all rows in one statement, durable once. The others are durable for each
caller when its call returns: an INSERT each (asyncpg, 10 connections), ``logging`` to a file and sqlite,
both synced for each record as a durable log must be, and without. One run, medians.
"""

import argparse
import asyncio
import logging
import os
import sqlite3
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import asyncpg
from common import database

from seawall import ErrorRecoveryManager
from seawall.clock import utc_now, uuid7
from seawall.error_details import COLUMNS

TASKS = 1000


def row(n):
    values = dict.fromkeys(COLUMNS) | {
        "error_id": uuid7(), "occurred_at": utc_now(), "pipeline_id": "p", "run_id": "r", "step": "s",
        "error_type": "transient", "exception_type": "builtins.TimeoutError",
        "message": f"order {n} timed out", "fingerprint": "0123456789abcdef", "host": "h", "pid": 1,
    }  # fmt: skip
    return tuple(values[name] for name in COLUMNS)


async def shared(rows, call):
    """``call`` for each of so many rows, from a thousand tasks."""
    each = rows // TASKS

    async def task(number):
        for n in range(each):
            await call(number * each + n)

    begun = time.perf_counter()
    await asyncio.gather(*(task(number) for number in range(TASKS)))
    return each * TASKS / (time.perf_counter() - begun)


async def bare_copy(dsn, rows):
    connection = await asyncpg.connect(dsn)
    records = [row(n) for n in range(rows)]
    begun = time.perf_counter()
    await connection.copy_records_to_table(
        "error_details", schema_name="seawall", columns=COLUMNS, records=records
    )
    rate = rows / (time.perf_counter() - begun)
    await connection.close()
    return rate


async def insert_each(dsn, rows):
    rows = min(rows, 10_000)
    places = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))
    query = f"INSERT INTO seawall.error_details ({', '.join(COLUMNS)}) VALUES ({places})"
    async with asyncpg.create_pool(dsn, min_size=10, max_size=10) as pool:

        async def one(n):
            await pool.execute(query, *row(n))

        return await shared(rows, one)


async def writer(manager, rows):
    put = manager._services._recorder.put

    async def one(n):
        await put([("error_details", row(n))])

    return await shared(rows, one)


async def whole(manager, rows):
    """Classified, masked, fingerprinted, its pattern mined; raised anew each time, as errors are."""

    async def one(n):
        try:
            raise_it(n)
        except TimeoutError as error:
            await manager.log_error_details("r", error)

    return await shared(rows, one)


def raise_it(n):
    raise TimeoutError(f"order {n} of customer {n % 97} timed out after {n % 30} s")


def logging_to_file(folder, rows, *, synced):
    rows = min(rows, 3_000) if synced else rows
    logger = logging.getLogger("bench")
    logger.propagate = False
    handler = logging.FileHandler(folder / f"log-{uuid7().hex}")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    begun = time.perf_counter()
    for n in range(rows):
        try:
            raise_it(n)
        except TimeoutError:
            logger.exception("failed")
        if synced:
            os.fsync(handler.stream.fileno())
    rate = rows / (time.perf_counter() - begun)
    logger.removeHandler(handler)
    handler.close()
    return rate


def sqlite_each(folder, rows):
    rows = min(rows, 3_000)
    connection = sqlite3.connect(folder / f"db-{uuid7().hex}", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"CREATE TABLE error_details ({', '.join(COLUMNS)})")
    query = f"INSERT INTO error_details VALUES ({', '.join('?' * len(COLUMNS))})"
    begun = time.perf_counter()
    for n in range(rows):
        connection.execute(query, [None if each is None else str(each) for each in row(n)])
    rate = rows / (time.perf_counter() - begun)
    connection.close()
    return rate


async def lone_call(manager):
    """Milliseconds of one call alone, and commits for each."""
    # Transaction numbers are given to those that write.
    newest = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    async with manager.database.acquire() as connection:
        before = await connection.fetchval(newest)
    taken = []
    for n in range(200):
        try:
            raise_it(n)
        except TimeoutError as error:
            begun = time.perf_counter()
            await manager.log_error_details("r", error)
            taken.append((time.perf_counter() - begun) * 1e3)
    async with manager.database.acquire() as connection:
        after = await connection.fetchval(newest)
    return median(taken), (after - before) / 200


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {}
    async with (
        database() as dsn,
        ErrorRecoveryManager(
            dsn, pipeline_id="p", config={"health_interval_seconds": 0}
        ) as manager,
    ):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for _ in range(given.rounds):
                for label, measured in (
                    ("bare COPY", bare_copy(dsn, given.rows)),
                    ("the writer, 1,000 tasks", writer(manager, given.rows)),
                    ("log_error_details, 1,000 tasks", whole(manager, given.rows)),
                    ("an INSERT each, 10 connections", insert_each(dsn, given.rows)),
                ):
                    found.setdefault(label, []).append(await measured)
                for label, measured in (
                    ("logging to a file", logging_to_file(folder, given.rows, synced=False)),
                    ("logging to a file, synced", logging_to_file(folder, given.rows, synced=True)),
                    ("sqlite, a commit each", sqlite_each(folder, given.rows)),
                ):
                    found.setdefault(label, []).append(measured)
        alone, commits = await lone_call(manager)
    floor = median(found["bare COPY"])
    for label, rates in found.items():
        print(
            f"{label:34} {median(rates):12,.0f} rows/s  {median(rates) / floor:7.4f} of a bare COPY"
        )
    print(
        f"one call alone: {alone:.2f} ms, {commits:.2f} commits (writing transactions, those of the background included)"
    )


if __name__ == "__main__":
    asyncio.run(main())
