"""A step's life: opened, worked through, stopped, taken over, left; whatever fails on the way."""

import asyncio
import signal
import threading

import pytest

from seawall import CheckpointError, InvalidConfigError, StaleRunError
from seawall.checkpoint import Progress, Rejection, Step, StepKey, StepOptions, Tolerance
from seawall.checkpoint.model import Span, Suspicion
from seawall.checkpoint.strategy import CheckpointStrategy
from seawall.errors import ShutdownError
from seawall.events import BatchCommitted, BatchStuck, EventBus, LeaseLost
from seawall.records import Malformed
from seawall.scope import current_scope
from support.fake_checkpoints import FakeStore

KEY = StepKey("r", "load")


def step_of(store, clock, bus=None, **options):
    given = {"bus": bus} if bus is not None else {}
    return Step(store, KEY, StepOptions(**{"size": 2, **options}), clock=clock, **given)


def listening(*types):
    bus, heard = EventBus(), []
    bus.subscribe(lambda event: heard.append(event) if isinstance(event, types) else None)
    return bus, heard


async def insert(tx, batch):
    tx.insert(batch.records)


def tasks_now():
    return {task for task in asyncio.all_tasks() if not task.done()}


# -- opening ---------------------------------------------------------------------------------


async def test_step_opening_that_fails_half_way_gives_everything_back(clock):
    """The lease was taken: it must not stay with a step that nobody has."""
    store, before = FakeStore(), tasks_now()

    step = step_of(store, clock, tolerance=Tolerance(reasons={"23505": 1}))
    store_open = store.open

    async def open_broken(key, request):
        session = await store_open(key, request)

        async def broken(keys):
            raise OSError("cut")

        session.quarantined_for = broken
        return session

    store.open = open_broken
    with pytest.raises(OSError, match="cut"):
        async with step:
            raise AssertionError
    assert store.released == [False]
    assert store.sessions[0].closed
    assert tasks_now() == before
    assert current_scope.get().run_id is None


async def test_step_refused_at_opening_leaves_no_scope(clock):
    store = FakeStore()

    async def refused(key, request):
        raise CheckpointError("no")

    store.open = refused
    with pytest.raises(CheckpointError):
        async with step_of(store, clock):
            raise AssertionError
    assert current_scope.get().run_id is None


@pytest.mark.real_time
def test_step_that_handles_signals_outside_the_main_thread_is_refused():
    store, errors = FakeStore(), []

    async def main():
        async with Step(store, KEY, StepOptions(handle_signals=True)):
            raise AssertionError

    def work():
        try:
            asyncio.run(main())
        except InvalidConfigError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])
    assert store.released == [False]
    assert store.sessions[0].closed


async def test_step_opened_again_is_an_error(clock):
    step = step_of(FakeStore(), clock)
    async with step:
        pass
    with pytest.raises(CheckpointError, match="opened once"):
        async with step:
            pass


async def test_step_not_opened_says_so(clock):
    step = step_of(FakeStore(), clock)
    with pytest.raises(CheckpointError, match="open the checkpoint first"):
        step.batches([1])


# -- leaving ---------------------------------------------------------------------------------


async def test_step_left_by_an_exception_gives_it_to_the_caller_as_it_is(clock):
    store = FakeStore()

    async def unreachable():
        raise OSError("the server is away")

    store.on_release = unreachable
    with pytest.raises(KeyError, match="mine"):
        async with step_of(store, clock):
            raise KeyError("mine")
    assert store.sessions[0].closed


async def test_step_whose_lease_could_not_be_given_back_says_so(clock):
    store = FakeStore()

    async def unreachable():
        raise OSError("the server is away")

    store.on_release = unreachable
    with pytest.raises(OSError, match="away"):
        async with step_of(store, clock):
            pass
    assert store.sessions[0].closed


async def test_step_cancelled_gives_its_lease_back(clock):
    store, before = FakeStore(), tasks_now()
    inside = asyncio.Event()

    async def work():
        async with step_of(store, clock):
            inside.set()
            await asyncio.sleep(1000)

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.released == [False]
    assert store.sessions[0].closed
    assert tasks_now() <= before | {task}


