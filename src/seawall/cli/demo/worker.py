"""The worker process: what a user's own ETL worker looks like.

Run by the demo as ``python -m seawall.cli.demo.worker API_URL``, with the DSN in ``SEAWALL_DSN``;
tells its progress as JSON lines on standard output.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path

import httpx

from seawall import ErrorRecoveryManager
from seawall.cli.demo import data, tables
from seawall.cli.demo.carriers import Carriers
from seawall.errors import SeawallError
from seawall.events import BreakerTransition, Event, FallbackUsed, RetryScheduled

BATCH = 10_000
_CARRIER = 10  # its place in a flight


def tell(event: str, **details: object) -> None:
    """One line to the parent."""
    print(json.dumps({"event": event, **details}), flush=True)  # noqa: T201 - this is the pipe


def hear(event: Event) -> None:
    """Tell the parent what the policies do."""
    if isinstance(event, RetryScheduled):
        tell("retry", what=event.message or event.exception_type, wait=event.wait_seconds)
    elif isinstance(event, BreakerTransition):
        tell("breaker", service=event.service_name, frm=event.from_state, to=event.to_state)
    elif isinstance(event, FallbackUsed):
        tell("fallback")


def peak_rss_bytes() -> int:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux's getrusage also counts the parent's, from before this program was loaded.
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


async def work(api_url: str) -> None:
    """Load the flights behind the last committed one."""
    manager = ErrorRecoveryManager(pipeline_id=tables.PIPELINE)
    manager.bus.subscribe(hear)
    async with manager, httpx.AsyncClient(base_url=api_url, timeout=0.5) as client:
        carriers = Carriers(manager, client)
        async with (
            manager.run(tables.PIPELINE, tables.RUN_ID),
            manager.checkpoint(tables.RUN_ID, tables.STEP, size=BATCH) as cp,
        ):
            tell("started", resumed_from=cp.position, read=cp.counters.read_count)
            async for batch in cp.batches(data.flights(cp.position), position=lambda row: row[0]):
                # Asked before the transaction: none is held open while a service is slow.
                learnt = await carriers.learn({row[_CARRIER] for row in batch.records})
                async with batch.transaction() as tx:
                    await tx.load(tables.FLIGHTS, batch.records)
                    if learnt:
                        await tx.executemany(tables.SAVE_CARRIER, learnt)
                counters = cp.counters
                tell("batch", read=counters.read_count, quarantined=counters.skip_count)
    tell("done", peak_rss_bytes=peak_rss_bytes())


if __name__ == "__main__":
    try:
        asyncio.run(work(sys.argv[1]))
    except SeawallError as error:  # one line for the parent to show
        sys.exit(str(error))
