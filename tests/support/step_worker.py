"""A process of a run for the steps' tests.

python step_worker.py DSN RUN_ID FILE LEASE_SECONDS SECONDS STEPS

Each step adds a line to the file when its function begins, waits, adds one when it ends, and
returns a number that no other call returns; even steps are transactional and add a row to
``effects``. At the end the results are printed.
"""

import asyncio
import json
import os
import secrets
import sys

from seawall import ErrorRecoveryManager


async def main(dsn, run_id, path, lease, seconds, steps):
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(*what):
        os.write(log, (" ".join(map(str, what)) + "\n").encode())

    async def plain(n):
        draw = secrets.token_hex(8)
        say("began", n, draw)
        await asyncio.sleep(seconds)
        say("ended", n, draw)
        return draw

    async def in_database(tx, n):
        draw = secrets.token_hex(8)
        say("began", n, draw)
        await tx.execute("INSERT INTO effects VALUES ($1, $2)", n, draw)
        await tx.publish("effects", n, key="k")
        await asyncio.sleep(seconds)
        return draw

    config = {"lease_seconds": lease, "pool_size": 4}
    async with (
        ErrorRecoveryManager(dsn, config=config) as manager,
        manager.run("steps", run_id) as run,
    ):
        print("up", flush=True)
        results = []
        for n in range(steps):
            fn, transactional = (plain, False) if n % 2 else (in_database, True)
            results.append(await run.step(f"step {n}", fn, n, transactional=transactional))
    print(json.dumps(results), flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(main(*arguments[:3], *map(float, arguments[3:5]), int(arguments[5])))
