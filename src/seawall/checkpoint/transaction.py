"""One batch's transaction: rows, quarantined rows and position, all or nothing."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from seawall.checkpoint.ledger import Ledger, Part, SinkState
from seawall.checkpoint.model import Rejection, StepKey
from seawall.checkpoint.store import Lane, Rejects, UnitOfWork
from seawall.checkpoint.tolerance import Tolerance, matches
from seawall.checkpoint.watermark import Issued
from seawall.errors import CheckpointError
from seawall.events import EventBus
from seawall.tracing import OpenSpan, close_span, open_span

_logger = logging.getLogger("seawall.checkpoint")


class BatchContent(Protocol):
    """What the transaction needs of its batch."""

    id: str
    records: Sequence[Any]
    sources: Sequence[Any]
    failed: list[Rejection]
    issued: Issued
    lane: Lane

    @property
    def done(self) -> bool: ...
    def finish(self) -> None: ...
    def place(self, index: int) -> int: ...
    def origin(self, index: int) -> tuple[Any, Any]: ...
    def source_at(self, place: int) -> tuple[Any, Any]: ...


class BatchOwner(Protocol):
    """What it needs of the step."""

    bus: EventBus

    @property
    def key(self) -> StepKey: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def tolerance(self) -> Tolerance: ...
    @property
    def bad_by_reason(self) -> Counter[str]: ...
    async def starting(self, batch: BatchContent) -> None: ...
    async def begin(
        self, batch: BatchContent, rejects: Rejects, sinks: SinkState
    ) -> UnitOfWork: ...
    def ended(self, batch: BatchContent) -> None: ...


class Aside:
    """Sets records of one transaction aside, and counts them against what is tolerated."""

    def __init__(self, owner: BatchOwner, batch: BatchContent) -> None:
        self._owner, self._batch = owner, batch
        self.count = 0
        self.by_reason = Counter[str]()
        self._examples: dict[str | None, str] = {}

    def mark(self) -> Callable[[], None]:
        """What forgets the records that are set aside from now on: a savepoint took them back."""
        count, by_reason = self.count, self.by_reason.copy()

        def back() -> None:
            self.count, self.by_reason = count, by_reason

        return back

    async def put(
        self,
        unit: UnitOfWork,
        rejections: Sequence[Rejection],
        origins: Sequence[tuple[Any, Any]],
    ) -> None:
        """Quarantine the records, within ``unit``'s transaction.

        Raises:
            TooManyBadRecordsError: they are more than is tolerated.
        """
        self.count += len(rejections)
        tolerance = self._owner.tolerance
        self._examples.setdefault(None, rejections[0].reason)
        for key in tolerance.reasons:
            found = [each for each in rejections if _counts(key, each)]
            if found:
                self.by_reason[key] += len(found)
                self._examples.setdefault(key, found[0].reason)
        self.check()
        await unit.quarantine(rejections, [o[0] for o in origins], [o[1] for o in origins])

    def check(self) -> None:
        """Refuse what is too much, with all that is committed by now.

        Raises:
            TooManyBadRecordsError: they are more than is tolerated.
        """
        if not self.count:
            return
        tolerance, counters = self._owner.tolerance, self._owner.ledger.counters
        read = counters.read_count + len(self._batch.sources)
        tolerance.check(counters.skip_count + self.count, read, self._examples[None])
        for key, count in self.by_reason.items():
            bad = self._owner.bad_by_reason[key] + count
            tolerance.check_reason(key, bad, read, self._examples[key])


def _counts(key: str, rejection: Rejection) -> bool:
    return matches(key, rejection.reason, rejection.sqlstate, rejection.constraint_name)


class BatchTransaction:
    """``async with batch.transaction() as tx``: see ``Batch.transaction``."""

    __slots__ = ("_aside", "_attempts", "_batch", "_owner", "_sinks", "_span", "_unit")

    def __init__(self, owner: BatchOwner, batch: BatchContent) -> None:
        self._owner, self._batch = owner, batch
        self._attempts = 0
        self._unit: UnitOfWork | None = None

    async def __aenter__(self) -> Any:
        if self._unit is not None:
            raise CheckpointError(f"the transaction of batch {self._batch.id} is already open")
        await self._owner.ledger.settle()
        if self._batch.done:
            raise CheckpointError(f"batch {self._batch.id} is committed already; go on to the next")
        self._attempts += 1
        self._aside = Aside(self._owner, self._batch)
        self._sinks = SinkState(self._owner.ledger.progress.sink_state, self._aside)
        self._span = batch_span(self._owner, self._batch, self._attempts)
        try:
            self._unit = await self._owner.begin(self._batch, self._set_aside, self._sinks)
        except BaseException as error:
            close_span(self._span, error)
            raise
        return self._unit.transaction

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        unit, self._unit = self._unit, None
        if unit is None:
            return
        try:
            await self._leave(unit, error)
        except BaseException as failure:
            close_span(self._span, failure)
            raise
        close_span(self._span, error)

    async def _leave(self, unit: UnitOfWork, error: BaseException | None) -> None:
        ledger = self._owner.ledger
        if error is not None:
            try:
                await ledger.rollback(unit, error)
            finally:
                self._owner.ended(self._batch)
            _logger.info("batch %s rolled back: %s", self._batch.id, type(error).__name__)
            return
        try:
            await set_failed_aside(self._aside, ledger, unit, self._batch)
            await ledger.commit(unit, self._part())
        except BaseException:
            _logger.info("batch %s: %s", self._batch.id, unit.outcome)
            raise
        finally:
            self._owner.ended(self._batch)
            if self._batch.done:
                self._batch.finish()

    async def _set_aside(self, rejections: Sequence[Rejection], records: Sequence[Any]) -> None:
        if self._unit is None:
            raise CheckpointError("load was called after its transaction block had ended")
        if records is self._batch.records:
            origins = [self._batch.origin(each.index) for each in rejections]
        else:  # the user's own list: which source record each came from is not known
            origins = [(records[each.index], None) for each in rejections]
        await self._aside.put(self._unit, rejections, origins)

    def _part(self) -> Part:
        return Part(
            issued=self._batch.issued,
            read=len(self._batch.sources),
            skipped=self._aside.count,
            retries=self._attempts - 1,
            sink_state=self._sinks.changes,
            bad_by_reason=self._aside.by_reason,
            check=self._aside.check,
        )


def batch_span(owner: BatchOwner, batch: BatchContent, attempt: int) -> OpenSpan | None:
    """The span of one attempt at a batch, where somebody traces."""
    if owner.bus.tracer is None:
        return None
    return open_span(
        owner.bus,
        "batch",
        batch_id=batch.id,
        partition=owner.key.partition,
        attempt=attempt,
        records=len(batch.records),
    )


async def set_failed_aside(
    aside: Aside,
    ledger: Ledger,
    unit: UnitOfWork,
    batch: BatchContent,
    more: Iterable[Rejection] = (),
) -> None:
    """Quarantine the records that the transform failed on, that could not be read, and ``more``.

    Where that fails, ``unit`` is rolled back.
    """
    failed = [*batch.failed, *more]
    if not failed:
        return
    try:
        await aside.put(unit, failed, [batch.source_at(each.index) for each in failed])
    except BaseException as error:
        await ledger.rollback(unit, error)
        raise