async def test_step_whose_source_is_cancelled_is_not_finished(clock):
    """A source that awaits something cancelled has not ended: it was cut off."""

    async def source():
        yield 1
        yield 2
        yield 3
        other = asyncio.create_task(asyncio.sleep(1000))
        asyncio.get_running_loop().call_soon(other.cancel)
        await other

    store = FakeStore()
    with pytest.raises(CheckpointError, match="cut off by CancelledError"):
        async with step_of(store, clock) as step:
            await step.for_each(source(), insert)
    assert store.released == [False]
    assert store.progress.position == 2


async def test_step_batches_left_early_is_not_finished(clock):
    store = FakeStore()
    async with step_of(store, clock) as step:
        async for batch in step.batches([1, 2, 3, 4]):
            async with batch.transaction() as tx:
                tx.insert(batch.records)
            break
    assert store.released == [False]
    assert store.progress.position == 2


async def test_step_timeout_while_waiting_for_a_batch_loses_nothing(clock):
    """Also in the middle of a span that an earlier process has done."""

    async def source():
        for n in range(1, 10):
            await asyncio.sleep(1)
            yield n

    store = FakeStore(Progress(ahead=(Span(first=2, last=6, done=True),)))
    store.rows = [2, 3, 4, 5, 6]
    async with step_of(store, clock) as step:
        batches = step.batches(source(), position=lambda n: n)
        while True:
            try:
                batch = await asyncio.wait_for(anext(batches), 1.3)
            except TimeoutError:
                continue
            except StopAsyncIteration:
                break
            async with batch.transaction() as tx:
                tx.insert(batch.records)
    assert sorted(store.rows) == list(range(1, 10))
    assert store.progress.position == 9


# -- stopping ----------------------------------------------------------------------------------


async def test_step_stopped_finishes_the_batch_in_flight(clock):
    store = FakeStore()

    async def handler(tx, batch):
        await asyncio.sleep(10)
        tx.insert(batch.records)

    with pytest.raises(
        ShutdownError, match=r"stopped by SIGTERM: .*committed; position 2 is saved"
    ):
        async with step_of(store, clock) as step:
            asyncio.get_running_loop().call_later(3, step.stop, "SIGTERM")
            await step.for_each([1, 2, 3, 4], handler)
    assert store.rows == [1, 2]
    assert store.released == [False]


async def test_step_stopped_beyond_its_grace_rolls_back_and_says_so(clock):
    store = FakeStore()

    async def handler(tx, batch):
        tx.insert(batch.records)
        await asyncio.sleep(1000 if batch.first_position == 3 else 1)

    started = clock.monotonic()
    with pytest.raises(ShutdownError, match="in flight was rolled back; position 2 is saved"):
        async with step_of(store, clock, grace_seconds=5) as step:
            asyncio.get_running_loop().call_later(3, step.stop)
            await step.for_each([1, 2, 3, 4], handler)
    assert clock.monotonic() - started < 9
    assert store.rows == [1, 2]
    assert not store.open_units
    assert store.released == [False]


async def test_step_cut_off_in_its_commit_says_that_it_is_committed(clock):
    store = FakeStore()

    async def slow(unit, progress):
        await asyncio.sleep(20)

    store.on_commit = slow
    with pytest.raises(ShutdownError, match="all that was begun is committed; position 2"):
        async with step_of(store, clock, grace_seconds=5) as step:
            asyncio.get_running_loop().call_later(3, step.stop)
            await step.for_each([1, 2, 3, 4], insert)
    assert store.rows == [1, 2]


async def test_step_stopped_ends_a_wait_for_a_silent_source(clock):
    async def source():
        yield 1
        await asyncio.sleep(10_000)

    store = FakeStore()
    started = clock.monotonic()
    with pytest.raises(ShutdownError):
        async with step_of(store, clock) as step:
            asyncio.get_running_loop().call_later(3, step.stop)
            await step.for_each(source(), insert)
    assert clock.monotonic() - started < 4


