"""The streaming checkpoint: a step that is opened, worked through in batches, and resumed."""

import functools
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from seawall import shield
from seawall.checkpoint import signals
from seawall.checkpoint.batch import Batch, Handler, Transform
from seawall.checkpoint.batches import Batches
from seawall.checkpoint.ending import Ending, end_tasks
from seawall.checkpoint.keeper import keep_lease, watch
from seawall.checkpoint.ledger import Ledger, Part
from seawall.checkpoint.model import Counters, Progress, StepKey, StreamReport
from seawall.checkpoint.observer import Observer
from seawall.checkpoint.options import StepOptions
from seawall.checkpoint.parallel import run_lanes
from seawall.checkpoint.reader import Reader, Source
from seawall.checkpoint.reading import reader_of
from seawall.checkpoint.store import (
    CheckpointStore,
    Rejects,
    StateOfSinks,
    StepSession,
    UnitOfWork,
)
from seawall.checkpoint.strategy import BatchSize
from seawall.checkpoint.tolerance import Tolerance
from seawall.checkpoint.transaction import BatchContent
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.config import Range
from seawall.errors import CheckpointError, StaleRunError
from seawall.events import EventBus, LeaseLost, default_bus
from seawall.records import RecordSource
from seawall.scope import Scope, current_scope
from seawall.step_ends import StepEnds

_logger = logging.getLogger("seawall.checkpoint")

_RELEASE_SECONDS = 15.0
_ASIDE = "its worker died again and again while it was processed"


