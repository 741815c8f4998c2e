"""A paged HTTP API into a table: python api_to_postgres.py http://host/orders

Each page is a batch. The API may time out, answer 503 with Retry-After, or be gone: it is asked
again, and left alone while its breaker is open. Killed and started again, it goes on with the page
after the last one that was committed.
"""

import asyncio
import sys

import httpx

from seawall import CheckpointStrategy, ErrorRecoveryManager, Policy, RetryPolicy

manager = ErrorRecoveryManager(pipeline_id="orders-api")
api = Policy(
    deadline=120,
    retry=RetryPolicy(max_retries=8, initial_delay=0.1),
    breaker=manager.circuit_breaker("orders-api", failure_threshold=5, timeout=1),
    timeout=10,
)


@api
async def page(client: httpx.AsyncClient, after: int) -> list[dict[str, object]]:
    """The orders behind ``after``, oldest first; none at the end."""
    answer = await client.get("", params={"after": after})
    answer.raise_for_status()
    found: list[dict[str, object]] = answer.json()
    return found


async def main(url: str) -> None:
    async with manager, httpx.AsyncClient(base_url=url) as client:

        async def pages(after: int | None):
            while orders := await page(client, after or 0):
                yield orders
                after = orders[-1]["id"]

        report = await manager.stream(
            pages,
            "orders",
            run_id="orders-api",
            position=lambda order: order["id"],
            strategy=CheckpointStrategy.every_batch(),
        )
    print(f"loaded {report.rows_loaded}, set aside {report.rows_quarantined}")


asyncio.run(main(sys.argv[1]))
