"""A worker process for the parking tests: takes up ``slow`` calls, and says so on stdout.

python parking_worker.py DSN SECONDS LEASE_SECONDS
"""

import asyncio
import sys

from seawall import ErrorRecoveryManager


async def main(dsn, seconds, lease):
    async with ErrorRecoveryManager(dsn, config={"lease_seconds": lease}) as manager:

        @manager.parking.register("slow")
        async def slow(n):
            print("began", n, flush=True)
            await asyncio.sleep(seconds)
            print("ended", n, flush=True)

        await manager.parking.run(poll_seconds=0.1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
