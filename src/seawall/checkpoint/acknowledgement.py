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
    batch_span,
    set_failed_aside,
)
from seawall.errors import CheckpointError
from seawall.tracing import close_span


class Acknowledgement:
    """``async with batch.acknowledge() as ack``: see ``Batch.acknowledge``."""

    __slots__ = ("_batch", "_owner", "_rejected", "_span", "_started")

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
        self._span = batch_span(self._owner, batch, self._started)
        try:
            await self._announce()
        except BaseException as error:
            self._owner.ended(batch)
            close_span(self._span, error)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._owner.ended(self._batch)
            close_span(self._span, error)
            return
        try:
            await self._save()
        except BaseException as failure:
            close_span(self._span, failure)
            raise
        close_span(self._span, None)

    async def _save(self) -> None:
        owner, batch = self._owner, self._batch
        aside, ledger = Aside(owner, batch), owner.ledger
        try:
            unit = await self._begin()
            await set_failed_aside(aside, ledger, unit, batch, self._rejected.values())
            await ledger.commit(
                unit,
                Part(
                    issued=batch.issued,
                    read=len(batch.sources),
                    skipped=aside.count,
                    retries=self._started - 1,
                    sink_state={},
                    bad_by_reason=aside.by_reason,
                    check=aside.check,
                ),
            )
        finally:
            owner.ended(batch)
            if batch.done:
                batch.finish()

    async def _announce(self) -> None:
        owner, issued = self._owner, self._batch.issued
        if issued.announced:
            await owner.starting(self._batch)
        else:
            # Before the sink sees it: a restart must build this very batch again.
            part = Part(issued=issued, announced=True, sink_state={})
            await owner.ledger.commit(await self._begin(), part)

    async def _begin(self) -> UnitOfWork:
        return await self._owner.begin(self._batch, no_loads, SinkState({}))