@pytest.mark.parametrize("moment", [7, 8])
async def test_step_stopped_and_cancelled_ends_as_cancelled(clock, moment):
    """Whoever cancels the task is not told of a shutdown in its place."""
    store = FakeStore()

    async def handler(tx, batch):
        await asyncio.sleep(1000)

    async def work():
        async with step_of(store, clock, grace_seconds=5) as step:
            asyncio.get_running_loop().call_later(3, step.stop)
            await step.for_each([1, 2, 3, 4], handler)

    task = asyncio.create_task(work())
    await asyncio.sleep(moment)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.released == [False]


async def test_step_error_of_the_block_is_not_hidden_by_the_end_of_its_grace(clock):
    store = FakeStore()

    async def handler(tx, batch):
        try:
            await asyncio.sleep(1000)
        finally:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        async with step_of(store, clock, grace_seconds=5) as step:
            asyncio.get_running_loop().call_later(3, step.stop)
            await step.for_each([1, 2, 3, 4], handler)


async def test_step_stopped_after_its_end_harms_nobody(clock):
    async with step_of(FakeStore(), clock, grace_seconds=1) as step:
        pass
    step.stop()
    await asyncio.sleep(5)


@pytest.mark.real_time
async def test_step_signal_handlers_are_put_back():
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    async with Step(FakeStore(), KEY, StepOptions(handle_signals=True)):
        async with Step(FakeStore(), KEY, StepOptions(handle_signals=True)):
            assert signal.getsignal(signal.SIGTERM) != before[0]
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.real_time
async def test_step_signal_stops_every_step_of_the_process():
    ended = []

    async def work(name):
        try:
            async with Step(FakeStore(), KEY, StepOptions(handle_signals=True)) as step:
                await step.for_each(forever(), insert)
        except ShutdownError as error:
            ended.append((name, "SIGTERM" in str(error)))

    async def forever():
        started.set()
        await asyncio.Event().wait()
        yield

    started = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work("a"))
        tasks.create_task(work("b"))
        await started.wait()
        await asyncio.sleep(0)
        signal.raise_signal(signal.SIGTERM)
    assert sorted(ended) == [("a", True), ("b", True)]


# -- the lease -----------------------------------------------------------------------------------


async def test_step_renews_its_lease_while_a_batch_works(clock):
    store = FakeStore()

    async def handler(tx, batch):
        await asyncio.sleep(100)
        tx.insert(batch.records)

    async with step_of(store, clock, lease_seconds=30) as step:
        await step.for_each([1, 2], handler)
    assert 9 <= store.renewals <= 11


async def test_step_taken_over_hears_of_it_and_can_commit_nothing(clock):
    store = FakeStore()
    bus, heard = listening(LeaseLost)

    async def handler(tx, batch):
        store.fence += 1
        await asyncio.sleep(30)
        assert len(heard) == 1  # by the renewal, in the middle of the batch
        tx.insert(batch.records)

    with pytest.raises(StaleRunError):
        async with step_of(store, clock, bus, lease_seconds=30) as step:
            await step.for_each([1, 2, 3], handler)
    assert store.rows == []
    assert store.released == []  # it is another's
    assert len(heard) == 1


async def test_step_taken_over_hears_of_it_by_its_commit(clock):
    store = FakeStore()
    bus, heard = listening(LeaseLost)
    async with step_of(store, clock, bus) as step:
        batches = step.batches([1, 2, 3])
        batch = await anext(batches)
        store.fence += 1
        for _ in range(2):
            with pytest.raises(StaleRunError):
                async with batch.transaction() as tx:
                    tx.insert(batch.records)
        with pytest.raises(StaleRunError):
            await anext(batches)
    assert len(heard) == 1
    assert store.rows == []


async def test_step_taken_over_hears_of_it_before_a_suspected_record(clock):
    store = FakeStore(Progress(suspicion=Suspicion(size=1, rows=3)))
    bus, heard = listening(LeaseLost)
    with pytest.raises(StaleRunError):
        async with step_of(store, clock, bus) as step:
            store.fence += 1
            await step.for_each([1, 2], insert)
    assert len(heard) == 1
    assert store.attempts == 0
    assert store.released == []


