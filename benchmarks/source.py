"""How fast are the sources? CsvSource against csv.DictReader, JsonLinesSource against json.loads.

    python benchmarks/source.py [rounds] [rows]

The same files, every record made and thrown away; rounds alternate, medians are compared, of CPU
time: nothing waits here, and what else the machine does is left out. The
flights as they are (plain), with every field in quotes, with a line end within every hundredth row,
and a thousandth of the rows bad; then gzip, and resuming behind nine tenths of the file.
"""

import asyncio
import csv
import gzip
import json
import sys
import tempfile
import time
from pathlib import Path

import common
from seawall import CsvSource, JsonLinesSource

NAMES = [
    "n",
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
    "hour",
    "minute",
    "time_hour",
]


def write_csv(path, rows, *, quoting=csv.QUOTE_MINIMAL, line_ends=False, bad=False):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=quoting)
        writer.writerow(NAMES)
        for n, row in enumerate(rows):
            values = list(row)
            if line_ends and n % 100 == 0:
                values[13] = "two\nlines"
            if bad and n % 1000 == 0:
                values.pop()
            writer.writerow(values)


def write_json(path, rows):
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(dict(zip(NAMES, row, strict=True)), default=str) + "\n")


def pack(path):
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), 6))
    return packed


async def ours(source, after=None):
    count = 0
    async for chunk in source.chunks(after):
        count += len(chunk)
    return count


def dict_reader(path, opening=open):
    with opening(path, "rt", newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.DictReader(file))


def json_loads(path, opening=open):
    count = 0
    with opening(path, "rt", encoding="utf-8") as file:
        for line in file:
            json.loads(line)
            count += 1
    return count


def timed(work):
    start = time.process_time()
    work()
    return time.process_time() - start


async def position_at(source, share):
    """The position of the last record within the first ``share`` of the file."""
    found = None
    async for chunk in source.chunks(None):
        for position, _ in chunk:
            if source.fraction(position) > share:
                return found
            found = position
    return found


def cases(folder, rows):
    plain, quoted, lines, bad = (folder / f"{name}.csv" for name in ("p", "q", "l", "b"))
    write_csv(plain, rows)
    write_csv(quoted, rows, quoting=csv.QUOTE_ALL)
    write_csv(lines, rows, line_ends=True)
    write_csv(bad, rows, bad=True)
    jsonl = folder / "p.jsonl"
    write_json(jsonl, rows)
    for name, path in (
        ("CSV", plain),
        ("CSV, all quoted", quoted),
        ("CSV, line ends in fields", lines),
        ("CSV, some rows bad", bad),
    ):
        yield name, path, CsvSource(path), lambda path=path: dict_reader(path)
    yield "JSON Lines", jsonl, JsonLinesSource(jsonl), lambda: json_loads(jsonl)
    packed = pack(plain)
    yield "CSV, gzip", plain, CsvSource(packed), lambda: dict_reader(packed, gzip.open)
    packed_json = pack(jsonl)
    yield (
        "JSON Lines, gzip", jsonl, JsonLinesSource(packed_json),
        lambda: json_loads(packed_json, gzip.open),
    )  # fmt: skip


async def resuming(folder):
    rows = []
    for name, source in (
        ("CSV", CsvSource(folder / "p.csv")),
        ("CSV, gzip", CsvSource(folder / "p.csv.gz")),
    ):
        after = await position_at(source, 0.9)
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            chunks = source.chunks(after)
            await anext(chunks)
            seconds.append(time.perf_counter() - start)
            await chunks.aclose()
        rows.append((name, f"{common.median(seconds) * 1000:.2f} ms"))
    return rows


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rows = common.flights(int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, path, source, peer in cases(folder, rows):
            own, theirs = [], []
            assert await ours(source) == peer()
            for _ in range(rounds):
                start = time.process_time()
                await ours(source)
                own.append(time.process_time() - start)
                theirs.append(timed(peer))
            seconds, peer_seconds = common.median(own), common.median(theirs)
            megabytes = path.stat().st_size / 1e6
            results.append(
                (
                    title, f"{megabytes / seconds:,.0f}", f"{len(rows) / seconds:,.0f}",
                    f"{len(rows) / peer_seconds:,.0f}", f"{peer_seconds / seconds:.2f}",
                )
            )  # fmt: skip
        resumed = await resuming(folder)
    common.table(
        f"{len(rows):,} flights, 20 columns; the standard library is DictReader, or json.loads",
        ("file", "MB/s of content", "records/s", "standard library", "times as fast"),
        results,
    )
    common.table("To the first record behind nine tenths of the file", ("file", "time"), resumed)


if __name__ == "__main__":
    asyncio.run(main())
