"""A batch given to a sink outside the database: at least once, under its idempotency key."""

from types import TracebackType
from typing import Self

from seawall.checkpoint.ledger import Part, SinkState, no_loads
from seawall.checkpoint.model import Rejection
from seawall.checkpoint.store import UnitOfWork
from seawall.checkpoint.transaction import (
    Aside,
    BatchContent,
    BatchOwner,
    set_failed_aside,
)
from seawall.errors import CheckpointError


class Acknowledgement:
    """``async with batch.acknowledge() as ack``: see ``Batch.acknowledge``."""

    __slots__ = ("_batch", "_owner", "_rejected", "_started")

    def __init__(self, owner: BatchOwner, batch: BatchContent) -> None:
        self._owner, self._batch = owner, batch
        self._rejected: dict[int, Rejection] = {}
        self._started = 0

    def reject(self, index: int, reason: str) -> None:
        """Quarantine ``batch.records[index]``, which the sink has refused.

        Args:
            index: its place in the batch.
            reason: why; the same text for the same fault, so that it can be counted.
        """
        place = self._batch.place(index)
        self._rejected[place] = Rejection(index=place, reason=reason, reasons=(reason,))

    async def __aenter__(self) -> Self:
        ledger, batch = self._owner.ledger, self._batch
        await ledger.settle()
        if batch.done:
            raise CheckpointError(f"batch {batch.id} is committed already; go on to the next")
        self._started += 1
        self._rejected.clear()
        if not batch.issued.announced:
            # Before the sink sees it: a restart must build this very batch again.
            part = Part(issued=batch.issued, announced=True, sink_state={})
            try:
                await ledger.commit(await self._begin(), part)
            except BaseException:
                self._owner.ended(batch)
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        owner, batch = self._owner, self._batch
        if error is not None:
            owner.ended(batch)
            return
        aside = Aside(owner, batch)
        unit = await self._begin()
        try:
            await set_failed_aside(aside, unit, batch, self._rejected.values())
        except BaseException as failure:
            await owner.ledger.rollback(unit, failure)
            owner.ended(batch)
            raise
        try:
            await owner.ledger.commit(
                unit,
                Part(
                    issued=batch.issued,
                    read=len(batch.sources),
                    skipped=aside.count,
                    retries=self._started - 1,
                    sink_state={},
                ),
            )
        finally:
            owner.ended(batch)
            if batch.done:
                owner.bad_by_reason.update(aside.by_reason)
                batch.finish()

    async def _begin(self) -> UnitOfWork:
        return await self._owner.begin(self._batch, no_loads, SinkState({}))
