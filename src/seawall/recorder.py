"""From events and calls to rows: one writer task whose COPYs and commits all callers share."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from seawall.clock import utc_now, uuid7
from seawall.events import (
    BreakerTransition,
    Event,
    RetryExhausted,
    RetryScheduled,
    RetrySucceeded,
)
from seawall.masking import Masker, default_masker
from seawall.text import recordable

_logger = logging.getLogger("seawall.recorder")

Row = tuple[Any, ...]

HOST = socket.gethostname()


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
    """Rows of one caller, which stand and fall together."""

    rows: list[tuple[str, Row]]
    written: "asyncio.Future[None] | None" = None


@dataclass(slots=True)
class Losses:
    """Telemetry rows that were not written."""

    dropped: int = field(default=0)


class Recorder:
    """The commit-sharing writer.

    ``put`` returns when its rows are committed; ``offer`` is for telemetry, which may be dropped,
    and is then counted. Belongs to one event loop; may be shared between its tasks.

    Args:
        store: where rows go.
        outage: where durable rows go while ``store`` can't be reached; without it ``put`` raises.
        patience: seconds that ``put`` waits for the database before it turns to ``outage``.
        bound: entries that may wait; beyond it ``put`` waits and ``offer`` drops.
        masker: finds secrets in what events say.
    """

    def __init__(
        self,
        store: RecordStore,
        *,
        outage: Outage | None = None,
        patience: float = 1.0,
        bound: int = 10_000,
        masker: Masker = default_masker,
    ) -> None:
        self._store, self._bound, self._masker = store, bound, masker
        self._outage, self._patience = outage, patience
        self._queue: list[_Entry] = []
        self._wake = anyio.Event()
        self._room = anyio.Event()
        self._idle = anyio.Event()
        self._writing = False
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
        if outage is None:
            await self._commit(rows)
            return
        if outage.is_on:
            await outage.keep(rows, "")
            return
        reason = f"no answer within {self._patience:g} s"
        with anyio.move_on_after(self._patience):
            try:
                await self._commit(rows)
            except Exception as error:
                if not self._store.is_out_of_reach(error):
                    raise
                reason = str(error) or type(error).__name__
            else:
                return
        # It may be committed all the same; its key makes it one row.
        await outage.keep(rows, reason)

    async def _commit(self, rows: list[tuple[str, Row]]) -> None:
        while len(self._queue) >= self._bound:
            self._room = anyio.Event()
            await self._room.wait()
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(_Entry(rows, written))
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

    async def flush(self) -> None:
        """Wait until all that was given so far is written, dropped or refused."""
        while self._queue or self._writing:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def _drain(self) -> None:
        while self._queue:
            # Whoever gave up waiting has put them into the journal, or doesn't want them.
            batch = [
                each for each in self._queue if each.written is None or not each.written.cancelled()
            ]
            self._queue = []
            self._writing = True
            self._room.set()
            try:
                await self._write(batch)
            finally:
                self._writing = False
        self._idle.set()

    async def _write(self, batch: list[_Entry]) -> None:
        """One transaction for all; in halves where a row is refused: only its caller fails."""
        try:
            await self._store.write([pair for entry in batch for pair in entry.rows])
        except Exception as error:
            if len(batch) == 1 or not self._store.is_about_a_row(error):
                for entry in batch:
                    self._lose(entry, error)
                return
            half = len(batch) // 2
            await self._write(batch[:half])
            await self._write(batch[half:])
        except BaseException:
            for entry in batch:
                _settle(entry, ConnectionError("the recorder was stopped during the write"))
            raise
        else:
            for entry in batch:
                _settle(entry, None)

    def _lose(self, entry: _Entry, error: Exception) -> None:
        if entry.written is None:
            self.losses.dropped += len(entry.rows)
            _logger.warning("%d telemetry rows lost: %s", len(entry.rows), error)
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