# -- acknowledgement -----------------------------------------------------------------------------


async def acknowledged(store, clock, sink, source=(1, 2, 3, 4), bus=None, **options):
    done = store.progress.position or 0
    async with step_of(store, clock, bus, **options) as step:
        async for batch in step.batches(list(source)[done:]):
            async with batch.acknowledge() as ack:
                await sink(batch, ack)


async def test_acknowledge_is_announced_before_the_sink_is_called(clock):
    store, seen = FakeStore(), []

    async def sink(batch, ack):
        seen.append((batch.id, list(batch.records), store.progress.ahead))

    await acknowledged(store, clock, sink)
    assert [each[2] for each in seen] == [
        (Span(first=1, last=2, done=False),),
        (Span(first=3, last=4, done=False),),
    ]
    assert store.progress.position == 4
    assert store.progress.counters.batch_count == 2
    assert store.progress.counters.read_count == 4


@pytest.mark.parametrize("options", [{"size": 1}, {"size": 3}, {"size": 100}])
async def test_acknowledge_comes_again_as_it_was(clock, options):
    """The same id and the same records after a restart, whatever the batches are cut by now."""
    store, seen = FakeStore(), []

    async def fails(batch, ack):
        seen.append((batch.id, list(batch.records)))
        if batch.first_position == 3:
            raise OSError("sink")

    with pytest.raises(OSError, match="sink"):
        await acknowledged(store, clock, fails, range(1, 10))
    await acknowledged(store, clock, keep(seen), range(1, 10), **options)
    assert seen[1] == seen[2]
    assert seen[1][1] == [3, 4]
    assert sorted({n for _, records in seen for n in records}) == list(range(1, 10))


def keep(seen):
    async def sink(batch, ack):
        seen.append((batch.id, list(batch.records)))

    return sink


async def test_acknowledge_cut_by_time_comes_again_as_it_was(clock):
    store, seen = FakeStore(), []

    async def source():
        yield 1
        yield 2
        yield 3
        await asyncio.sleep(60)
        yield 4

    async def work(sink):
        async with step_of(store, clock, size=10, interval=5) as step:
            async for batch in step.batches(source()):
                async with batch.acknowledge():
                    await sink(batch)

    async def dies(batch):
        seen.append((batch.id, list(batch.records)))
        raise OSError

    async def takes(batch):
        seen.append((batch.id, list(batch.records)))

    with pytest.raises(OSError):
        await work(dies)
    await work(takes)
    assert seen[0] == seen[1]
    assert [records for _, records in seen] == [[1, 2, 3], [1, 2, 3], [4]]


async def test_acknowledge_reject_quarantines_what_the_sink_refused(clock):
    store = FakeStore()

    async def sink(batch, ack):
        ack.reject(1, "refused by the sink")
        with pytest.raises(CheckpointError, match="index=2"):
            ack.reject(2, "none such")

    def transform(n):
        if n == 3:
            raise ValueError("three")
        return n * 10

    async with step_of(store, clock, size=3) as step:
        async for batch in step.batches([1, 2, 3], transform=transform):
            assert batch.records == [10, 20]
            async with batch.acknowledge() as ack:
                await sink(batch, ack)
    assert [(r.reason, payload, position) for r, payload, position in store.quarantined] == [
        ("ValueError: three", 3, 3),
        ("refused by the sink", 2, 2),
    ]
    assert store.progress.counters.skip_count == 2
    assert store.progress.counters.write_count == 1


async def test_acknowledge_malformed_records_are_quarantined_as_bytes(clock):
    class Source:
        async def chunks(self, after):
            yield [(1, {"a": 1}), (2, Malformed(b"\xff", "not UTF-8")), (3, {"a": 3})]

        def fraction(self, position):
            return None

    store, seen = FakeStore(), []
    async with step_of(store, clock, size=3) as step:
        async for batch in step.batches(Source()):
            async with batch.acknowledge():
                seen += batch.records
    assert seen == [{"a": 1}, {"a": 3}]
    ((rejection, payload, position),) = store.quarantined
    assert (rejection.reason, payload, position) == ("not UTF-8", b"\xff", 2)


