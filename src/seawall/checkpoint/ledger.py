"""What of a step is committed: one commit at a time, each from the state that the last one left.

Batches may be worked on side by side; their COMMITs go one after the other, so that each saves a
state in which all of those before it are, and so that an answer that was lost is settled before the
next one is sent.
"""

import functools
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup

from seawall import shield
from seawall.checkpoint import suspicion
from seawall.checkpoint.model import Counters, Progress, Rejection
from seawall.checkpoint.store import CommitUnknownError, Lane, StepSession, UnitOfWork
from seawall.checkpoint.watermark import Issued, Watermark
from seawall.errors import CheckpointError, StaleRunError

_logger = logging.getLogger("seawall.checkpoint")


class Markable(Protocol):
    """What can be taken back with a savepoint."""

    def mark(self) -> Callable[[], None]: ...


class SinkState:
    """What the sinks of one batch keep with it: ``tx.saved_state`` and ``tx.save_state``."""

    __slots__ = ("_aside", "changes", "saved")

    def __init__(self, saved: Mapping[str, Any], aside: Markable | None = None) -> None:
        self.saved, self.changes = saved, dict[str, Any]()
        self._aside = aside

    def mark(self) -> Callable[[], None]:
        """What takes back all that was kept, and counted as set aside, since this moment."""
        changes = dict(self.changes)
        uncount = None if self._aside is None else self._aside.mark()

        def back() -> None:
            self.changes = changes
            if uncount is not None:
                uncount()

        return back


