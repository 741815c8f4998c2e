"""The batches of a step, cut from its source in order."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import anyio

from seawall.checkpoint.batch import Batch, PositionOf, Transform
from seawall.checkpoint.ledger import Ledger
from seawall.checkpoint.model import Span
from seawall.checkpoint.reader import Reader
from seawall.checkpoint.store import Lane
from seawall.checkpoint.transaction import BatchOwner
from seawall.errors import CheckpointError
from seawall.records import TextBlock

Records = Sequence[Any]


class BatchesOwner(BatchOwner, Protocol):
    """What the batches need of their step."""

    def start_reading(self, reader: Reader) -> None: ...
    def check_running(self) -> None: ...
    def source_ended(self) -> None: ...
    def reason_to_set_aside(self) -> str | None: ...


class Batches:
    """The async iterator that ``Step.batches`` returns; belongs to one task.

    Args:
        owner: the step.
        reader: reads the source ahead.
        position: a record's position; None: the number of records read so far.
        positioned: the source gives ``(position, record)``.
        transform: applied to each record.
        lane: the connection of the batches that are iterated over.
    """

    def __init__(
        self,
        owner: BatchesOwner,
        reader: Reader,
        position: Callable[[Any], Any] | None,
        transform: Transform | None,
        lane: Lane,
        *,
        positioned: bool = False,
    ) -> None:
        self._owner, self._reader, self._lane = owner, reader, lane
        self._position, self._transform, self._positioned = position, transform, positioned
        self._ledger: Ledger = owner.ledger
        self._last = self._ledger.watermark.position
        self._count = 0 if position is not None or positioned else self._count_so_far()
        self._current: Batch | None = None
        self._reading = False
        self._one_at_a_time = anyio.Lock(fast_acquire=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        if self._current is not None and not await self._current.settle():
            self._owner.check_running()  # why it is not committed, where that is so
            raise CheckpointError(
                f"batch {self._current.id} is not committed: use `async with batch.transaction()` "
                "(or `batch.acknowledge()`) for each batch before going on to the next"
            )
        self._current = None
        self._current = await self.next(self._lane)
        if self._current is None:
            self._owner.source_ended()
            raise StopAsyncIteration
        return self._current

    async def next(self, lane: Lane) -> Batch | None:
        """The next batch, for ``lane``; None at the source's end."""
        async with self._one_at_a_time:
            self._owner.check_running()
            if not self._reading:
                self._reading = True
                self._owner.start_reading(self._reader)
            records = await self._reader.take()
            self._owner.check_running()
            records = await self._as_saved(records)
            if not records:
                return None
            return self._batch(records, lane)

    def _batch(self, taken: Records, lane: Lane) -> Batch:
        position_of = self._positions(taken)
        try:
            first, batch_id = self._first(taken, position_of)
            last = _position_at(taken, -1, position_of)
        except BaseException:
            # Whoever asks next must not go on behind them: they would never be read again.
            self._reader.give_back(taken)
            raise
        self._last = last
        if not self._positioned:
            self._count += len(taken)
        issued = self._ledger.watermark.issue(first, last)
        block = taken if isinstance(taken, TextBlock) else None
        if block is not None:
            sources: Records = block.records  # unread, unless somebody asks for one
        else:
            sources = [record for _, record in taken] if self._positioned else taken
        batch = Batch(self._owner, batch_id, sources, position_of, issued, lane)
        if (reason := self._owner.reason_to_set_aside()) is not None:
            batch.set_aside(reason)
        elif self._transform is not None:
            batch.apply(self._transform)
        elif self._positioned and block is None:  # a block's are found as it is loaded
            batch.drop_malformed()
        return batch

    def _first(self, taken: Records, position_of: PositionOf) -> tuple[Any, str]:
        """The batch's first position, and its id."""
        first = _position_at(taken, 0, position_of)
        if first is not None and first == self._last:
            raise CheckpointError(
                f"position {first!r} comes twice: it is committed already and the source gave it "
                "again. Positions must be unique, and the source must start after `cp.position`"
            )
        try:
            return first, self._owner.key.batch_id(first)
        except TypeError as error:
            raise CheckpointError(
                f"position {first!r} can't be saved ({error}): return a number, a text, a "
                "datetime, or a list of these"
            ) from error

    # -- positions ---------------------------------------------------------------------------

    def _positions(self, taken: Records) -> PositionOf:
        if isinstance(taken, TextBlock):
            return lambda place, _record: taken.position(place)
        if self._positioned:
            return lambda place, _record: taken[place][0]
        position = self._position
        if position is not None:
            return lambda _place, record: position(record)
        done = self._count
        return lambda place, _record: done + place + 1

    def _count_so_far(self) -> int:
        done = self._last or 0
        if isinstance(done, bool) or not isinstance(done, int):
            raise CheckpointError(
                f"the saved position {done!r} is not a count of records: give `position=` again, "
                "as the earlier run did"
            )
        return done

    # -- spans beyond the position, saved by an earlier process -----------------------------------

    async def _as_saved(self, records: Records) -> Records:
        """``records`` up to the next saved span, or exactly that span; done ones are passed by."""
        while records and (span := self._ledger.watermark.expected) is not None:
            start = self._find(span.first, records)
            if start is None:
                return records
            if start:
                self._reader.give_back(records[start:])
                return records[:start]
            records = await self._whole_span(span, records)
            if not span.done:
                return records
            self._count += len(records)
            self._last = span.last
            self._ledger.watermark.pass_by()
            records = await self._reader.take()
        if not records and (span := self._ledger.watermark.expected) is not None:
            self._owner.check_running()
            raise self._gone(span)
        return records

    async def _whole_span(self, span: Span, records: Records) -> Records:
        taken = list(records)
        searched = 0
        try:
            while (end := self._find(span.last, taken, searched)) is None:
                searched = len(taken)
                more = await self._reader.more()
                if not more:
                    self._owner.check_running()
                    raise self._gone(span)
                taken += more
        except BaseException:
            self._reader.give_back(taken)  # a caller may bear it (a timeout), and ask again
            raise
        self._reader.give_back(taken[end + 1 :])
        return taken[: end + 1]

    def _find(self, position: Any, records: Records, start: int = 0) -> int | None:
        position_of = self._positions(records)
        for place in range(start, len(records)):
            if position_of(place, records[place]) == position:
                return place
        return None

    def _gone(self, span: Span) -> CheckpointError:
        what = "committed" if span.done else "given to the sink"
        return CheckpointError(
            f"the source ended before positions {span.first!r} to {span.last!r}, which an earlier "
            f"process has {what}: it must give the same records after `cp.position` as before"
        )


def _position_at(taken: Records, place: int, position_of: PositionOf) -> Any:
    """The position of the first record (0) or the last one (-1)."""
    if isinstance(taken, TextBlock):
        return taken.first if place == 0 else taken.last  # without looking at the records
    return position_of(place % len(taken), taken[place])
