"""The checkpointed load of DBOS beside ours, each against the bare COPY of its own driver.

    pip install -e '.[bench]' && python benchmarks/dbos_load.py [rounds]

DBOS: a workflow whose transactions (a datasource's, the exactly-once form) each COPY one batch with
psycopg 3. seawall: `stream` with asyncpg. The same tuples, table and server; rounds alternate.
"""

import asyncio
import sys
import warnings

import asyncpg
import psycopg

import common
from seawall import ErrorRecoveryManager

warnings.filterwarnings("ignore")
COUNT = 100_000


def copy_rows(connection, rows):
    with connection.cursor() as cursor, cursor.copy("COPY flights FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def bare_psycopg(dsn, rows, size):
    with psycopg.connect(dsn) as connection:
        for start in range(0, len(rows), size):
            with connection.transaction():
                copy_rows(connection, rows[start : start + size])


def make_dbos(dsn, rows):
    """A function that runs one checkpointed load of ``rows``."""
    from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource

    url = dsn.replace("postgresql://", "postgresql+psycopg://")
    DBOS(
        config={
            "name": "bench",
            "system_database_url": dsn,
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )
    source = SQLAlchemyDatasource.create(url)

    def one_batch(start, size):
        session = source.sql_session()
        copy_rows(session.connection().connection.driver_connection, rows[start : start + size])
        return start + size

    load_batch = source.transaction(isolation_level="READ COMMITTED")(one_batch)

    @DBOS.workflow()
    def load(size):
        for start in range(0, len(rows), size):
            load_batch(start, size)

    DBOS.launch()

    def run(size, name):
        with SetWorkflowID(name):
            load(size)

    return run, DBOS.destroy


async def bare_asyncpg(connection, rows, size):
    for start in range(0, len(rows), size):
        async with connection.transaction():
            await connection.copy_records_to_table("flights", records=rows[start : start + size])


async def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    known = {faa for faa, _ in common.airports()}
    every = common.flights()
    rows = [row for row in every if row[4] is not None and row[14] in known][:COUNT]
    results = []
    async with common.database() as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(common.FLIGHTS)
        await connection.copy_records_to_table("airports", records=common.airports())
        dbos, destroy = await asyncio.to_thread(make_dbos, dsn, rows)
        async with ErrorRecoveryManager(dsn, pipeline_id="bench") as manager:
            for size in (10_000, 1_000):
                works = {
                    "bare asyncpg": lambda turn, size=size: bare_asyncpg(connection, rows, size),
                    "seawall": lambda turn, size=size: manager.stream(
                        lambda after: rows, "flights", run_id=f"s{size}{turn}", size=size,
                        position=lambda row: row[0],
                    ),
                    "bare psycopg": lambda turn, size=size: asyncio.to_thread(
                        bare_psycopg, dsn, rows, size
                    ),
                    "DBOS": lambda turn, size=size: asyncio.to_thread(dbos, size, f"d{size}{turn}"),
                }  # fmt: skip
                times = {name: [] for name in works}
                for turn in range(rounds + 1):
                    for name, work in works.items():
                        await connection.execute("TRUNCATE flights")
                        await connection.execute("CHECKPOINT")
                        seconds = await common.timed(work(turn))
                        count = await connection.fetchval("SELECT count(*) FROM flights")
                        assert count == len(rows), (name, count)
                        if turn:  # the first round warms up
                            times[name].append(seconds)
                for name, floor in (("seawall", "bare asyncpg"), ("DBOS", "bare psycopg")):
                    pairs = [b / v for b, v in zip(times[floor], times[name], strict=True)]
                    results.append(
                        (
                            f"{size:,}", name, f"{len(rows) / common.median(times[name]):,.0f}",
                            f"{len(rows) / common.median(times[floor]):,.0f}",
                            f"{common.median(pairs):.2f}",
                        )
                    )  # fmt: skip
        await asyncio.to_thread(destroy)
        await connection.close()
    common.table(
        "100,000 flights, exactly once, against the bare COPY of the same driver",
        ("batch", "library", "rows/s", "bare rows/s", "of bare"),
        results,
    )


if __name__ == "__main__":
    common.run(main)
