"""From events and calls to rows: one writer task whose COPYs and commits all callers share."""

import asyncio
import logging
import math
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from seawall.clock import owned_task, utc_now, uuid7
from seawall.errors import DatabaseUnavailableError
from seawall.events import (
    BreakerTransition,
    Event,
    EventBus,
    RetryExhausted,
    RetryScheduled,
    RetrySucceeded,
    TelemetryDropped,
)
from seawall.masking import Masker, default_masker
from seawall.scope import NO_SCOPE
from seawall.text import recordable

_logger = logging.getLogger("seawall.recorder")

Row = tuple[Any, ...]

HOST = socket.gethostname()

_LEAST_SHARE = 0.1  # of the patience: for a row that has waited for others' writes, and at the end
_CLOSE_SECONDS = 2.0
_TELL_SECONDS = 1.0


class RecordStore(Protocol):
    """Where rows go."""

    async def write(self, rows: Sequence[tuple[str, Row]]) -> None:
        """Write (table, row) pairs in one transaction."""
        ...

    def is_about_a_row(self, error: Exception) -> bool:
        """Whether leaving some row out can make a failed ``write`` succeed."""
        ...

    def is_out_of_reach(self, error: Exception) -> bool:
        """Whether a ``write`` failed because the database can't be reached."""
        ...


class Outage(Protocol):
    """Where durable rows go while the database can't be reached."""

    @property
    def is_on(self) -> bool:
        """Whether it is known to be out of reach, now."""
        ...

    async def keep(self, rows: list[tuple[str, Row]], reason: str) -> None:
        """Keep rows until it is back; they are on disk when this returns."""
        ...


@dataclass(slots=True)
class _Entry:
    """Rows of one caller, which stand and fall together; ``since`` is when it came."""

    rows: list[tuple[str, Row]]
    written: "asyncio.Future[None] | None" = None
    since: float = math.inf


@dataclass(slots=True)
class Losses:
    """Telemetry rows that were not written."""

    dropped: int = field(default=0)


