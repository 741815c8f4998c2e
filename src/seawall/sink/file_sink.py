"""``FileSink``: files that hold each record exactly once, whatever dies, and whenever."""

import asyncio
import functools
import hashlib
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

import anyio.to_thread

from seawall.config import Range
from seawall.errors import InvalidConfigError
from seawall.scope import current_scope
from seawall.sink.appending import Rules
from seawall.sink.disk import Disk
from seawall.sink.format import Encode, json_line
from seawall.sink.layout import Layout
from seawall.sink.state import SinkState, decode, encode
from seawall.sink.writer import Writer

T = TypeVar("T")


class FileTransaction(Protocol):
    """What the sink needs of a batch's transaction."""

    @property
    def fence(self) -> int: ...
    def saved_state(self, name: str, /) -> Any: ...
    def pending_state(self, name: str, /) -> Any: ...
    def save_state(self, name: str, value: Any, /) -> None: ...


class FileBatch(Protocol):
    """What it needs of a batch."""

    @property
    def records(self) -> Iterable[Any]: ...


class FileStep(Protocol):
    """What it needs of an opened step: a transaction that commits nothing but saved states."""

    def transaction(self) -> AbstractAsyncContextManager[FileTransaction]: ...


class FileSink:
    """Files in ``folder``, written exactly once: ``stream(source, FileSink("out"), …)``.

    By hand::

        async with manager.checkpoint("2013", "export") as cp, FileSink("out") as sink:
            async for batch in cp.batches(read_flights(after=cp.position)):
                async with batch.transaction() as tx:
                    await sink.write(tx, batch.records)
            await sink.finish(cp)

    Finished files are named ``part-000001.jsonl``, ``part-000002.jsonl``, …: they appear whole and
    at once, after the commit of their last record, and never change again. The one in progress is
    hidden (``.part-000003.….open``). Its committed length is part of the step's checkpoint, so that
    whatever a dead worker left behind it is cut off, and what a frozen one still writes is never
    read. See ``committed_files`` for reading.

    Each run, step and partition needs a folder or a name of its own, and each of several sinks in
    one step a name; batches one after the other (no ``concurrency``), and one sink object for all
    of them. The folder must be on a local file
    system, or one that keeps POSIX's promises on fsync, link and rename, and reachable from
    wherever the step may be resumed.

    Args:
        folder: made where it isn't there.
        name: what the files' names begin with.
        suffix: what they end in.
        encode: a record as bytes, its newline included; called in a worker thread. Records that
            are ``bytes`` already are written as they are. A record that it can't encode fails the
            batch: to have such ones quarantined, encode them in ``transform=`` instead.
        header: bytes that every file begins with; by default ``encode.header``, where it has one.
        max_bytes: a file is finished before it would pass this (compressed: once it has, by at
            most 1 MiB of records, and by the batch).
        max_records: a file is finished when it has this many.
        compression: ``"gzip"``, for a suffix that ends in ``.gz``; each batch is a gzip member of
            its own, so small batches compress badly.

    Raises:
        InvalidConfigError: an option is out of range.
    """

    concurrent = False  # `stream(concurrency=…)` looks here: two batches can't share a file's end

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str = "part",
        suffix: str = ".jsonl",
        encode: Encode = json_line,
        header: bytes | None = None,
        max_bytes: int | None = None,
        max_records: int | None = None,
        compression: Literal["gzip"] | None = None,
        _disk: Disk | None = None,
    ) -> None:
        for option, value in (("max_bytes", max_bytes), ("max_records", max_records)):
            if value is not None:
                Range(int, 1).check(option, value)
        if compression not in (None, "gzip"):
            raise InvalidConfigError(f"compression={compression!r}: must be None or 'gzip'")
        if not callable(encode):
            raise InvalidConfigError(f"encode={encode!r}: must be a callable (record) -> bytes")
        if compression and not suffix.endswith(".gz"):
            suffix += ".gz"
        self.folder = Path(folder)
        self.encode = encode
        layout = Layout(self.folder, name, suffix)
        rules = Rules(
            encode=encode,
            header=getattr(encode, "header", b"") if header is None else header,
            max_bytes=max_bytes,
            max_records=max_records,
            compressed=compression is not None,
        )
        self._name, self.state_name = name, f"files {name}"
        self._disk = _disk or Disk()
        self._writer = Writer(layout, rules, self._disk)
        self._lock = threading.Lock()
        self._turn: _Turn | None = None

    async def __call__(self, tx: FileTransaction, batch: FileBatch) -> None:
        """Write the batch's records: the form that ``stream`` and ``for_each`` take."""
        await self.write(tx, batch.records)

    async def write(self, tx: FileTransaction, records: Iterable[Any]) -> None:
        """Append ``records``, to be committed with the batch; on disk (synced) when it returns.

        Raises:
            CodecError: ``encode`` can't write a record.
            InvalidConfigError: another batch is being written, or the folder isn't this step's.
            SinkError: the files are not as the checkpoint says.
            StaleRunError: another worker has taken over the step.
            OSError: the disk is full, or broken; nothing torn is left.
        """
        base, committed = self._base(tx)
        state = await self._run(
            functools.partial(self._writer.write, base, tx.fence, records, committed=committed)
        )
        self._save(tx, state)

    async def finish(self, step: FileStep) -> None:
        """Finish the file in progress, once the source is read to its end, and publish it.

        In a transaction of its own, so that a worker that was replaced meanwhile publishes
        nothing. May be called again, also by the next worker: whatever was left undone is done.
        Records that are written later go into a new file.

        Raises:
            StaleRunError: another worker has taken over the step.
            SinkError: the files are not as the checkpoint says.
        """
        async with step.transaction() as tx:
            base, committed = self._base(tx)
            state = await self._run(
                functools.partial(self._writer.seal, base, tx.fence, committed=committed)
            )
            self._save(tx, state)
            fence = tx.fence
        await self._run(functools.partial(self._writer.settle, state, fence))

    async def aclose(self) -> None:
        """Close the file in progress; it isn't published, and whoever resumes goes on with it."""
        await self._run(self._writer.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # -- whose turn it is ------------------------------------------------------------------------

    def _base(self, tx: FileTransaction) -> tuple[SinkState, bool]:
        """The state to go on from, and whether it is committed."""
        owner, turn = _owner(), self._turn
        # Asked, not remembered: a savepoint may have undone the last write.
        pending = tx.pending_state(self.state_name)
        if pending is not None:
            if turn is None or turn.tx() is not tx:
                raise InvalidConfigError(
                    f"another FileSink has written in this batch under the name {self._name!r}, "
                    "and a step keeps one state a name: pass FileSink(…, name=…)"
                )
            return decode(pending, owner), False
        committed = decode(tx.saved_state(self.state_name), owner)
        if turn is not None and turn.may_be_open() and turn.state != committed:
            raise InvalidConfigError(
                "two batches are being written to one FileSink at the same time: it can only be "
                "used with batches one after the other (concurrency=1)"
            )
        return committed, True

    def _save(self, tx: FileTransaction, state: SinkState) -> None:
        tx.save_state(self.state_name, encode(state))
        self._turn = _Turn(tx, state)

    # -- threads ---------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        """``work`` in a thread, never two at a time, even where a caller was cancelled."""
        ticket = _Ticket()

        def locked() -> T:
            with self._lock:
                if ticket.withdrawn:  # its caller was cancelled while it waited for the lock
                    raise RuntimeError("the caller was cancelled")  # nobody hears it
                return work()

        try:
            return await anyio.to_thread.run_sync(locked)
        except BaseException:
            ticket.withdrawn = True
            raise


class _Ticket:
    withdrawn = False


class _Turn:
    """The batch that wrote last, as long as it may not have ended."""

    def __init__(self, tx: FileTransaction, state: SinkState) -> None:
        self.tx, self.state = weakref.ref(tx), state
        task = asyncio.current_task()
        self._task = None if task is None else weakref.ref(task)

    def may_be_open(self) -> bool:
        """Whether its transaction may still be open: it lives, in a task that does something else.

        A rolled-back batch and an open one leave the same committed state behind. One task has one
        batch open at a time, and a transaction that is freed has ended.
        """
        task = None if self._task is None else self._task()
        return (
            self.tx() is not None
            and task is not None
            and task is not asyncio.current_task()
            and not task.done()
        )


def _owner() -> str:
    """8 hexadecimal digits of the current step, the same after each restart."""
    scope = current_scope.get()
    text = repr((scope.pipeline_id, scope.run_id, scope.step))
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=4).hexdigest()
