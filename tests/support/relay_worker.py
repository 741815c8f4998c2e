"""A relay process for the outbox tests: each delivery is a line of a file, then a short pause.

python relay_worker.py DSN FILE LEASE_SECONDS [SECONDS]
"""

import asyncio
import os
import sys

from seawall import ErrorRecoveryManager


async def main(dsn, path, lease, seconds):
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def deliver(message):
        os.write(log, f"{message.key} {message.payload}\n".encode())
        await asyncio.sleep(seconds)

    async with ErrorRecoveryManager(dsn, config={"pool_size": 3}) as manager:
        print("up", flush=True)
        relay = manager.relay(
            "t", deliver, concurrency=4, batch=20, lease_seconds=lease, max_attempts=1000
        )
        await relay.run(poll_seconds=0.02)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
