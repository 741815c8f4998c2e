"""The commit-sharing writer on a fake store and virtual time."""

import asyncio

import pytest

from seawall.events import (
    BreakerTransition,
    EventBus,
    RetryExhausted,
    RetryScheduled,
    RetrySucceeded,
)
from seawall.recorder import COLUMNS, Recorder


class Store:
    """Takes rows after a second; refuses transactions that hold a row named 'bad'."""

    def __init__(self, seconds=1.0, down=False):
        self.writes, self.seconds, self.down = [], seconds, down

    async def write(self, rows):
        await asyncio.sleep(self.seconds)
        if self.down:
            raise ConnectionError("the server is away")
        if any(row == ("bad",) for _, row in rows):
            raise ValueError("a row is bad")
        self.writes.append([row[0] for _, row in rows])

    def is_about_a_row(self, error):
        return isinstance(error, ValueError)


class Running:
    def __init__(self, recorder):
        self.recorder = recorder

    async def __aenter__(self):
        self.task = asyncio.create_task(self.recorder.run())
        return self.recorder

    async def __aexit__(self, *exc):
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_recorder_concurrent_puts_share_writes():
    store = Store()
    async with Running(Recorder(store)) as recorder:
        await asyncio.gather(*(recorder.put([("t", (n,))]) for n in range(100)))
    assert len(store.writes) <= 2
    assert sorted(sum(store.writes, [])) == list(range(100))


async def test_recorder_goes_on_when_all_that_waited_were_cancelled():
    store = Store()
    recorder = Recorder(store)
    gone = asyncio.create_task(recorder.put([("t", ("gone",))]))
    await asyncio.sleep(0)  # it is in the queue
    gone.cancel()
    await asyncio.wait([gone])
    async with Running(recorder):
        await asyncio.sleep(1)
        await recorder.put([("t", ("next",))])
        await recorder.flush()
    assert store.writes == [["next"]]


async def test_recorder_refused_row_fails_its_own_caller_only():
    store = Store()
    async with Running(Recorder(store)) as recorder:
        names = ["a", "b", "bad", "c", "bad", "d"]
        results = await asyncio.gather(
            *(recorder.put([("t", (name,))]) for name in names), return_exceptions=True
        )
    assert [isinstance(result, ValueError) for result in results] == [n == "bad" for n in names]
    assert sorted(sum(store.writes, [])) == ["a", "b", "c", "d"]


async def test_recorder_rows_of_one_put_stand_and_fall_together():
    store = Store()
    async with Running(Recorder(store)) as recorder:
        with pytest.raises(ValueError, match="a row is bad"):
            await recorder.put([("t", ("good",)), ("t", ("bad",))])
    assert store.writes == []


async def test_recorder_offer_beyond_the_bound_is_dropped_and_counted():
    recorder = Recorder(Store(), bound=3)
    for n in range(5):
        recorder.offer("t", (n,))
    assert recorder.losses.dropped == 2


async def test_recorder_put_beyond_the_bound_waits_for_room():
    store = Store()
    recorder = Recorder(store, bound=2)
    recorder.offer("t", (0,))
    recorder.offer("t", (1,))
    waiting = asyncio.create_task(recorder.put([("t", (2,))]))
    await asyncio.sleep(10)
    assert not waiting.done()
    async with Running(recorder):
        await waiting
    assert sorted(sum(store.writes, [])) == [0, 1, 2]


async def test_recorder_flush_waits_for_what_was_given():
    store = Store()
    async with Running(Recorder(store)) as recorder:
        for n in range(3):
            recorder.offer("t", (n,))
        await recorder.flush()
        assert sum(store.writes, []) == [0, 1, 2]
        await recorder.flush()


async def test_recorder_away_database_fails_puts_and_counts_telemetry():
    async with Running(Recorder(Store(down=True))) as recorder:
        recorder.offer("t", (1,))
        with pytest.raises(ConnectionError, match="away"):
            await recorder.put([("t", (2,))])
        await recorder.flush()
    assert recorder.losses.dropped == 1


async def test_recorder_stopped_tells_those_who_wait():
    recorder = Recorder(Store(seconds=100))
    async with Running(recorder):
        first = asyncio.create_task(recorder.put([("t", (1,))]))
        await asyncio.sleep(1)
        second = asyncio.create_task(recorder.put([("t", (2,))]))
        await asyncio.sleep(1)
    for each in (first, second):
        with pytest.raises(ConnectionError, match="recorder was stopped"):
            await each


async def test_recorder_cancelled_caller_loses_nothing_of_others():
    store = Store()
    async with Running(Recorder(store)) as recorder:
        doomed = asyncio.create_task(recorder.put([("t", ("doomed",))]))
        other = asyncio.create_task(recorder.put([("t", ("other",))]))
        await asyncio.sleep(0.5)
        doomed.cancel()
        await other
    assert "other" in sum(store.writes, [])


def test_recorder_events_become_rows_of_their_tables():
    told = []
    recorder = Recorder(Store())
    recorder.offer = lambda table, row: told.append((table, row))
    bus = EventBus()
    bus.subscribe(recorder.hear)
    common = {"operation": "f", "attempt": 1, "elapsed_seconds": 0.5}
    failure = {
        "error_type": "transient",
        "exception_type": "OSError",
        "message": "password=hunter2\x00",
    }
    bus.emit(RetryScheduled(wait_seconds=1.0, **common, **failure))
    bus.emit(RetrySucceeded(**common))
    bus.emit(RetryExhausted(stop_reason="deadline", **common, **failure))
    bus.emit(
        BreakerTransition(
            service_name="s", from_state="closed", to_state="open", epoch=1, reason="x"
        )
    )
    assert [table for table, _ in told] == ["retry_attempts"] * 3 + ["circuit_breaker_transitions"]
    for table, row in told:
        assert len(row) == len(COLUMNS[table])
        assert "hunter2" not in repr(row)
        assert "\x00" not in repr(row)