class Recorder:
    """The commit-sharing writer.

    ``put`` returns when its rows are committed, or in the journal; ``offer`` is for telemetry,
    which may be dropped, and is then counted. Belongs to one event loop; may be shared between its
    tasks.

    Args:
        store: where rows go.
        outage: where durable rows go while ``store`` can't be reached; without it ``put`` raises.
        patience: seconds that ``put`` waits for the database before it turns to ``outage``.
        bound: entries that may wait; beyond it ``put`` waits and ``offer`` drops.
        masker: finds secrets in what events say.
        bus: hears of telemetry that was dropped.
    """

    def __init__(
        self,
        store: RecordStore,
        *,
        outage: Outage | None = None,
        patience: float = 1.0,
        bound: int = 10_000,
        masker: Masker = default_masker,
        bus: EventBus | None = None,
    ) -> None:
        self._store, self._bound, self._masker = store, bound, masker
        self._outage, self._patience = outage, patience
        self._queue: list[_Entry] = []
        self._wake = anyio.Event()
        self._room = anyio.Event()
        self._idle = anyio.Event()
        self._writing = False
        self._left: set[asyncio.Task[None]] = set()
        self._bus, self._told, self._told_at = bus, 0, -math.inf
        self._last_loss = f"{bound} wait"
        self.losses = Losses()

    @property
    def waiting(self) -> tuple[int, int]:
        """Entries that wait, and how many may."""
        return len(self._queue), self._bound

    async def put(self, rows: list[tuple[str, Row]]) -> None:
        """Write rows; they are on disk, together, when this returns: committed, or in the journal.

        Raises whatever the server says against these rows, ``JournalFullError``, and, without a
        journal, connection errors.
        """
        outage = self._outage
        if outage is not None and outage.is_on:
            await outage.keep(rows, "")
            return
        try:
            await self._commit(rows)
        except Exception as error:
            if outage is None or not self._store.is_out_of_reach(error):
                raise
            # It may be committed all the same; its key makes it one row.
            await outage.keep(rows, str(error) or type(error).__name__)

    async def _commit(self, rows: list[tuple[str, Row]]) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        while len(self._queue) >= self._bound:
            self._room = anyio.Event()
            await self._room.wait()
        written: asyncio.Future[None] = loop.create_future()
        self._add(_Entry(rows, written, since))
        await written

    def offer(self, table: str, row: Row) -> None:
        """Write a telemetry row some time soon; dropped, and counted, where too many wait."""
        if len(self._queue) >= self._bound:
            self.losses.dropped += 1
        else:
            self._add(_Entry([(table, row)]))

    def _add(self, entry: _Entry) -> None:
        self._queue.append(entry)
        self._wake.set()

    async def run(self) -> None:
        """Write what comes until cancelled: the one task that owns the queue."""
        try:
            while True:
                await self._wake.wait()
                self._wake = anyio.Event()
                await self._drain()
        finally:
            for entry in self._queue:
                _settle(entry, ConnectionError("the recorder was stopped before this was written"))
            await self._end_left()

    async def flush(self) -> None:
        """Wait until all that was given so far is written, dropped or refused."""
        while self._queue or self._writing:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def _drain(self) -> None:
        while self._queue:
            # Whoever was cancelled doesn't want them any more.
            batch = [
                each for each in self._queue if each.written is None or not each.written.cancelled()
            ]
            self._queue = []
            self._room.set()
            if not batch:
                continue
            self._writing = True
            try:
                await self._write(batch)
            finally:
                self._writing = False
            self._tell_losses()
        self._idle.set()

    async def _write(self, batch: list[_Entry]) -> None:
        """One transaction for all; in halves where a row is refused: only its caller fails."""
        try:
            error = await self._attempt(batch)
        except BaseException:
            for entry in batch:
                _settle(entry, ConnectionError("the recorder was stopped during the write"))
            raise
        if error is None:
            for entry in batch:
                _settle(entry, None)
        elif len(batch) == 1 or not self._store.is_about_a_row(error):
            for entry in batch:
                self._lose(entry, error)
        else:
            half = len(batch) // 2
            await self._write(batch[:half])
            await self._write(batch[half:])

    async def _attempt(self, batch: list[_Entry]) -> Exception | None:
        """Write them; why that can't be. With a journal, that is known in time.

        A write that takes too long is left to itself: the journal has its rows too, then, and a
        database that is frozen holds nobody.
        """
        if self._outage is not None and self._outage.is_on:
            return DatabaseUnavailableError("PostgreSQL can't be reached")
        rows = [pair for entry in batch for pair in entry.rows]
        now = asyncio.get_running_loop().time()
        # For as long as whoever came first may wait.
        since = min(now, *(entry.since for entry in batch))
        left = max(since + self._patience - now, _LEAST_SHARE * self._patience)
        return await self.attempt(self._store.write(rows), left)

    async def attempt(self, work: Coroutine[Any, Any, None], patience: float) -> Exception | None:
        """Do a piece of work on the store; why that can't be. Without a journal, time is no reason.

        Args:
            work: what to do.
            patience: seconds that it may take; beyond them it is left to itself.
        """
        task = owned_task(work, "seawall recorder's write")
        bounded = self._outage is not None
        try:
            await asyncio.wait([task], timeout=patience * (1 - _LEAST_SHARE) if bounded else None)
            if not task.done():
                # Where the loop was blocked meanwhile, the answer may be here, not heard yet.
                await asyncio.wait([task], timeout=patience * _LEAST_SHARE)
        except asyncio.CancelledError:
            task.cancel()
            self._leave(task)
            raise
        if not task.done():
            self._leave(task)
            return DatabaseUnavailableError(f"no answer within {patience:.3g} s")
        failure = task.exception()
        if failure is not None and not isinstance(failure, Exception):
            raise failure
        return failure

    def _leave(self, task: "asyncio.Task[None]") -> None:
        self._left.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._left.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.debug("a write that was left to itself failed: %s", error)

    async def _end_left(self) -> None:
        """End the writes that are still at work; one that can't be ended is left to the pool."""
        for task in self._left:
            task.cancel()
        if self._left:
            await asyncio.wait(set(self._left), timeout=_CLOSE_SECONDS)

    def _tell_losses(self) -> None:
        """At most once a second: a storm of losses is none of lines and events."""
        fresh = self.losses.dropped - self._told
        now = asyncio.get_running_loop().time()
        if fresh and now - self._told_at >= _TELL_SECONDS:
            self._told, self._told_at = self.losses.dropped, now
            _logger.warning("%d telemetry rows lost; the last: %s", fresh, self._last_loss)
            if self._bus is not None and self._bus.listeners:
                self._bus.emit(TelemetryDropped(scope=NO_SCOPE, count=fresh))

    def _lose(self, entry: _Entry, error: Exception) -> None:
        if entry.written is None:
            self.losses.dropped += len(entry.rows)
            self._last_loss = str(error) or type(error).__name__
        _settle(entry, error)

    # -- events --------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """The listener that turns events into rows."""
        make = _ROWS.get(type(event))
        if make is not None:
            self.offer(*make(event, self._masker))


