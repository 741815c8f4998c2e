"""One batch's transaction: rows, quarantined rows and position, all or nothing."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from seawall.checkpoint.model import Counters, Progress, Rejection, Tolerance
from seawall.checkpoint.store import CommitUnknownError, Rejects, UnitOfWork
from seawall.errors import CheckpointError, TooManyBadRecordsError

_logger = logging.getLogger("seawall.checkpoint")


class BatchContent(Protocol):
    """What the transaction needs of its batch."""

    id: str
    records: Sequence[Any]
    sources: Sequence[Any]
    failed: list[Rejection]
    last_position: Any

    done: bool

    def finish(self) -> None: ...
    def origin(self, index: int) -> tuple[Any, Any]: ...
    def source_at(self, place: int) -> tuple[Any, Any]: ...


class BatchOwner(Protocol):
    """What it needs of the step."""

    @property
    def counters(self) -> Counters: ...
    @property
    def tolerance(self) -> Tolerance: ...
    async def begin(self, batch_id: str, rejects: Rejects) -> UnitOfWork: ...
    async def commit(self, unit: UnitOfWork, progress: Progress) -> None: ...
    async def rollback(self, unit: UnitOfWork) -> None: ...
    async def settle(self) -> bool: ...
    def committed(self, batch: Any, progress: Progress) -> None: ...


class BatchTransaction:
    """``async with batch.transaction() as tx``: see ``Batch.transaction``."""

    __slots__ = ("_attempts", "_batch", "_owner", "_skipped", "_unit", "_unsettled")

    def __init__(self, owner: BatchOwner, batch: BatchContent) -> None:
        self._owner, self._batch = owner, batch
        self._attempts = 0
        self._skipped = 0
        self._unit: UnitOfWork | None = None
        self._unsettled: Progress | None = None

    async def __aenter__(self) -> Any:
        if self._unit is not None:
            raise CheckpointError(f"the transaction of batch {self._batch.id} is already open")
        if await self.settle():
            raise CheckpointError(f"batch {self._batch.id} is committed already; go on to the next")
        self._attempts += 1
        self._skipped = 0
        self._unit = await self._owner.begin(self._batch.id, self._set_aside)
        return self._unit.transaction

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        unit, self._unit = self._unit, None
        if unit is None:
            return
        if error is not None:
            await self._owner.rollback(unit)
            _logger.info("batch %s rolled back: %s", self._batch.id, type(error).__name__)
            return
        try:
            await self._set_failed_aside(unit)
        except BaseException:
            await self._owner.rollback(unit)
            raise
        await self._commit(unit, self._progress())

    async def settle(self) -> bool:
        """Whether an earlier try, whose COMMIT was not answered, has committed after all."""
        if self._unsettled is None:
            return False
        committed = await self._owner.settle()
        progress, self._unsettled = self._unsettled, None
        if committed:
            self._finish(progress)
        return committed

    async def _commit(self, unit: UnitOfWork, progress: Progress) -> None:
        try:
            await self._owner.commit(unit, progress)
        except CommitUnknownError as error:
            self._unsettled = progress
            if not await self.settle():
                # The cause is the lost connection itself: transient, so the batch may be retried.
                raise (error.__cause__ or error) from None
        except BaseException:
            # The caller was cancelled meanwhile, and may catch that and try again.
            if unit.outcome == "committed":
                self._finish(progress)
            elif unit.outcome == "unknown":
                self._unsettled = progress
            _logger.info("batch %s: cancelled, %s", self._batch.id, unit.outcome)
            raise
        else:
            self._finish(progress)

    def _finish(self, progress: Progress) -> None:
        self._batch.finish()
        self._owner.committed(self._batch, progress)

    async def _set_aside(self, rejections: Sequence[Rejection], records: Sequence[Any]) -> None:
        if self._unit is None:
            raise CheckpointError("load was called after its transaction block had ended")
        if records is self._batch.records:
            origins = [self._batch.origin(each.index) for each in rejections]
        else:  # the user's own list: which source record each came from is not known
            origins = [(records[each.index], None) for each in rejections]
        await self._quarantine(self._unit, rejections, origins)

    async def _set_failed_aside(self, unit: UnitOfWork) -> None:
        failed = self._batch.failed
        if failed:
            origins = [self._batch.source_at(each.index) for each in failed]
            await self._quarantine(unit, failed, origins)

    async def _quarantine(
        self,
        unit: UnitOfWork,
        rejections: Sequence[Rejection],
        origins: Sequence[tuple[Any, Any]],
    ) -> None:
        self._skipped += len(rejections)
        self._check_tolerance(rejections[0].reason)
        await unit.quarantine(rejections, [o[0] for o in origins], [o[1] for o in origins])

    def _check_tolerance(self, example: str) -> None:
        counters, tolerance = self._owner.counters, self._owner.tolerance
        bad = counters.skip_count + self._skipped
        read = counters.read_count + len(self._batch.sources)
        if bad > max(tolerance.share * read, tolerance.allowance):
            raise TooManyBadRecordsError(
                f"{bad:,} of {read:,} records are bad ({bad / read:.1%}), more than the tolerated "
                f"{tolerance.share:.1%}; such as: {example}. The position stays after the last "
                "committed batch: mend the source or the target, or raise the tolerance, and run "
                "it again",
                bad,
                read,
                tolerance.share,
            )

    def _progress(self) -> Progress:
        read = len(self._batch.sources)
        skipped = min(self._skipped, read)
        counters = self._owner.counters.plus(
            read=read,
            written=read - skipped,
            skipped=skipped,
            batches=1,
            retries=self._attempts - 1,
        )
        return Progress(position=self._batch.last_position, counters=counters)
