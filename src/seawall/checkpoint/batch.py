"""A batch: consecutive records of a source, and what became of them."""

import hashlib
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from seawall.checkpoint.acknowledgement import Acknowledgement
from seawall.checkpoint.model import Rejection
from seawall.checkpoint.store import Lane
from seawall.checkpoint.transaction import BatchOwner, BatchTransaction
from seawall.checkpoint.watermark import Issued
from seawall.errors import CheckpointError, InvalidRecordError
from seawall.records import Malformed

Transform = Callable[[Any], Any]
PositionOf = Callable[[int, Any], Any]


class Batch:
    """Consecutive records of a source, with the position after them.

    Attributes:
        id: 32 hexadecimal digits, the same for the same batch on every run: an idempotency key.
        records: the records, transformed where the step has a ``transform``; those that it failed
            on, or that could not be read, are left out and will be quarantined with the commit.
        sources: the records as the source gave them.
        failed: why, for each record that is left out.
        first_position, last_position: positions of its first and last record in the source.

    Belongs to the task that got it.
    """

    __slots__ = (
        "_owner", "_places", "_position", "_transaction", "failed", "first_position", "id",
        "issued", "lane", "last_position", "records", "sources",
    )  # fmt: skip

    def __init__(
        self,
        owner: BatchOwner,
        batch_id: str,
        sources: Sequence[Any],
        position: PositionOf,
        issued: Issued,
        lane: Lane,
    ) -> None:
        self._owner, self._position = owner, position
        self.id, self.issued, self.lane = batch_id, issued, lane
        self.first_position, self.last_position = issued.first, issued.last
        self.sources = sources
        self.records: Sequence[Any] = sources
        self.failed: list[Rejection] = []
        self._places: list[int] | None = None
        self._transaction: BatchTransaction | None = None

    def __len__(self) -> int:
        return len(self.records)

    @property
    def done(self) -> bool:
        """Whether it is committed."""
        return self.issued.done

    def drop_malformed(self) -> None:
        """Leave out what the source could not read."""
        if any(isinstance(source, Malformed) for source in self.sources):
            self._apply(_refuse_malformed)

    def apply(self, transform: Transform) -> None:
        """Put ``transform(record)`` in each record's place."""
        self._apply(lambda source: transform(_refuse_malformed(source)))

    def set_aside(self, reason: str) -> None:
        """Leave all of its records out, unseen."""
        self.records, self._places = [], []
        self.failed = [
            Rejection(index=place, reason=reason, reasons=(reason,))
            for place in range(len(self.sources))
        ]

    def reject(self, rejected: Mapping[int, str | Sequence[str]]) -> None:
        """Leave records out of ``records``: they are quarantined with the batch's commit.

        For what judges many records at once, before the batch's block is entered. The indices are
        those of ``records`` as it is now; those behind move up.

        Args:
            rejected: for each ``records[index]`` that is bad why, or every reason, the worst first;
                the same text for the same fault, so that it can be counted.

        Raises:
            CheckpointError: an index isn't the batch's, a reason is missing, or the batch is
                committed already.
        """
        if self.done:
            raise CheckpointError(f"batch {self.id} is committed already; go on to the next one")
        found = []
        for index, reasons in sorted(rejected.items()):
            texts = (reasons,) if isinstance(reasons, str) else tuple(reasons)
            if not texts:
                raise CheckpointError(f"rejected[{index}]: there must be one reason at least")
            found.append(Rejection(index=self.place(index), reason=texts[0], reasons=texts))
        left = [index for index in range(len(self.records)) if index not in rejected]
        places = [self.place(index) for index in left]
        self.records = [self.records[index] for index in left]
        self.failed += found
        self._places = places if self.failed else None

    def _apply(self, transform: Transform) -> None:
        records, places = [], []
        for place, source in enumerate(self.sources):
            try:
                record = transform(source)
            except _MalformedError:
                self.failed.append(_malformed(place, source))
            except Exception as error:
                self.failed.append(_rejection_of(place, error))
            else:
                records.append(record)
                places.append(place)
        self.records = records
        self._places = places if self.failed else None

    def place(self, index: int) -> int:
        """The place in ``sources`` of the record that ``records[index]`` was made from."""
        if not 0 <= index < len(self.records):
            raise CheckpointError(f"index={index}: the batch has {len(self.records)} records")
        return index if self._places is None else self._places[index]

    def origin(self, index: int) -> tuple[Any, Any]:
        """The source record that ``records[index]`` was made from, and its position."""
        return self.source_at(index if self._places is None else self._places[index])

    def source_at(self, place: int) -> tuple[Any, Any]:
        """The record at ``place`` in ``sources``, and its position; of an unreadable its bytes."""
        source = self.sources[place]
        position = self._position(place, source)
        return (source.raw if isinstance(source, Malformed) else source), position

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

    def acknowledge(self) -> Acknowledgement:
        """The batch for a sink outside this database: ``async with batch.acknowledge() as ack``.

        At least once: the sink is called inside the block, and the position is saved when it is
        left without an exception; a crash between the two brings the very same batch again, with
        the same ``id``, which the sink takes for an idempotency key. ``ack.reject(index, reason)``
        quarantines a record that the sink has refused.

        Raises (on leaving):
            StaleRunError: another worker has taken over the step; the batch will come again there.
            TooManyBadRecordsError: the run's share of bad records passed its tolerance.
        """
        return Acknowledgement(self._owner, self)

    def finish(self) -> None:
        """Told by its transaction once it is committed."""
        # The two know each other: let go, so that the records are freed without the collector.
        self._transaction = None

    async def settle(self) -> bool:
        """Whether the batch is committed, asking the database where a COMMIT was not answered."""
        await self._owner.ledger.settle()
        if self.done:
            self.finish()
        return self.done


class _MalformedError(Exception):
    """Raised at what the source could not read."""


def _refuse_malformed(source: Any) -> Any:
    if isinstance(source, Malformed):
        raise _MalformedError
    return source


def _malformed(place: int, source: Malformed) -> Rejection:
    return Rejection(
        index=place,
        reason=source.reason,
        reasons=(source.reason,),
        exception_type=source.exception_type,
    )


def _rejection_of(place: int, error: Exception) -> Rejection:
    kind = type(error)
    if isinstance(error, InvalidRecordError):
        return Rejection(
            index=place,
            reason=error.reasons[0],
            reasons=error.reasons,
            column_name=error.column,
            exception_type=f"{kind.__module__}.{kind.__qualname__}",
        )
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
