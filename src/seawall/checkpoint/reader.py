"""Reading ahead: one task makes, advances and closes the source while the database works.

The buffer never holds more than ``ahead`` batches. A sequence is sliced; another iterable is
advanced in a worker thread, so that a source that blocks doesn't block the event
loop; an async iterable is advanced in the task.
"""

import contextlib
import threading
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from typing import Any

import anyio
import anyio.to_thread

from seawall.clock import SYSTEM_CLOCK, Clock

Source = Iterable[Any] | AsyncIterable[Any]

_SLICE_SECONDS = 0.05  # a slow iterable's records reach the buffer at least this often
_COOPERATE_EVERY = 256  # records after which an async source that never waits lets others run


class Reader:
    """Fills a bounded buffer from the source, and gives it out a batch at a time.

    Args:
        source: an iterable or async iterable, or a callable that returns one.
        size: records a batch.
        interval: seconds after its first record at which a batch is given out as it is.
        ahead: batches that the buffer may hold.
    """

    def __init__(
        self,
        source: Source | Callable[[], Source],
        size: int,
        interval: float,
        *,
        ahead: int = 2,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._source, self._size, self._interval, self._clock = source, size, interval, clock
        self._limit = size * ahead
        self._buffer: list[Any] = []
        self._wake_at = 1
        self._filled = anyio.Event()
        self._drained = anyio.Event()
        self._ended = False
        self._error: Exception | None = None

    async def take(self) -> Sequence[Any]:
        """The next batch: ``size`` records, fewer after ``interval`` or at the end, none after it.

        Raises whatever the source raised, once all the full batches before it were taken.
        """
        if not self._buffer:
            await self._wait_for(1)
        if len(self._buffer) < self._size and not self._ended:
            with anyio.move_on_after(self._interval):
                await self._wait_for(self._size)
        if self._error is not None and len(self._buffer) < self._size:
            # The torn rest is read again by whoever resumes.
            raise self._error
        batch, self._buffer[: self._size] = self._buffer[: self._size], []
        self._drained.set()
        return batch

    async def _wait_for(self, count: int) -> None:
        while len(self._buffer) < count and not self._ended:
            self._wake_at = count
            self._filled = anyio.Event()
            await self._filled.wait()

    async def run(self) -> None:
        """Read until the end: the task that owns the source."""
        try:
            source = self._make()
            if isinstance(source, AsyncIterable):
                await self._read_async(source)
            elif isinstance(source, Sequence):
                await self._read_sequence(source)
            else:
                await self._read_threaded(iter(source))
        except Exception as error:
            # Not raised here: the batches before it are still good, and `take` is where the
            # user's code can see it.
            self._error = error
        finally:
            self._ended = True
            self._filled.set()

    def _make(self) -> Source:
        if not callable(self._source) or isinstance(self._source, Iterable | AsyncIterable):
            return self._source
        return self._source()

    async def _room(self) -> None:
        while len(self._buffer) >= self._limit:
            self._drained = anyio.Event()
            await self._drained.wait()

    async def _read_sequence(self, source: Sequence[Any]) -> None:
        for start in range(0, len(source), self._size):
            self._buffer.extend(source[start : start + self._size])
            self._filled.set()
            await self._room()

    async def _read_async(self, source: AsyncIterable[Any]) -> None:
        buffer = self._buffer
        iterator = aiter(source)
        since_pause = 0
        try:
            async for record in iterator:
                buffer.append(record)
                since_pause += 1
                if len(buffer) >= self._wake_at:
                    self._filled.set()
                    if len(buffer) >= self._limit:
                        await self._room()
                if since_pause >= _COOPERATE_EVERY:
                    since_pause = 0
                    await self._clock.sleep(0)
        finally:
            aclose = getattr(iterator, "aclose", None)
            if aclose is not None:
                # Cleanup that awaits is shielded, but not for ever.
                with anyio.move_on_after(5, shield=True):
                    await aclose()

    async def _read_threaded(self, iterator: Iterator[Any]) -> None:
        chunks = _ThreadedChunks(iterator, self._size, self._clock)
        try:
            while chunk := await anyio.to_thread.run_sync(chunks.next, abandon_on_cancel=True):
                self._buffer.extend(chunk)
                if len(self._buffer) >= self._wake_at:
                    self._filled.set()
                await self._room()
        finally:
            chunks.close()


class _ThreadedChunks:
    """An iterator advanced a chunk at a time in a worker thread, closed by whoever is last.

    A thread can't be cancelled: when its task is, the chunk under way is abandoned and the thread
    itself closes the source once it gets control back.
    """

    def __init__(self, iterator: Iterator[Any], size: int, clock: Clock) -> None:
        self._iterator, self._size, self._clock = iterator, size, clock
        self._advancing = threading.Lock()
        self._closed = False
        self._failure: Exception | None = None

    def next(self) -> list[Any]:
        """The next records (at least one, but at the end); what the source raised, after them."""
        chunk: list[Any] = []
        with self._advancing:
            if self._closed:
                return chunk
            if self._failure is not None:
                raise self._failure
            stop_at = self._clock.monotonic() + _SLICE_SECONDS
            try:
                for record in self._iterator:
                    chunk.append(record)
                    if len(chunk) >= self._size or self._clock.monotonic() >= stop_at:
                        break
            except Exception as error:
                if not chunk:
                    raise
                self._failure = error  # the records before it come first
        self._close_if_abandoned()
        return chunk

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