async def test_acknowledge_after_a_takeover_is_not_saved(clock):
    store = FakeStore()
    with pytest.raises(StaleRunError):
        async with step_of(store, clock) as step:
            async for batch in step.batches([1, 2]):
                async with batch.acknowledge():
                    store.fence += 1
    assert store.progress.position is None


async def test_acknowledge_that_could_not_be_announced_is_not_at_work(clock):
    store = FakeStore()
    bus, heard = listening(BatchStuck)

    async def refuse(unit, progress):
        raise OSError("no")

    store.on_commit = refuse
    async with step_of(store, clock, bus, stuck_seconds=30) as step:
        batch = await anext(step.batches([1, 2]))
        with pytest.raises(OSError, match="no"):
            async with batch.acknowledge():
                raise AssertionError
        await asyncio.sleep(100)
    assert heard == []
    assert not store.open_units


async def test_acknowledge_is_timed_over_all_of_its_block(clock):
    """An adaptive size and the events go by the sink's time, not by that of the last save."""
    store = FakeStore()
    bus, heard = listening(BatchCommitted)

    async def sink(batch, ack):
        await asyncio.sleep(7)

    await acknowledged(store, clock, sink, bus=bus)
    assert all(7 <= each.elapsed_seconds < 8 for each in heard)
    assert len(heard) == 2


async def test_acknowledge_stuck_sink_is_reported_also_after_a_restart(clock):
    store = FakeStore(Progress(ahead=(Span(first=1, last=2, done=False),)))
    bus, heard = listening(BatchStuck)

    async def slow_sink(batch, ack):
        await asyncio.sleep(100)

    await acknowledged(store, clock, slow_sink, [1, 2], bus=bus, stuck_seconds=30)
    (event,) = heard
    assert 30 <= event.elapsed_seconds < 50
    assert "slow_sink" in event.where or "sleep" in event.where


async def test_acknowledge_record_alone_under_suspicion_is_written_down_before_the_sink(clock):
    store = FakeStore(
        Progress(ahead=(Span(first=1, last=1, done=False),), suspicion=Suspicion(size=1, rows=1))
    )
    attempts = []

    async def sink(batch, ack):
        attempts.append(store.attempts)

    await acknowledged(store, clock, sink, [1, 2])
    assert attempts[0] == 1


# -- what is watched -----------------------------------------------------------------------------


async def test_watch_reports_a_stuck_batch_once_with_its_place(clock):
    store = FakeStore()
    bus, heard = listening(BatchStuck)

    async def hangs_in_the_sink(tx, batch):
        await asyncio.sleep(1000)

    async with step_of(store, clock, bus, stuck_seconds=60) as step:
        await step.for_each([1, 2], hangs_in_the_sink)
    (event,) = heard
    assert 60 <= event.elapsed_seconds <= 80
    assert event.batch_id == KEY.batch_id(1)
    assert event.where


async def test_watch_forgets_a_batch_that_failed(clock):
    """One that was refused is not at work any more."""
    store = FakeStore()
    bus, heard = listening(BatchStuck)

    def transform(n):
        raise ValueError("all bad")

    async with step_of(store, clock, bus, stuck_seconds=60, tolerance=Tolerance(count=0)) as step:
        batch = await anext(step.batches([1, 2], transform=transform))
        with pytest.raises(Exception, match="tolerated"):
            async with batch.transaction():
                pass
        await asyncio.sleep(200)
    assert heard == []
    assert not store.open_units


async def test_progress_is_told_after_each_commit_with_an_estimate(clock):
    store, told = FakeStore(), []

    async def handler(tx, batch):
        await asyncio.sleep(2)

    async with step_of(store, clock, total=8, on_progress=told.append) as step:
        await step.for_each(list(range(1, 9)), handler)
    assert [each.fraction for each in told] == [0.25, 0.5, 0.75, 1.0]
    assert [round(each.remaining_seconds) for each in told] == [6, 4, 2, 0]
    assert told[1].counters.read_count == 4
    assert told[1].rows_per_second == pytest.approx(1.0, rel=0.01)
    assert told[1].position == 4


