"""Batches side by side: any order of ends, and whatever fails, nothing is lost or doubled."""

import asyncio
import itertools

import pytest

from seawall import StaleRunError, TooManyBadRecordsError
from seawall.checkpoint import Progress, Rejection, Step, StepKey, StepOptions, Tolerance
from seawall.checkpoint.model import Span
from seawall.errors import CheckpointError, ShutdownError
from seawall.retry import RetryPolicy, call
from support.fake_checkpoints import FakeStore

KEY = StepKey("r", "load")


def step_of(store, clock, **options):
    return Step(store, KEY, StepOptions(**{"size": 2, **options}), clock=clock)


def source_of(store, total):
    """Resumes after the saved position; records are their positions."""

    def source():
        return list(range((store.progress.position or 0) + 1, total + 1))

    return source


async def run(store, clock, handler, total=20, concurrency=3, **options):
    async with step_of(store, clock, **options) as step:
        return await step.for_each(
            source_of(store, total), handler, position=lambda n: n, concurrency=concurrency
        )


async def insert(tx, batch):
    tx.insert(batch.records)


def check_whole(store, total):
    assert sorted(store.rows) == list(range(1, total + 1))
    assert store.progress.position == total
    assert store.progress.ahead == ()
    assert not store.open_units


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_parallel_any_order_of_completion_saves_what_is_done(clock, order):
    """Each saved state names exactly the records that are in the sink."""
    store = FakeStore()

    async def handler(tx, batch):
        tx.insert(batch.records)
        await asyncio.sleep(1 + order[batch.first_position // 2 % 4])

    def holds(progress):
        done = set(range(1, (progress.position or 0) + 1))
        for span in progress.ahead:
            assert span.done
            done |= set(range(span.first, span.last + 1))
        return done

    async def check(unit, progress):
        assert holds(progress) == set(store.rows) | set(unit.rows)

    store.on_commit = check
    report = await run(store, clock, handler, total=16, concurrency=4)
    check_whole(store, 16)
    assert (report.rows_read, report.batches) == (16, 8)
    assert store.released == [True]


async def test_parallel_batches_overlap(clock):
    store, at_once, most = FakeStore(), 0, 0

    async def handler(tx, batch):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(1)
        at_once -= 1
        tx.insert(batch.records)

    started = clock.monotonic()
    await run(store, clock, handler, total=24, concurrency=4)
    assert most == 4
    assert clock.monotonic() - started < 4
    check_whole(store, 24)


async def test_parallel_one_lane_fails_others_finish_what_they_have(clock):
    store, finished = FakeStore(), []

    async def handler(tx, batch):
        await asyncio.sleep(1 if batch.first_position == 3 else 2)
        if batch.first_position == 3:
            raise ValueError("batch 3")
        tx.insert(batch.records)
        finished.append(batch.first_position)

    with pytest.raises(ValueError, match="batch 3"):
        await run(store, clock, handler)
    assert sorted(finished) == [1, 5]
    assert store.progress.position == 2
    assert store.progress.ahead == (Span(first=5, last=6, done=True),)
    assert store.released == [False]
    await run(store, clock, insert)
    check_whole(store, 20)


async def test_parallel_position_that_fails_loses_no_record(clock):
    """The lanes that wait for their turn must not go on behind the records that failed."""
    store = FakeStore()
    failing = True

    def position(n):
        if n == 5 and failing:
            raise KeyError("no position")
        return n

    async def slow():
        for n in range(1, 21):
            await asyncio.sleep(1)
            yield n

    with pytest.raises(KeyError):
        async with step_of(store, clock) as step:
            await step.for_each(slow(), insert, position=position, concurrency=3)
    assert store.rows == [1, 2, 3, 4]
    failing = False
    await run(store, clock, insert)
    check_whole(store, 20)


async def test_parallel_too_many_bad_records_counts_all_lanes(clock):
    """A count that is never to be passed is not, by batches that commit side by side."""
    store = FakeStore()

    async def handler(tx, batch):
        await tx.reject([Rejection(index=0, reason="bad")], batch.records)
        tx.insert(batch.records[1:])
        await asyncio.sleep(1)

    with pytest.raises(TooManyBadRecordsError):
        await run(store, clock, handler, concurrency=4, tolerance=Tolerance(count=2))
    assert len(store.quarantined) == 2
    assert store.progress.counters.skip_count == 2


async def test_parallel_too_many_for_a_reason_counts_all_lanes(clock):
    store = FakeStore()

    async def handler(tx, batch):
        await tx.reject([Rejection(index=0, reason="bad", sqlstate="23505")], batch.records)
        await asyncio.sleep(1)

    tolerance = Tolerance(reasons={"23505": 3})
    with pytest.raises(TooManyBadRecordsError, match="tolerated for '23505'"):
        await run(store, clock, handler, concurrency=4, tolerance=tolerance)
    assert len(store.quarantined) == 3


async def test_parallel_cancelled_in_the_middle_resumes_without_loss(clock):
    store = FakeStore()

    async def handler(tx, batch):
        tx.insert(batch.records)
        await asyncio.sleep(10 if batch.first_position == 3 else 1)

    task = asyncio.create_task(run(store, clock, handler))
    await asyncio.sleep(5.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.progress.ahead
    assert not store.open_units
    await run(store, clock, insert)
    check_whole(store, 20)


async def test_parallel_inside_a_timeout_ends_with_its_error(clock):
    store = FakeStore()

    async def handler(tx, batch):
        tx.insert(batch.records)
        await asyncio.sleep(3)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4):
            await run(store, clock, handler)
    assert store.released == [False]
    await run(store, clock, insert)
    check_whole(store, 20)


@pytest.mark.parametrize("answer", ["lost", "never"])
@pytest.mark.parametrize("which", range(4))
async def test_parallel_commit_not_answered_is_settled_before_the_next(clock, answer, which):
    store = FakeStore()
    store.answers = ["ok"] * which + [answer]

    async def handler(tx, batch):
        await asyncio.sleep(1)
        tx.insert(batch.records)

    policy = RetryPolicy(max_retries=3, initial_delay=0.5)
    await run(store, clock, handler, retrying=lambda work: call(policy, work))
    check_whole(store, 20)


async def test_parallel_commit_that_takes_too_long_fails_the_batch(clock):
    """Its time limit is a failure like another, never a cancellation that nobody asked for."""
    store = FakeStore()

    async def hang(unit, progress):
        if 3 in unit.rows:
            await asyncio.sleep(1000)

    store.on_commit = hang
    with pytest.raises(TimeoutError):
        await run(store, clock, insert, commit_seconds=5)
    assert store.released == [False]
    assert 3 not in store.rows


async def test_parallel_stale_at_settling_lets_no_lane_commit(clock):
    store = FakeStore()
    store.answers = ["ok", "lost"]

    async def taken():
        store.fence += 1

    store.on_settle = taken

    async def handler(tx, batch):
        await asyncio.sleep(1)
        tx.insert(batch.records)

    with pytest.raises(StaleRunError):
        await run(store, clock, handler)
    assert len(store.saves) == 2


async def test_parallel_settling_that_fails_is_done_again_by_the_next_lane(clock):
    store, failures = FakeStore(), iter([True])
    store.answers = ["lost"]

    async def settle():
        if next(failures, False):
            raise OSError("no route to host")

    store.on_settle = settle

    async def handler(tx, batch):
        await asyncio.sleep(batch.first_position)
        tx.insert(batch.records)

    with pytest.raises(OSError, match="no route"):
        await run(store, clock, handler)
    assert store.progress.counters.read_count == len(store.rows)
    await run(store, clock, insert)
    check_whole(store, 20)


async def test_parallel_slow_first_batch_bounds_what_is_read(clock):
    store, read, release = FakeStore(), [], asyncio.Event()

    async def source():
        for n in range(1, 1001):
            read.append(n)
            yield n

    async def handler(tx, batch):
        tx.insert(batch.records)
        if batch.first_position == 1:
            await release.wait()

    async with step_of(store, clock) as step:
        task = asyncio.create_task(
            step.for_each(source(), handler, position=lambda n: n, concurrency=3)
        )
        await asyncio.sleep(100)
        assert len(read) < 2 * (4 * 3 + 8)
        assert len(store.progress.ahead) <= 4 * 3
        release.set()
        await task
    check_whole(store, 1000)


@pytest.mark.parametrize("concurrency", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_parallel_resumes_over_spans_whatever_size_and_concurrency(clock, size, concurrency):
    """What is done beyond the position is passed by, however the source is cut this time."""
    done = {3, 4, 7, 8, 9, 14}
    store = FakeStore(
        Progress(
            position=1,
            ahead=(
                Span(first=3, last=4, done=True),
                Span(first=7, last=9, done=True),
                Span(first=14, last=14, done=True),
            ),
        )
    )
    store.rows = [1, *done]
    await run(store, clock, insert, size=size, concurrency=concurrency)
    check_whole(store, 20)


async def test_parallel_resumes_where_all_that_is_left_is_done(clock):
    """The watermark moves over spans with no batch to commit; the end saves it."""
    store = FakeStore(Progress(position=18, ahead=(Span(first=19, last=20, done=True),)))
    store.rows = list(range(1, 21))
    await run(store, clock, insert)
    check_whole(store, 20)
    assert store.released == [True]


async def test_parallel_source_that_ends_before_a_done_span_is_an_error(clock):
    store = FakeStore(Progress(position=2, ahead=(Span(first=30, last=31, done=True),)))
    with pytest.raises(CheckpointError, match="ended before positions 30 to 31"):
        await run(store, clock, insert)
    assert store.released == [False]


async def test_parallel_counted_positions_resume_over_spans(clock):
    store = FakeStore()

    async def handler(tx, batch):
        tx.insert(batch.records)
        await asyncio.sleep(1 if batch.first_position != 3 else 1000)

    source = source_of(store, 20)
    task = asyncio.create_task(_counted(store, clock, handler, source))
    await asyncio.sleep(50)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.progress.position == 2
    assert len(store.progress.ahead) > 1
    await _counted(store, clock, insert, source)
    check_whole(store, 20)


async def _counted(store, clock, handler, source):
    async with step_of(store, clock) as step:
        await step.for_each(source, handler, concurrency=3)


async def test_parallel_stopped_says_what_is_committed_once_all_lanes_are_done(clock):
    store = FakeStore()

    async def handler(tx, batch):
        await asyncio.sleep(batch.first_position)
        tx.insert(batch.records)

    async with step_of(store, clock) as step:
        asyncio.get_running_loop().call_later(2, step.stop)
        with pytest.raises(ShutdownError, match="position 8 is saved") as caught:
            await step.for_each(source_of(store, 20), handler, position=lambda n: n, concurrency=3)
    assert not getattr(caught.value, "__notes__", None)
    assert sorted(store.rows) == list(range(1, 9))
    assert store.progress.ahead == ()


async def test_parallel_failure_is_told_before_a_stop(clock):
    store = FakeStore()

    async def handler(tx, batch):
        await asyncio.sleep(3)
        if batch.first_position == 3:
            raise ValueError("batch 3")

    async with step_of(store, clock) as step:
        asyncio.get_running_loop().call_later(2, step.stop)
        with pytest.raises(ValueError, match="batch 3"):
            await step.for_each(source_of(store, 20), handler, position=lambda n: n, concurrency=3)
