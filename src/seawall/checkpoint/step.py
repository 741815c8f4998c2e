"""The streaming checkpoint: a step that is opened, worked through in batches, and resumed."""

import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from seawall import shield
from seawall.checkpoint.batch import Batch, Handler, PositionOf, Transform
from seawall.checkpoint.model import Counters, Progress, StepKey, StreamReport, Tolerance
from seawall.checkpoint.reader import Reader, Source
from seawall.checkpoint.store import CheckpointStore, Rejects, StepSession, UnitOfWork
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.errors import CheckpointError, InvalidConfigError
from seawall.events import BatchCommitted, EventBus, default_bus
from seawall.scope import Scope, current_scope

_logger = logging.getLogger("seawall.checkpoint")

Retrying = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


async def run_once(work: Callable[[], Awaitable[None]]) -> None:
    """No retry: the policy of a step that was given none."""
    await work()


class Step:
    """One opened step of a run: ``async with Step(...) as cp``.

    Leaving the block stops reading ahead and gives the connection back; a step whose source was
    read to its end is marked finished. Belongs to the task that opened it.

    Args:
        store: where positions are kept.
        key: run, step and partition.
        size: records a batch, unless ``batches`` says otherwise.
        interval: seconds after which a batch that is not full is committed as it is.
        tolerance: how many of the run's records may be quarantined.
        retrying: runs a batch under the retry policy, for ``for_each``.
        commit_seconds: how long a COMMIT or a rollback may take before it counts as lost.
    """

    def __init__(
        self,
        store: CheckpointStore,
        key: StepKey,
        *,
        size: int = 1000,
        interval: float = 300.0,
        tolerance: Tolerance = Tolerance(),  # noqa: B008 - frozen
        retrying: Retrying = run_once,
        commit_seconds: float = 60.0,
        bus: EventBus = default_bus,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store, self._key = store, key
        self._size, self._interval, self.tolerance = size, interval, tolerance
        self._retrying, self._commit_seconds = retrying, commit_seconds
        self._bus, self._clock = bus, clock
        self._session: StepSession | None = None
        self._tasks: TaskGroup | None = None
        self._progress = Progress()
        self._opened_with = Progress()
        self._opened_at = 0.0
        self._batch_started_at = 0.0
        self._ended = False

    async def __aenter__(self) -> Self:
        self._opened_at = self._clock.monotonic()
        outer = current_scope.get()
        self._scope_token = current_scope.set(
            Scope(outer.pipeline_id, self._key.run_id, self._key.step)
        )
        try:
            self._session = await self._store.open(self._key)
            self._tasks = await anyio.create_task_group().__aenter__()
        except BaseException:
            current_scope.reset(self._scope_token)
            raise
        self._progress = self._opened_with = self._session.state.progress
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._tasks is not None  # noqa: S101 - entered
        assert self._session is not None  # noqa: S101 - entered
        try:
            if error is None and self._ended:
                await shield.finish(self._tasks, self._session.finish, self._commit_seconds)
        finally:
            try:
                await shield.finish(self._tasks, self._session.aclose, self._commit_seconds)
            finally:
                await self._stop_reading(kind, error, trace)
                current_scope.reset(self._scope_token)

    async def _stop_reading(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._tasks is not None  # noqa: S101 - entered
        self._tasks.cancel_scope.cancel()
        try:
            await self._tasks.__aexit__(kind, error, trace)
        except BaseExceptionGroup:
            # A task group wraps the block's own exception; it goes on to the caller as it is.
            if error is None:
                raise

    # -- what a batch needs of its step ------------------------------------------------------

    @property
    def counters(self) -> Counters:
        """Records and batches committed so far, over all restarts."""
        return self._progress.counters

    async def begin(self, batch_id: str, rejects: Rejects) -> UnitOfWork:
        session, _ = self._opened()
        self._batch_started_at = self._clock.monotonic()
        return await session.begin(batch_id, rejects)

    async def commit(self, unit: UnitOfWork, progress: Progress) -> None:
        _, tasks = self._opened()
        await shield.finish(tasks, functools.partial(unit.commit, progress), self._commit_seconds)

    async def rollback(self, unit: UnitOfWork) -> None:
        _, tasks = self._opened()
        await shield.finish(tasks, unit.rollback, self._commit_seconds)

    async def settle(self) -> bool:
        session, _ = self._opened()
        return await session.settle()

    def committed(self, batch: Batch, progress: Progress) -> None:
        before, self._progress = self._progress, progress
        if self._bus.listeners:
            part = progress.counters.minus(before.counters)
            self._bus.emit(
                BatchCommitted(
                    partition=self._key.partition,
                    batch_id=batch.id,
                    read_count=part.read_count,
                    write_count=part.write_count,
                    skip_count=part.skip_count,
                    elapsed_seconds=self._clock.monotonic() - self._batch_started_at,
                )
            )

    # -- what a user calls -------------------------------------------------------------------

    @property
    def position(self) -> Any:
        """Position of the last committed record, after which to start the source; None at first."""
        return self._progress.position

    def batches(
        self,
        source: Source | Callable[[], Source],
        *,
        size: int | None = None,
        position: Callable[[Any], Any] | None = None,
        transform: Transform | None = None,
    ) -> "Batches":
        """The source's records in batches, read ahead: ``async for batch in cp.batches(...)``.

        Args:
            source: an iterable or async iterable that starts after ``position``, or a callable
                that returns one.
            size: records a batch.
            position: a record's position in the source: any JSON value or datetime, unique, in the
                source's order. Without it, the number of records read so far.
            transform: called with each record; its exceptions quarantine that record.

        Raises (while iterating):
            CheckpointError: a batch was left uncommitted, or a position repeats at a batch's edge.
        """
        _check_size(size)
        _, tasks = self._opened()
        reader = Reader(source, size or self._size, self._interval, clock=self._clock)
        return Batches(self, self._key, reader, tasks, position, transform)

    async def for_each(
        self,
        source: Source | Callable[[], Source],
        handler: Handler,
        *,
        size: int | None = None,
        position: Callable[[Any], Any] | None = None,
        transform: Transform | None = None,
    ) -> StreamReport:
        """Run ``handler(tx, batch)`` for every batch, in its transaction.

        A batch that fails is rolled back and retried as a whole under the step's retry policy;
        where the policy gives up, the handler's own exception is raised.
        """

        async def run(batch: Batch) -> None:
            # A lost COMMIT may have happened: then the batch must not run again.
            if not await batch.settle():
                async with batch.transaction() as tx:
                    await handler(tx, batch)

        async for batch in self.batches(source, size=size, position=position, transform=transform):
            await self._retrying(functools.partial(run, batch))
        return await self.report()

    async def report(self) -> StreamReport:
        """What the step did so far: over all restarts, and in this process."""
        session, _ = self._opened()
        counters = self._progress.counters
        return StreamReport(
            run_id=self._key.run_id,
            step=self._key.step,
            rows_read=counters.read_count,
            rows_loaded=counters.write_count,
            rows_quarantined=counters.skip_count,
            quarantined_by_reason=await session.quarantined_by_reason(),
            batches=counters.batch_count,
            retries=counters.retry_count,
            resumed_from=self._opened_with.position,
            position=self._progress.position,
            seconds=self._clock.monotonic() - self._opened_at,
            this_process=counters.minus(self._opened_with.counters),
        )

    def source_ended(self) -> None:
        """Told by ``Batches`` once every batch is committed."""
        self._ended = True

    def _opened(self) -> tuple[StepSession, TaskGroup]:
        session, tasks = self._session, self._tasks
        if session is None or tasks is None:
            raise CheckpointError("open the checkpoint first: `async with manager.checkpoint(...)`")
        return session, tasks


def _check_size(size: object) -> None:
    if size is None or (isinstance(size, int) and not isinstance(size, bool) and size >= 1):
        return
    raise InvalidConfigError(f"size={size!r}: must be a whole number, 1 or more")


class Batches:
    """The async iterator that ``Step.batches`` returns; belongs to one task."""

    def __init__(
        self,
        step: Step,
        key: StepKey,
        reader: Reader,
        tasks: TaskGroup,
        position: Callable[[Any], Any] | None,
        transform: Transform | None,
    ) -> None:
        self._step, self._key, self._reader, self._tasks = step, key, reader, tasks
        self._position, self._transform = position, transform
        self._current: Batch | None = None
        self._reading = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        if self._current is not None and not await self._current.settle():
            raise CheckpointError(
                f"batch {self._current.id} is not committed: use `async with batch.transaction()` "
                "for each batch before going on to the next"
            )
        self._current = None
        if not self._reading:
            self._reading = True
            self._tasks.start_soon(self._reader.run)
        records = await self._reader.take()
        if not records:
            self._step.source_ended()
            raise StopAsyncIteration
        self._current = self._batch(records)
        return self._current

    def _batch(self, records: Sequence[Any]) -> Batch:
        position_of = self._positions()
        first = position_of(0, records[0])
        if first is not None and first == self._step.position:
            raise CheckpointError(
                f"position {first!r} comes twice: it is committed already and the source gave it "
                "again. Positions must be unique, and the source must start after `cp.position`"
            )
        try:
            batch_id = self._key.batch_id(first)
        except TypeError as error:
            raise CheckpointError(
                f"position {first!r} can't be saved ({error}): return a number, a text, a "
                "datetime, or a list of these"
            ) from error
        return Batch(self._step, batch_id, records, position_of, self._transform)

    def _positions(self) -> PositionOf:
        position = self._position
        if position is not None:
            return lambda _place, record: position(record)
        done = self._step.position or 0
        if isinstance(done, bool) or not isinstance(done, int):
            raise CheckpointError(
                f"the saved position {done!r} is not a count of records: give `position=` again, "
                "as the earlier run did"
            )
        return lambda place, _record: done + place + 1
