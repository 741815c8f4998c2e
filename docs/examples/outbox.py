"""Messages that commit with the rows they tell of: python outbox.py

A row and its message are there together or not at all; a relay delivers each at least once.
"""

import asyncio

from seawall import ErrorRecoveryManager

manager = ErrorRecoveryManager(pipeline_id="invoices")


def invoices(after: int | None):
    return [{"id": n, "total": n * 10} for n in range((after or 0) + 1, 6)]


async def load(tx, batch):
    await tx.load("invoices", batch.records)
    for invoice in batch.records:
        await tx.publish("invoiced", invoice, key=str(invoice["id"]))


async def deliver(message):
    print("delivering", message.payload)


async def main() -> None:
    async with manager:
        await manager.stream(invoices, load, run_id="invoices", position=lambda row: row["id"])
        relay = manager.relay("invoiced", deliver)
        while await relay.deliver():  # a service of its own: await relay.run()
            pass


asyncio.run(main())
