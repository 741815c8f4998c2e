"""Reading ahead: batches, bounds, errors, time, closing."""

import asyncio
import contextlib
import threading
import time

import pytest

from seawall.checkpoint.reader import Reader


@contextlib.asynccontextmanager
async def reading(source, size=3, interval=60.0, **options):
    reader = Reader(source, size, interval, **options)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reader.run())
        yield reader
        task.cancel()


async def drain(reader):
    batches = []
    while batch := await reader.take():
        batches.append(list(batch))
    return batches


async def agen(n, log=None):
    try:
        for i in range(n):
            yield i
    finally:
        if log is not None:
            log.append("closed")


@pytest.mark.real_time
@pytest.mark.parametrize("make", [lambda: list(range(7)), lambda: iter(range(7)), lambda: agen(7)])
async def test_reader_any_source_gives_full_batches_then_the_rest(make, clock):
    async with reading(make(), clock=clock) as reader:
        assert await drain(reader) == [[0, 1, 2], [3, 4, 5], [6]]
        assert list(await reader.take()) == []


async def test_reader_callable_source_is_called_by_the_reading_task(clock):
    async with reading(lambda: [1, 2], clock=clock) as reader:
        assert await drain(reader) == [[1, 2]]


async def test_reader_async_source_is_read_no_further_than_its_bound(clock):
    seen = []

    async def source():
        for i in range(1000):
            seen.append(i)
            yield i

    async with reading(source(), size=10, ahead=2, clock=clock) as reader:
        await reader.take()
        await asyncio.sleep(100)
        assert len(seen) <= 10 + 2 * 10 + 1


async def test_reader_slow_source_gives_a_partial_batch_after_the_interval(clock):
    async def source():
        yield 1
        yield 2
        await asyncio.sleep(1000)
        yield 3

    async with reading(source(), size=5, interval=30, clock=clock) as reader:
        before = clock.monotonic()
        assert list(await reader.take()) == [1, 2]
        assert 30 <= clock.monotonic() - before < 31
        assert list(await reader.take()) == [3]


async def test_reader_source_that_raises_gives_full_batches_first(clock):
    async def source():
        for i in range(5):
            yield i
        raise OSError("source broke")

    async with reading(source(), size=2, clock=clock) as reader:
        assert list(await reader.take()) == [0, 1]
        assert list(await reader.take()) == [2, 3]
        with pytest.raises(OSError, match="source broke"):
            await reader.take()


@pytest.mark.real_time
async def test_reader_generator_that_raises_in_its_thread_gives_full_batches_first(clock):
    def source():
        yield from range(4)
        raise ValueError("row 4")

    async with reading(source(), size=2, clock=clock) as reader:
        assert list(await reader.take()) == [0, 1]
        assert list(await reader.take()) == [2, 3]
        with pytest.raises(ValueError, match="row 4"):
            await reader.take()


async def test_reader_cancelled_closes_the_async_source(clock):
    log = []
    async with reading(agen(1000, log), clock=clock) as reader:
        await reader.take()
    assert log == ["closed"]


@pytest.mark.real_time
async def test_reader_cancelled_closes_the_generator(clock):
    log = []

    def source():
        try:
            yield from range(100_000)
        finally:
            log.append("closed")

    async with reading(source(), size=10, clock=clock) as reader:
        await reader.take()
    assert log == ["closed"]


async def test_reader_async_source_that_never_waits_lets_others_run(clock):
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(other())
        async with reading(agen(10_000), size=10_000, clock=clock) as reader:
            assert len(await reader.take()) == 10_000
        task.cancel()
    assert turns > 10


@pytest.mark.real_time
async def test_reader_generator_that_blocks_gives_what_it_gave_before(clock):
    """A consumer that waits for the next message keeps no earlier one from its batch."""
    more = threading.Event()

    def source():
        yield from range(3)
        more.wait(10)
        yield 3

    async with reading(source(), size=100, interval=0.05, clock=clock) as reader:
        async with asyncio.timeout(5):
            assert list(await reader.take()) == [0, 1, 2]
        more.set()
        assert list(await reader.take()) == [3]
        assert list(await reader.take()) == []


@pytest.mark.real_time
async def test_reader_generators_threads_end_with_it(clock):
    before = threading.active_count()
    for _ in range(3):
        async with reading(iter(range(100_000)), size=10, clock=clock) as reader:
            await reader.take()
    async with asyncio.timeout(5):
        while threading.active_count() > before:
            await asyncio.sleep(0.01)


@pytest.mark.real_time
async def test_reader_generator_loses_nothing_however_fast_it_is_taken(clock):
    """Records that are taken early, while the thread adds to them, are neither lost nor doubled."""

    def source():
        for n in range(3000):
            if n % 500 == 0:
                time.sleep(0.12)
            yield n

    async with reading(source(), size=700, interval=0.01, clock=clock) as reader:
        assert [n for batch in await drain(reader) for n in batch] == list(range(3000))


async def test_reader_of_whole_batches_goes_on_behind_an_empty_one(clock):
    """An empty page is not the source's end, not even where nothing else is read ahead yet."""

    async def pages():
        for page in ([1, 2], [], [], [3], []):
            await asyncio.sleep(1)
            yield page

    async with reading(pages(), whole=True, clock=clock) as reader:
        assert await drain(reader) == [[1, 2], [3]]


async def test_reader_of_whole_batches_takes_records_back(clock):
    async with reading([[1, 2, 3], [4, 5], [6]], size=100, whole=True, clock=clock) as reader:
        assert await reader.take() == [1, 2, 3]
        reader.give_back([2, 3])
        assert await reader.take() == [2, 3]
        assert await reader.more() == [4, 5]
        reader.give_back([])
        assert await reader.take() == [6]
        assert await reader.take() == []