async def no_loads(rejections: Sequence[Rejection], records: Sequence[Any]) -> None:
    """For a transaction in which nothing is loaded."""
    raise CheckpointError(f"{len(rejections)} of {len(records)} records came where none are loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one batch adds to its step's progress.

    Attributes:
        issued: its place in the watermark.
        read, skipped: its records, and those of them that were set aside.
        retries: how often it was run again.
        sink_state: what sinks keep with it.
        announced: only said to be under way, not done.
        bad_by_reason: of those set aside, how many count for a key of ``Tolerance.reasons``.
        check: refuses the part where what was committed meanwhile makes it too much.
    """

    issued: Issued
    read: int = 0
    skipped: int = 0
    retries: int = 0
    sink_state: Mapping[str, Any]
    announced: bool = False
    bad_by_reason: Mapping[str, int] = field(default_factory=dict)
    check: Callable[[], None] | None = None


class Ledger:
    """The committed state of an open step; belongs to its event loop.

    Args:
        session: the open step.
        tasks: owns the commits under way.
        commit_seconds: how long a COMMIT or a rollback may take before it counts as lost.
        heard: told of each part that is committed, with the progress before and after it.
        lost: told when another worker turns out to hold the step.
    """

    def __init__(
        self,
        session: StepSession,
        tasks: TaskGroup,
        commit_seconds: float,
        heard: Callable[[Part, Progress, Progress], None],
        lost: Callable[[StaleRunError], None],
    ) -> None:
        self.session, self._tasks = session, tasks
        self._commit_seconds, self._heard, self._lost = commit_seconds, heard, lost
        self.progress = session.state.progress
        self.watermark = Watermark(self.progress.position, self.progress.ahead)
        self._lock = anyio.Lock(fast_acquire=True)
        self._unsettled: tuple[Part | None, Progress] | None = None

    @property
    def counters(self) -> Counters:
        """Records and batches committed so far, over all restarts."""
        return self.progress.counters

    async def commit(self, unit: UnitOfWork, part: Part) -> None:
        """Save what ``part`` adds, and commit; what is not committed is rolled back.

        Raises:
            StaleRunError: another worker holds the step.
            TooManyBadRecordsError: with what was committed meanwhile, they are.
        """
        try:
            async with self._lock:
                await self._settle_last()
                if part.check is not None:
                    part.check()
                await self._commit(unit, part, self._with(part))
        except BaseException as error:
            if isinstance(error, StaleRunError):
                self._lost(error)
            if unit.outcome == "open":
                await self.rollback(unit, error)
            if not isinstance(error, StaleRunError):
                self._say_if_lost(unit, error)
            raise

    async def rollback(self, unit: UnitOfWork, because: BaseException | None = None) -> None:
        """Undo everything, whoever cancels the caller.

        Args:
            unit: an open transaction.
            because: what the batch failed with.

        Raises:
            StaleRunError: the batch failed while the step was another worker's already: in a table
                that the other has loaded, its errors say nothing about the records.
        """
        try:
            await shield.finish(self._tasks, unit.rollback, self._commit_seconds)
        except TimeoutError:
            # The server ends the transaction by itself; why it was to be undone says more.
            _logger.warning("a rollback took longer than %g s", self._commit_seconds)
        self._say_if_lost(unit, because)

    def _say_if_lost(self, unit: UnitOfWork, because: BaseException | None) -> None:
        if isinstance(because, Exception) and unit.lost is not None:
            self._lost(unit.lost)
            raise unit.lost from because

    async def settle(self) -> None:
        """Find out what became of a COMMIT that was not answered, where there is one."""
        if self._unsettled is not None:
            try:
                async with self._lock:
                    await self._settle_last()
            except StaleRunError as error:
                self._lost(error)
                raise

    @asynccontextmanager
    async def transaction(self, lane: Lane) -> AsyncIterator[Any]:
        """A transaction that saves what no batch does: sinks' state, a watermark that has moved."""
        await self.settle()
        sinks = SinkState(self.progress.sink_state)
        unit = await lane.begin("", no_loads, sinks)
        try:
            yield unit.transaction
            async with self._lock:
                await self._settle_last()
                position, ahead = self.watermark.state()
                progress = replace(
                    self.progress,
                    position=position,
                    ahead=ahead,
                    sink_state={**self.progress.sink_state, **sinks.changes},
                )
                await self._commit(unit, None, progress)
        except BaseException as error:
            if isinstance(error, StaleRunError):
                self._lost(error)
            if unit.outcome == "open":
                await self.rollback(unit, error)
            raise

    async def catch_up(self, lane: Lane) -> None:
        """Save a watermark that has moved without a commit, where it has."""
        await self.settle()
        if self.behind:
            async with self.transaction(lane):
                pass

    @property
    def behind(self) -> bool:
        """Whether the saved watermark is not where it could be."""
        saved = (self.progress.position, self.progress.ahead)
        return self.watermark.state() != saved

    async def _commit(self, unit: UnitOfWork, part: Part | None, progress: Progress) -> None:
        self._unsettled = (part, progress)
        work = functools.partial(unit.commit, progress)
        try:
            await shield.finish(self._tasks, work, self._commit_seconds)
        except CommitUnknownError as error:
            if not await self._settle_last():
                # The cause is the lost connection itself: transient, so the batch may be retried.
                raise (error.__cause__ or error) from None
        except BaseException:
            # The caller was cancelled meanwhile, and may catch that and try again.
            if unit.outcome == "committed":
                self._apply()
            elif unit.outcome != "unknown":
                self._unsettled = None
            raise
        else:
            self._apply()

    async def _settle_last(self) -> bool:
        if self._unsettled is None:
            return False
        committed = await self.session.settle()
        if committed:
            self._apply()
        self._unsettled = None
        return committed

    def _apply(self) -> None:
        """The commit under way is certain."""
        if self._unsettled is None:
            return
        (part, progress), self._unsettled = self._unsettled, None
        before, self.progress = self.progress, progress
        if part is None:
            return
        if part.announced:
            part.issued.announced = True
        else:
            self.watermark.complete(part.issued)
        self._heard(part, before, progress)

    def _with(self, part: Part) -> Progress:
        last = self.progress
        state = {**last.sink_state, **part.sink_state} if part.sink_state else last.sink_state
        if part.announced:
            position, ahead = self.watermark.state(announced=part.issued)
            return replace(last, position=position, ahead=ahead, sink_state=state)
        position, ahead = self.watermark.state(done=part.issued)
        skipped = min(part.skipped, part.read)
        return Progress(
            position=position,
            ahead=ahead,
            counters=last.counters.plus(
                read=part.read,
                written=part.read - skipped,
                skipped=skipped,
                batches=1,
                retries=part.retries,
            ),
            sink_state=state,
            suspicion=suspicion.after(last.suspicion, part.read),
        )