async def test_progress_of_a_resumed_step_counts_what_was_done_before(clock):
    from seawall.checkpoint import Counters

    store, told = FakeStore(Progress(position=6, counters=Counters(6, 6, 0, 3, 0))), []

    async def handler(tx, batch):
        await asyncio.sleep(2)

    async with step_of(store, clock, total=10, on_progress=told.append) as step:
        await step.for_each([7, 8, 9, 10], handler)
    assert [each.fraction for each in told] == [0.8, 1.0]
    assert round(told[0].remaining_seconds) == 2


async def test_progress_callback_that_raises_harms_nobody(clock, caplog):
    store = FakeStore()

    def broken(progress):
        raise RuntimeError("progress bar")

    async with step_of(store, clock, on_progress=broken) as step:
        await step.for_each([1, 2, 3], insert)
    assert store.rows == [1, 2, 3]
    assert "on_progress failed" in caplog.text


async def test_progress_fraction_comes_from_a_source_that_knows(clock):
    class Source:
        async def chunks(self, after):
            yield [(n, n) for n in range(1, 5)]

        def fraction(self, position):
            return position / 4

    store, told = FakeStore(), []
    async with step_of(store, clock, on_progress=told.append) as step:
        await step.for_each(Source(), insert)
    assert [each.fraction for each in told] == [0.5, 1.0]


# -- poison --------------------------------------------------------------------------------------


async def test_suspected_batches_are_small_until_they_are_behind(clock):
    store, sizes = FakeStore(Progress(suspicion=Suspicion(size=2, rows=5))), []

    async def handler(tx, batch):
        sizes.append(len(batch))

    async with step_of(store, clock, size=10) as step:
        await step.for_each(list(range(1, 20)), handler, concurrency=4)
    assert sizes == [2, 2, 2, 10, 3]


async def test_suspected_record_that_killed_its_workers_is_set_aside_unseen(clock):
    store, seen = FakeStore(Progress(suspicion=Suspicion(size=1, rows=3, deaths=3))), []
    store.set_aside_first = True

    async def handler(tx, batch):
        seen.extend(batch.records)

    def transform(n):
        assert n != 1, "looked at"
        return n

    async with step_of(store, clock, size=10) as step:
        await step.for_each([1, 2, 3, 4, 5], handler, transform=transform)
    assert seen == [2, 3, 4, 5]
    ((rejection, payload, position),) = store.quarantined
    assert (payload, position) == (1, 1)
    assert "its worker died" in rejection.reason


async def test_suspected_record_retried_in_one_process_is_attempted_once(clock):
    """A failure that the process outlives is no death."""
    store, failures = FakeStore(Progress(suspicion=Suspicion(size=1, rows=1))), iter([1, 1, 0])

    async def handler(tx, batch):
        if next(failures, 0):
            raise OSError("again")

    async def retrying(work):
        while True:
            try:
                return await work()
            except OSError:
                continue

    async with step_of(store, clock, retrying=retrying) as step:
        await step.for_each([1], handler)
    assert store.attempts == 1


# -- strategies ----------------------------------------------------------------------------------


async def collect(store, clock, source, **options):
    sizes = []

    async def handler(tx, batch):
        sizes.append(list(batch.records))

    async with step_of(store, clock, **options) as step:
        await step.for_each(source, handler)
    return sizes


async def agen(records):
    for record in records:
        yield record


class Positioned:
    def __init__(self, records):
        self._records = records

    async def chunks(self, after):
        for record in self._records:
            yield [(record, record)]

    def fraction(self, position):
        return None


KINDS = [list, agen, Positioned]


@pytest.mark.parametrize("kind", KINDS)
async def test_strategy_rows(clock, kind):
    got = await collect(
        FakeStore(), clock, kind(range(7)), strategy=CheckpointStrategy.every_rows(3)
    )
    assert got == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize("kind", KINDS)
