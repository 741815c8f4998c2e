"""Reading ahead: one task makes, advances and closes the source while the database works.

The buffer never holds more than ``ahead`` batches. A sequence is sliced; another iterable is
advanced in a worker thread, so that a source that blocks doesn't block the event
loop; an async iterable is advanced in the task.
"""

import sys
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from typing import Any

import anyio

from seawall.checkpoint.threaded import ThreadedSource
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.errors import CheckpointError

Source = Iterable[Any] | AsyncIterable[Any]

_COOPERATE_EVERY = 256  # records after which an async source that never waits lets others run


class Reader:
    """Fills a bounded buffer from the source, and gives it out a batch at a time.

    Args:
        source: an iterable or async iterable, or a callable that returns one.
        size: records a batch, asked for anew at each.
        interval: seconds after its first record at which a batch is given out as it is.
        predicate: true for a record that ends its batch.
        whole: each item of the source is a batch.
        chunked: each item of the source is a list of records, and no more than that.
        ahead: batches that the buffer may hold.
    """

    def __init__(
        self,
        source: Source | Callable[[], Source],
        size: int | Callable[[], int],
        interval: float,
        *,
        predicate: Callable[[Any], bool] | None = None,
        whole: bool = False,
        chunked: bool = False,
        ahead: int = 2,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._source, self._interval, self._clock = source, interval, clock
        self._size = size if callable(size) else lambda: size
        self._predicate, self._whole, self._chunked = predicate, whole, chunked
        self._ahead = ahead
        self._buffer: list[Any] = []
        self._seen = 0  # records of the buffer that the predicate was asked about
        self._wake_at = 1
        self._filled = anyio.Event()
        self._drained = anyio.Event()
        self._ended = False
        self._interrupted = False
        self._error: Exception | None = None

    async def take(self) -> Sequence[Any]:
        """The next batch: ``size`` records, fewer after ``interval`` or at the end, none after it.

        Raises whatever the source raised, once all the full batches before it were taken.
        """
        if self._whole:
            return await self._next_item()
        if not self._buffer:
            await self._wait_for(1)
        size = self._size()
        count = self._cut(size)
        if not count and not self._ended:
            with anyio.move_on_after(self._interval):
                count = await self._wait_for_cut(size)
        if self._interrupted:
            return []
        if self._error is not None and not count:
            # The torn rest is read again by whoever resumes.
            raise self._error
        return self._give(count or min(size, len(self._buffer)))

    async def more(self) -> Sequence[Any]:
        """Whatever comes next, at least one record but at the end."""
        if self._whole:
            return await self._next_item()
        if not self._buffer:
            await self._wait_for(1)
        if not self._buffer and self._error is not None:
            raise self._error
        return self._give(len(self._buffer))

    def give_back(self, records: Sequence[Any]) -> None:
        """Take back the last of what was given out: it comes next."""
        if self._whole:
            records = [records] if records else []
        self._buffer[:0] = records
        self._seen = 0

    def interrupt(self) -> None:
        """End the source here: what waits for records gets none."""
        self._interrupted = self._ended = True
        self._buffer.clear()
        self._filled.set()

    def _give(self, count: int) -> Sequence[Any]:
        batch, self._buffer[:count] = self._buffer[:count], []
        self._seen = max(0, self._seen - count)
        self._drained.set()
        return batch

    async def _next_item(self) -> Sequence[Any]:
        while True:
            if not self._buffer:
                await self._wait_for(1)
            if not self._buffer:
                break
            (item,) = self._give(1)
            most = self._size()
            if not isinstance(item, Sequence) or isinstance(item, str | bytes):
                raise CheckpointError(
                    f"the source gave {type(item).__name__}: with CheckpointStrategy.every_batch() "
                    "each of its items is a batch, a list of records"
                )
            # Counting the records of a block is put off for as long as nobody has to know.
            if most < sys.maxsize and len(item) > most:
                item, rest = item[:most], item[most:]
                self.give_back(rest)
            if item:  # an empty page is not the source's end
                return item
        if self._error is not None:
            raise self._error
        return []

    def _cut(self, size: int) -> int:
        """Where the next batch ends, if its end is in the buffer; else 0."""
        if self._predicate is not None:
            for place in range(self._seen, min(len(self._buffer), size)):
                self._seen = place + 1
                if self._predicate(self._buffer[place]):
                    return place + 1
        return size if len(self._buffer) >= size else 0

    async def _wait_for_cut(self, size: int) -> int:
        while not (count := self._cut(size)) and not self._ended:
            await self._wait_for(size if self._predicate is None else len(self._buffer) + 1)
        return count

    async def _wait_for(self, count: int) -> None:
        while len(self._buffer) < count and not self._ended:
            self._wake_at = count
            self._drained.set()  # a batch that has grown may want more than the buffer was to hold
            self._filled = anyio.Event()
            await self._filled.wait()

    @property
    def _limit(self) -> int:
        return self._ahead if self._whole else self._size() * self._ahead

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
        except BaseException as error:
            # Whoever still asks (the source itself was cancelled) must not take it for the end.
            self._error = CheckpointError(
                f"the source was cut off by {type(error).__name__} before its end"
            )
            raise
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
        start = 0
        while start < len(source):
            size = 1 if self._whole else self._size()
            self._buffer.extend(source[start : start + size])
            start += size
            self._filled.set()
            await self._room()

    async def _read_async(self, source: AsyncIterable[Any]) -> None:
        buffer = self._buffer
        iterator = aiter(source)
        since_pause = 0
        try:
            async for record in iterator:
                if self._chunked and not self._whole:
                    buffer.extend(record)
                else:
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
        size = 1 if self._whole else self._size()
        chunks = ThreadedSource(iterator, size, self._clock)
        try:
            while chunk := await chunks.next():
                self._buffer.extend(chunk)
                if len(self._buffer) >= self._wake_at:
                    self._filled.set()
                await self._room()
        finally:
            chunks.close()
