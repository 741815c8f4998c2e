"""A plain iterable as a source: advanced in a thread, so that it blocks no event loop."""

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Iterator
from typing import Any

from seawall.clock import Clock

_SLICE_SECONDS = 0.05  # a slow iterable's records reach the buffer at least this often
_SILENT_SECONDS = 1.0  # how often one that blocks is looked at


class ThreadedSource:
    """An iterator advanced a chunk at a time in a thread of its own, closed by whoever is last.

    A thread can't be cancelled: when its task is, the chunk under way is abandoned and the thread
    itself closes the source once it gets control back. It is a daemon, so that a source that blocks
    for ever keeps no process from ending.

    Args:
        iterator: the source.
        size: records a chunk.
    """

    def __init__(self, iterator: Iterator[Any], size: int, clock: Clock) -> None:
        self._chunks = _Chunks(iterator, size, clock)
        self._wanted = queue.SimpleQueue[asyncio.Future[list[Any]] | None]()
        self._thread: threading.Thread | None = None
        self._pending: asyncio.Future[list[Any]] | None = None

    async def next(self) -> list[Any]:
        """The next records (at least one, but at the end); what the source raised, after them."""
        while True:
            if self._pending is None:
                self._pending = self._ask()
            patience = 2 * _SLICE_SECONDS
            while not (await asyncio.wait([self._pending], timeout=patience))[0]:
                # The source is silent: what it gave before must not wait for what comes next.
                if early := self._chunks.take_early():
                    return early
                patience = _SILENT_SECONDS
            answer, self._pending = self._pending, None
            chunk = answer.result()
            if chunk or self._chunks.ended:  # all of a chunk may have been taken early
                return chunk

    def _ask(self) -> "asyncio.Future[list[Any]]":
        if self._thread is None:
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._work,), name="seawall source", daemon=True
            )
            self._thread.start()
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._chunks.begin()
        self._wanted.put(answer)
        return answer

    def close(self) -> None:
        """Close the source and end the thread, at once or when it gets control back."""
        if self._pending is not None:
            self._pending.cancel()  # nobody looks at it any more
        self._wanted.put(None)
        self._chunks.close()

    def _work(self) -> None:
        while (answer := self._wanted.get()) is not None:
            try:
                chunk = self._chunks.next()
            except BaseException as error:
                _tell(answer, error, [])
            else:
                _tell(answer, None, chunk)


def _tell(
    answer: "asyncio.Future[list[Any]]", error: BaseException | None, chunk: list[Any]
) -> None:
    def tell() -> None:
        if answer.done():  # abandoned
            return
        if error is None:
            answer.set_result(chunk)
        else:
            answer.set_exception(error)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        answer.get_loop().call_soon_threadsafe(tell)


class _Chunks:
    """The iterator's records in chunks; closed by the thread that advances it, or by another."""

    def __init__(self, iterator: Iterator[Any], size: int, clock: Clock) -> None:
        self._iterator, self._size, self._clock = iterator, size, clock
        self._advancing = threading.Lock()
        self._chunk: list[Any] = []
        self.ended = False
        self._closed = False
        self._failure: Exception | None = None

    def begin(self) -> None:
        """A chunk is about to be asked for: what the last one had is not to be taken again."""
        self._chunk = []

    def next(self) -> list[Any]:
        """The next records but those that are taken early; what the source raised, after them."""
        chunk = self._chunk
        with self._advancing:
            if self._closed:
                self.ended = True
                return chunk
            if self._failure is not None:
                raise self._failure
            stop_at = self._clock.monotonic() + _SLICE_SECONDS
            try:
                for record in self._iterator:
                    chunk.append(record)
                    if len(chunk) >= self._size or self._clock.monotonic() >= stop_at:
                        break
                else:
                    self.ended = True
            except Exception as error:
                if not chunk:
                    raise
                self._failure = error  # the records before it come first
        self._close_if_abandoned()
        return chunk

    def take_early(self) -> list[Any]:
        """What the chunk under way has so far; asked by another thread than advances the source."""
        chunk = self._chunk  # it only ever grows at its end, meanwhile
        early = chunk[:]
        del chunk[: len(early)]
        return early

    def close(self) -> None:
        self._closed = True
        if self._advancing.acquire(blocking=False):
            try:
                self._close_source()
            finally:
                self._advancing.release()

    def _close_if_abandoned(self) -> None:
        if self._closed:  # its owner has gone meanwhile: closing was left to this thread
            self.close()

    def _close_source(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):  # the source's end is not the batch's
                close()