def _settle(entry: _Entry, error: Exception | None) -> None:
    if entry.written is not None and not entry.written.done():
        if error is None:
            entry.written.set_result(None)
        else:
            entry.written.set_exception(error)


COLUMNS: dict[str, tuple[str, ...]] = {
    "retry_attempts": (
        "attempt_id", "occurred_at", "pipeline_id", "run_id", "step", "operation", "attempt",
        "error_type", "exception_type", "message", "wait_seconds", "elapsed_seconds", "outcome",
        "stop_reason",
    ),
    "circuit_breaker_transitions": (
        "transition_id", "service_name", "from_state", "to_state", "epoch", "reason",
        "pipeline_id", "run_id", "host", "pid", "occurred_at",
    ),
}  # fmt: skip


def _scope(event: Event) -> tuple[str | None, str | None, str | None]:
    return event.scope.pipeline_id, event.scope.run_id, event.scope.step


def _scheduled(e: RetryScheduled, masker: Masker) -> tuple[str, Row]:
    return "retry_attempts", (
        uuid7(), utc_now(), *_scope(e), e.operation, e.attempt, e.error_type, e.exception_type,
        recordable(e.message, masker), e.wait_seconds, e.elapsed_seconds, "scheduled", None,
    )  # fmt: skip


def _succeeded(e: RetrySucceeded, _masker: Masker) -> tuple[str, Row]:
    return "retry_attempts", (
        uuid7(), utc_now(), *_scope(e), e.operation, e.attempt, None, None, None, None,
        e.elapsed_seconds, "succeeded", None,
    )  # fmt: skip


def _exhausted(e: RetryExhausted, masker: Masker) -> tuple[str, Row]:
    return "retry_attempts", (
        uuid7(), utc_now(), *_scope(e), e.operation, e.attempt, e.error_type, e.exception_type,
        recordable(e.message, masker), None, e.elapsed_seconds, "exhausted", e.stop_reason,
    )  # fmt: skip


def _transition(e: BreakerTransition, masker: Masker) -> tuple[str, Row]:
    return "circuit_breaker_transitions", (
        uuid7(), e.service_name, e.from_state, e.to_state, e.epoch, recordable(e.reason, masker),
        e.scope.pipeline_id, e.scope.run_id, HOST, os.getpid(), utc_now(),
    )  # fmt: skip


_ROWS: dict[type[Event], Callable[[Any, Masker], tuple[str, Row]]] = {
    RetryScheduled: _scheduled,
    RetrySucceeded: _succeeded,
    RetryExhausted: _exhausted,
    BreakerTransition: _transition,
}
