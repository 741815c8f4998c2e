"""A run of several steps, each done once however often it is started: python steps.py 2026-11-27

A step's result is kept; the next start of the same run goes on behind the last one that ended.
"""

import asyncio
import sys

from seawall import ErrorRecoveryManager

manager = ErrorRecoveryManager(pipeline_id="daily")


async def extract(day: str) -> list[int]:
    print("extracting", day)
    return [3, 1, 2]


async def store(tx, day: str, numbers: list[int]) -> int:
    print("storing", day)
    await tx.executemany("INSERT INTO numbers (n) VALUES ($1)", [(n,) for n in numbers])
    return len(numbers)


async def main(day: str) -> None:
    async with manager, manager.run("daily", f"daily-{day}") as run:
        numbers = await run.step("extract", extract, day)
        stored = await run.step("store", store, day, numbers, transactional=True)
        print(f"{stored} numbers are stored")


asyncio.run(main(sys.argv[1]))