async def test_strategy_predicate_ends_a_batch_behind_its_record(clock, kind):
    strategy = CheckpointStrategy.when(lambda n: n % 3 == 1, rows=100)
    got = await collect(FakeStore(), clock, kind(range(6)), strategy=strategy)
    assert got == [[0, 1], [2, 3, 4], [5]]


async def test_strategy_predicate_never_passes_the_rows(clock):
    strategy = CheckpointStrategy.when(lambda n: False, rows=4)
    assert await collect(FakeStore(), clock, list(range(6)), strategy=strategy) == [
        [0, 1, 2, 3],
        [4, 5],
    ]


@pytest.mark.parametrize("positioned", [False, True])
async def test_strategy_seconds_flushes_a_slow_source(clock, positioned):
    async def slow():
        for n in range(1, 7):
            await asyncio.sleep(4)
            yield n

    class Source:
        async def chunks(self, after):
            async for n in slow():
                yield [(n, n)]

        def fraction(self, position):
            return None

    strategy = CheckpointStrategy.every_seconds(9)
    source = Source() if positioned else slow()
    got = await collect(FakeStore(), clock, source, strategy=strategy, size=1000)
    assert [n for batch in got for n in batch] == [1, 2, 3, 4, 5, 6]
    assert all(1 < len(batch) <= 3 for batch in got)


@pytest.mark.parametrize("kind", [list, agen])
async def test_strategy_every_batch_takes_the_sources_own(clock, kind):
    got = await collect(
        FakeStore(),
        clock,
        kind([[1, 2, 3], [], [4], (5, 6)]),
        strategy=CheckpointStrategy.every_batch(),
    )
    assert [list(batch) for batch in got] == [[1, 2, 3], [4], [5, 6]]


async def test_strategy_every_batch_of_single_records_is_an_error(clock):
    with pytest.raises(CheckpointError, match="gave int"):
        await collect(FakeStore(), clock, [1, 2], strategy=CheckpointStrategy.every_batch())


async def test_strategy_adaptive_follows_the_time_within_its_bounds(clock):
    """A hundred records take a second: the size goes towards what takes two."""
    sizes = []

    async def handler(tx, batch):
        sizes.append(len(batch))
        await asyncio.sleep(len(batch) / 100)

    strategy = CheckpointStrategy.adaptive(2.0, smallest=10, largest=150, rows=40)
    store = FakeStore()
    async with step_of(store, clock, strategy=strategy) as step:
        await step.for_each(list(range(3000)), handler)
    assert sizes[0] == 40
    assert sizes[:6] == sorted(sizes[:6])
    assert sizes[-3] == 150
    sizes.clear()
    strategy = CheckpointStrategy.adaptive(0.001, smallest=10, largest=150, rows=40)
    async with step_of(FakeStore(), clock, strategy=strategy) as step:
        await step.for_each(list(range(500)), handler)
    assert sizes[-2] == 10


async def test_strategy_may_change_over_a_restart(clock):
    store = FakeStore()

    async def dies(tx, batch):
        tx.insert(batch.records)
        if batch.first_position > 4:
            raise OSError

    with pytest.raises(OSError):
        async with step_of(store, clock, strategy=CheckpointStrategy.every_rows(2)) as step:
            await step.for_each(list(range(1, 10)), dies, position=lambda n: n)
    async with step_of(
        store, clock, strategy=CheckpointStrategy.when(lambda n: n == 7, rows=100)
    ) as step:
        await step.for_each(list(range(5, 10)), insert, position=lambda n: n)
    assert store.rows == list(range(1, 10))


# -- tolerance -----------------------------------------------------------------------------------


async def test_tolerance_counts_what_an_earlier_process_has_set_aside(clock):
    from seawall.checkpoint import Counters

    store = FakeStore(Progress(position=2, counters=Counters(2, 0, 2, 1, 0)))

    async def handler(tx, batch):
        await tx.reject([Rejection(index=0, reason="bad")], batch.records)

    with pytest.raises(Exception, match="more than the tolerated 2"):
        async with step_of(store, clock, tolerance=Tolerance(count=2)) as step:
            await step.for_each([3, 4], handler)
    assert store.progress.position == 2
    assert store.quarantined == []