class Step:
    """One opened step of a run: ``async with Step(...) as cp``.

    Entering takes the step's lease. Leaving the block stops reading ahead, gives the lease and the
    connections back; a step whose source was read to its end is marked finished. Belongs to the
    task that opened it.

    Args:
        store: where positions are kept.
        key: run, step and partition.
        options: how it works.

    Raises (on entering):
        StepHeldError: another worker has the step, and it was not to be waited for.

    Raises (on leaving):
        ShutdownError: it was stopped, and the batch in flight took longer than its grace.
    """

    def __init__(
        self,
        store: CheckpointStore,
        key: StepKey,
        options: StepOptions | None = None,
        *,
        bus: EventBus = default_bus,
        ends: StepEnds | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._ends = ends or StepEnds(bus=bus)
        self._store, self.key = store, key
        self._options = options or StepOptions()
        self._bus, self._clock = bus, clock
        self.bad_by_reason = Counter[str]()
        self._session: StepSession | None = None
        self._ledger: Ledger | None = None
        self._tasks: TaskGroup | None = None
        self._opened_with = Progress()
        self._sizes = BatchSize(self._options.strategy, self._options.size)
        self._ending = Ending(key, self._options.grace_seconds, clock)
        self._unlisten: Callable[[], None] | None = None
        self._tried: str | None = None
        self._ended = self._aside_done = False

    # -- opening and closing -----------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._session is not None:
            raise CheckpointError("a step is opened once: make another one to open it again")
        outer = current_scope.get()
        self._scope = Scope(outer.pipeline_id, self.key.run_id, self.key.step, outer.release)
        self._scope_token = current_scope.set(self._scope)
        self._opened_at = self._clock.monotonic()
        try:
            session = self._session = await self._store.open(self.key, self._options.request)
        except BaseException:
            current_scope.reset(self._scope_token)
            raise
        tasks = self._tasks = await anyio.create_task_group().__aenter__()
        try:
            await self._begin_work(session, tasks)
        except BaseException as error:
            # It has the lease, a connection and tasks: nobody else would give them back.
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _begin_work(self, session: StepSession, tasks: TaskGroup) -> None:
        options = self._options
        opened_with = self._opened_with = session.state.progress
        if opened_with.suspicion is not None:
            self._sizes.limit = opened_with.suspicion.size
        self._ledger = Ledger(session, tasks, options.commit_seconds, self._heard, self._lease_lost)
        self._observer = Observer(
            self.key, opened_with, options.total, options.on_progress, self._bus, self._clock
        )
        if self.tolerance.reasons:
            reasons = list(self.tolerance.reasons)
            self.bad_by_reason.update(await session.quarantined_for(reasons))
        self._start_beside(session, tasks)

    def _start_beside(self, session: StepSession, tasks: TaskGroup) -> None:
        options = self._options
        tasks.start_soon(keep_lease, session, options.lease_seconds, self._lease_lost)
        tasks.start_soon(
            watch, lambda: list(self._observer.in_flight.values()), self.key.partition,
            options.stuck_seconds, self._bus.emit, self._clock,
        )  # fmt: skip
        if options.handle_signals:
            self._unlisten = signals.listen(self.stop)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = self._clock.monotonic() - self._opened_at
        with self._ends.telling(self._scope, error, seconds, self.key.partition):
            await self._leave(error)

    async def _leave(self, error: BaseException | None) -> None:
        session, tasks = self._opened()
        if self._unlisten is not None:
            self._unlisten()
        self._ending.over()
        try:
            await self._give_back(session, tasks, finished=error is None and self._ended)
        except Exception as failure:
            if error is None:
                raise
            # The block's own exception says more; the lease runs out by itself.
            _logger.warning("the lease of %s could not be given back: %s", self.key, failure)
        finally:
            was_cut = False
            try:
                await shield.finish(tasks, session.aclose, self._options.commit_seconds)
            finally:
                was_cut = await end_tasks(tasks, error)
                current_scope.reset(self._scope_token)
        if was_cut and self._ending.was_cut:
            raise self._ending.cut_off(self.position) from None

    async def _give_back(self, session: StepSession, tasks: TaskGroup, *, finished: bool) -> None:
        if finished:
            lane = session.lanes(1)[0]
            await self._options.retrying(functools.partial(self.ledger.catch_up, lane))
        if self._ending.lost is None:
            release = functools.partial(session.release, finished=finished)
            await shield.finish(tasks, release, _RELEASE_SECONDS)

    def _opened(self) -> tuple[StepSession, TaskGroup]:
        session, tasks = self._session, self._tasks
        if session is None or tasks is None:
            raise CheckpointError("open the checkpoint first: `async with manager.checkpoint(...)`")
        return session, tasks

    def stop(self, reason: str = "stop()") -> None:
        """End in order: the batch in flight may finish within its grace, no other is begun.

        Whoever asks for the next batch gets a ``ShutdownError``.
        """
        self._ending.stop(reason, self._opened()[1])

    def check_running(self) -> None:
        """Refuse to go on where the step was stopped or taken over."""
        self._ending.check(self.position)

    def _lease_lost(self, error: StaleRunError) -> None:
        if self._ending.lost is not None:
            return
        self._ending.lose(error)
        self._bus.emit(LeaseLost(partition=self.key.partition))

    # -- what a batch needs of its step ------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        self._opened()
        assert self._ledger is not None  # noqa: S101 - opened
        return self._ledger

    @property
    def tolerance(self) -> Tolerance:
        """How many bad records it bears."""
        return self._options.tolerance

    async def starting(self, batch: BatchContent) -> None:
        """Told before anything is done with a batch, once or more."""
        if self._ending.lost is not None:
            raise self._ending.lost
        self._observer.begun(batch.id)
        if self._sizes.limit == 1 and batch.records and self._tried != batch.id:
            self._tried = batch.id  # again in this process: it did not end it
            try:
                await self._opened()[0].attempt()
            except BaseException as error:
                self.ended(batch)
                if isinstance(error, StaleRunError):
                    self._lease_lost(error)
                raise

    async def begin(self, batch: BatchContent, rejects: Rejects, sinks: StateOfSinks) -> UnitOfWork:
        await self.starting(batch)
        try:
            return await batch.lane.begin(batch.id, rejects, sinks)
        except BaseException:
            self.ended(batch)
            raise

    def ended(self, batch: BatchContent) -> None:
        """Told when a batch's block is left."""
        seconds = self._observer.ended(batch.id)
        if not batch.done:
            self._ending.undone()
        elif seconds is not None:
            self._sizes.learn(len(batch.sources), seconds)

    def reason_to_set_aside(self) -> str | None:
        """Why the next batch is to be quarantined unseen, where it is."""
        session, _ = self._opened()
        if self._aside_done or not session.set_aside_first:
            return None
        self._aside_done = True
        return _ASIDE

    def start_reading(self, reader: Reader) -> None:
        """Told by ``Batches`` when its first batch is wanted."""
        self._opened()[1].start_soon(reader.run)

    def source_ended(self) -> None:
        """Told by ``Batches`` once every batch is committed."""
        self._ended = True

    def _heard(self, part: Part, before: Progress, progress: Progress) -> None:
        if progress.suspicion is None:
            self._sizes.limit = None
        self.bad_by_reason.update(part.bad_by_reason)
        if not part.announced:
            self._observer.committed(part, before, progress)

    # -- what a user calls -------------------------------------------------------------------

    @property
    def counters(self) -> Counters:
        """Records and batches committed so far, over all restarts."""
        return self.ledger.counters

    @property
    def position(self) -> Any:
        """Position of the last committed record, after which to start the source; None at first."""
        return self.ledger.watermark.position

    def batches(
        self,
        source: Source | RecordSource | Callable[[], Source],
        *,
        size: int | None = None,
        position: Callable[[Any], Any] | None = None,
        transform: Transform | None = None,
    ) -> Batches:
        """The source's records in batches, read ahead: ``async for batch in cp.batches(...)``.

        Args:
            source: an iterable or async iterable that starts after ``position``, a callable that
                returns one, or a ``RecordSource`` (such as ``CsvSource``), which knows its
                positions.
            size: records a batch.
            position: a record's position in the source: any JSON value or datetime, unique, in the
                source's order. Without it, the number of records read so far.
            transform: called with each record; its exceptions quarantine that record.

        Raises (while iterating):
            CheckpointError: a batch was left uncommitted, or a position repeats at a batch's edge.
            ShutdownError: the step was stopped.
        """
        return self._batches(source, size, position, transform)

    def _batches(
        self,
        source: Source | RecordSource | Callable[[], Source],
        size: int | None,
        position: Callable[[Any], Any] | None,
        transform: Transform | None,
        ahead: int = 2,
    ) -> Batches:
        if size is not None:
            Range(int, 1).check("size", size)
        session, _ = self._opened()
        positioned = isinstance(source, RecordSource)
        if isinstance(source, RecordSource):
            self._observer.source = source
            source = functools.partial(source.chunks, self.position)
        if size is not None:
            self._sizes.rows = size
        reader = reader_of(
            source, self._options, self._sizes, self._clock, positioned=positioned, ahead=ahead
        )
        self._ending.interrupts(reader)
        lane = session.lanes(1)[0]
        return Batches(self, reader, position, transform, lane, positioned=positioned)

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A transaction beside the batches: what sinks keep, and what is done at the step's end.

        Committed under the step's fence; the position stays. Not while a batch is open.

        Raises (on leaving):
            StaleRunError: another worker has taken over the step; nothing was committed.
        """
        return self.ledger.transaction(self._opened()[0].lanes(1)[0])

    async def for_each(
        self,
        source: Source | RecordSource | Callable[[], Source],
        handler: Handler,
        *,
        size: int | None = None,
        position: Callable[[Any], Any] | None = None,
        transform: Transform | None = None,
        concurrency: int = 1,
    ) -> StreamReport:
        """Run ``handler(tx, batch)`` for every batch, in its transaction.

        A batch that fails is rolled back and retried as a whole under the step's retry policy;
        where the policy gives up, the handler's own exception is raised.

        Args:
            source: as for ``batches``, and so are ``size``, ``position`` and ``transform``.
            size: records a batch.
            position: a record's position in the source.
            transform: called with each record.
            handler: brings a batch into its sink.
            concurrency: batches at a time, each on a connection of its own. They commit in any
                order; what was loaded beyond a batch that is not is passed by after a restart.
        """
        Range(int, 1).check("concurrency", concurrency)
        session, _ = self._opened()

        async def run(batch: Batch) -> None:
            # A lost COMMIT may have happened: then the batch must not run again.
            if not await batch.settle():
                async with batch.transaction() as tx:
                    await handler(tx, batch)

        if self._sizes.limit is not None:
            concurrency = 1  # one of the next batches has killed its worker: which one?
        batches = self._batches(source, size, position, transform, ahead=1 + concurrency)
        if concurrency == 1:
            async for batch in batches:
                await self._options.retrying(functools.partial(run, batch))
            return await self.report()
        lanes = session.lanes(concurrency)
        await run_lanes(
            batches,
            lanes,
            self.ledger.watermark,
            lambda batch: self._options.retrying(functools.partial(run, batch)),
        )
        self.check_running()  # a stop ends the lanes with nothing to raise
        self.source_ended()
        return await self.report()

    async def report(self) -> StreamReport:
        """What the step did so far: over all restarts, and in this process."""
        session, _ = self._opened()
        now = replace(self.ledger.progress, position=self.position)
        by_reason = await session.quarantined_by_reason()
        return StreamReport.of(self.key, self._opened_with, now, by_reason, self._observer.seconds)
