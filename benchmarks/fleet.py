"""The shared breaker's figures: a closed call, and how long a trip takes to reach another process.

Beside resilient-circuit over the same PostgreSQL, where it is installed. Used by ``policies.py
--fleet``.
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from seawall import CircuitOpenError, ErrorRecoveryManager
from seawall.postgres.embedded import EmbeddedServer

TRIPS = 100


@asynccontextmanager
async def shared_breaker():
    """A breaker of a started manager, and the server's DSN."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "server")
        await server.start()
        try:
            async with ErrorRecoveryManager(server.dsn()) as manager:
                yield manager.circuit_breaker("closed"), server.dsn()
        finally:
            await server.aclose(wait=True)


async def figures(dsn):
    """Milliseconds, by name."""
    found = await trips(dsn)
    peer = await asyncio.to_thread(resilient_circuit, dsn)
    if peer is not None:
        found["resilient-circuit over PostgreSQL, a closed call"] = peer
    return found


async def trips(dsn):
    """From the failure that trips the breaker here to the refusal in another process."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, __file__, dsn, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    taken = []
    async with ErrorRecoveryManager(dsn, config={"quorum": 1}) as manager:
        await child.stdout.readline()
        for number in range(TRIPS):
            breaker = manager.circuit_breaker(f"trip {number}", failure_threshold=1)
            await asyncio.sleep(0.05)
            child.stdin.write(f"trip {number}\n".encode())
            await child.stdout.readline()  # it asks its own breaker in a loop now
            tripped = time.monotonic()
            with contextlib.suppress(ConnectionError):
                await breaker.call(broken)
            taken.append((json.loads(await child.stdout.readline()) - tripped) * 1e3)
    child.stdin.close()
    await child.wait()
    taken.sort()
    return {
        "trip here to refusal in another process, median": statistics.median(taken),
        "the same, 99 of 100": taken[int(0.99 * len(taken)) - 1],
    }


async def broken():
    raise ConnectionError


async def well():
    return None


async def watch(dsn):
    """The other process: says the moment of the first refusal."""
    loop = asyncio.get_running_loop()
    async with ErrorRecoveryManager(dsn, config={"quorum": 1}) as manager:
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            breaker = manager.circuit_breaker(line.strip(), failure_threshold=1)
            print("watching", flush=True)
            while True:
                try:
                    await breaker.call(well)
                except CircuitOpenError:
                    print(time.monotonic(), flush=True)
                    break
                await asyncio.sleep(0.0002)


def resilient_circuit(dsn):
    """Milliseconds a successful call (it is synchronous), or None where it isn't there."""
    try:
        import psycopg
        from resilient_circuit import CircuitProtectorPolicy
        from resilient_circuit.storage.postgres import PostgresStorage
        from resilient_circuit.storage.schema import apply_schema
    except ImportError:
        return None
    try:
        with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
            apply_schema(cursor)
        policy = CircuitProtectorPolicy(resource_key="api", storage=PostgresStorage(dsn))
        call = policy(lambda: None)
        taken = []
        for _ in range(50):
            start = time.perf_counter()
            call()
            taken.append((time.perf_counter() - start) * 1e3)
    except Exception as error:
        print(f"resilient-circuit could not be timed: {error}", file=sys.stderr)
        return None
    return statistics.median(taken)


if __name__ == "__main__":
    asyncio.run(watch(sys.argv[1]))
