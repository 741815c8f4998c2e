"""A CSV file into a table that has some of its rows: python csv_upsert.py orders.csv

Rows that the table refuses are quarantined; above 5 % of them the run stops where it is.
"""

import asyncio
import sys
from datetime import date

from seawall import CsvSource, ErrorRecoveryManager, OnConflict, Tolerance

manager = ErrorRecoveryManager(pipeline_id="orders-csv")


async def main(path: str) -> None:
    orders = CsvSource(path, converters={"id": int, "total": int, "day": date.fromisoformat})

    async def upsert(tx, batch):
        await tx.load("orders", batch.records, on_conflict=OnConflict(columns=["id"]))

    async with manager:
        report = await manager.stream(
            orders, upsert, run_id=f"load {path}", size=1_000, tolerance=Tolerance(share=0.05)
        )
    print(f"loaded {report.rows_loaded}, set aside {report.rows_quarantined}")


asyncio.run(main(sys.argv[1]))
