"""A batch: consecutive records of a source, and what became of them."""

import hashlib
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from seawall.checkpoint.model import Rejection
from seawall.checkpoint.transaction import BatchOwner, BatchTransaction
from seawall.errors import CheckpointError

Transform = Callable[[Any], Any]
PositionOf = Callable[[int, Any], Any]


class Batch:
    """Consecutive records of a source, with the position after them.

    Attributes:
        id: 32 hexadecimal digits, the same for the same batch on every run: an idempotency key.
        records: the records, transformed where the step has a ``transform``; those that it failed
            on are left out and will be quarantined with the commit.
        sources: the records as the source gave them.
        failed: why the transform failed, for each record that it failed on.
        first_position, last_position: positions of its first and last record in the source.
        done: whether it is committed.

    Belongs to the task that iterates over the step's batches.
    """

    __slots__ = (
        "_owner", "_places", "_position", "_transaction", "done", "failed",
        "first_position", "id", "last_position", "records", "sources",
    )  # fmt: skip

    def __init__(
        self,
        owner: BatchOwner,
        batch_id: str,
        sources: Sequence[Any],
        position: PositionOf,
        transform: Transform | None,
    ) -> None:
        self._owner, self._position = owner, position
        self.id = batch_id
        self.first_position = position(0, sources[0])
        self.last_position = position(len(sources) - 1, sources[-1])
        self.sources = sources
        self.records: Sequence[Any] = sources
        self.failed: list[Rejection] = []
        self.done = False
        self._places: list[int] | None = None
        self._transaction: BatchTransaction | None = None
        if transform is not None:
            self._apply(transform)

    def __len__(self) -> int:
        return len(self.records)

    def _apply(self, transform: Transform) -> None:
        records, places = [], []
        for place, source in enumerate(self.sources):
            try:
                record = transform(source)
            except Exception as error:
                self.failed.append(_rejection_of(place, error))
            else:
                records.append(record)
                places.append(place)
        self.records = records
        self._places = places if self.failed else None

    def origin(self, index: int) -> tuple[Any, Any]:
        """The source record that ``records[index]`` was made from, and its position."""
        return self.source_at(index if self._places is None else self._places[index])

    def source_at(self, place: int) -> tuple[Any, Any]:
        """The record at ``place`` in ``sources``, and its position."""
        source = self.sources[place]
        return source, self._position(place, source)

    def transaction(self) -> BatchTransaction:
        """The batch's transaction: ``async with batch.transaction() as tx``.

        ``tx`` is an asyncpg connection inside a transaction, with ``load(table, records)``. Leaving
        the block commits the rows, the quarantined rows and the position together; an exception
        rolls them all back and goes on to the caller. A batch that was rolled back may be tried
        again.

        Raises (on leaving):
            StaleRunError: another worker has taken over the step; nothing was committed.
            TooManyBadRecordsError: the run's share of bad records passed its tolerance.
        """
        if self.done:
            raise CheckpointError(f"batch {self.id} is committed already; go on to the next one")
        if self._transaction is None:
            self._transaction = BatchTransaction(self._owner, self)
        return self._transaction

    def finish(self) -> None:
        """Told by its transaction once it is committed."""
        self.done = True
        # The two know each other: let go, so that the records are freed without the collector.
        self._transaction = None

    async def settle(self) -> bool:
        """Whether the batch is committed, asking the database where a COMMIT was not answered."""
        if not self.done and self._transaction is not None:
            await self._transaction.settle()
        return self.done


def _rejection_of(place: int, error: Exception) -> Rejection:
    kind = type(error)
    reason = f"{kind.__qualname__}: {error}" if str(error) else kind.__qualname__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (in {frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return Rejection(
        index=place,
        reason=reason,
        reasons=(reason + where,),
        exception_type=f"{kind.__module__}.{kind.__qualname__}",
        traceback_digest=_digest(frames),
    )


def _digest(frames: Sequence[traceback.FrameSummary]) -> str:
    """16 hexadecimal digits, the same for the same stack of functions."""
    text = "\n".join(f"{frame.filename.rpartition('/')[2]}:{frame.name}" for frame in frames)
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


Handler = Callable[[Any, Batch], Awaitable[object]]
