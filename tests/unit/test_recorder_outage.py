"""The writer while its store is slow, frozen or gone: waiting is bounded, nobody is held."""

import asyncio
import time

import pytest

from seawall.events import EventBus
from seawall.recorder import Recorder


class Store:
    """Takes 10 ms a write; frozen, or out of reach, where told."""

    def __init__(self):
        self.rows, self.state, self.thawed = [], "up", asyncio.Event()

    async def write(self, rows):
        if self.state == "frozen":
            await self.thawed.wait()
        await asyncio.sleep(0.01)
        if self.state == "away":
            raise ConnectionError("the server is away")
        if any(row == ("bad",) for _, row in rows):
            raise ValueError("a row is bad")
        self.rows += rows

    def is_about_a_row(self, error):
        return isinstance(error, ValueError)

    def is_out_of_reach(self, error):
        return isinstance(error, ConnectionError)


class Outage:
    def __init__(self):
        self.is_on, self.kept, self.reasons = False, [], []

    async def keep(self, rows, reason):
        await asyncio.sleep(0.001)
        self.is_on = True
        self.kept += rows
        self.reasons.append(reason)


class Made:
    def __init__(self):
        self.store, self.outage = Store(), Outage()
        self.recorder = Recorder(self.store, outage=self.outage, patience=1.0)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.recorder.run())
        return self

    async def __aexit__(self, *exc):
        self.task.cancel()
        await asyncio.wait([self.task])

    async def seconds(self, name):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.recorder.put([("t", (name,))])
        return loop.time() - began


async def test_put_into_a_frozen_store_is_in_the_journal_after_a_second_and_then_at_once():
    async with Made() as made:
        made.store.state = "frozen"
        first = asyncio.create_task(made.seconds("first"))
        await asyncio.sleep(0.9)
        late = asyncio.create_task(made.seconds("late"))  # waits behind the first one's write
        assert 0.9 < await first <= 1.05
        assert await late <= 1.05
        assert await made.seconds("after") <= 0.01
        assert made.store.rows == []
        assert [row for _, (row,) in made.outage.kept] == ["first", "late", "after"]
        assert "no answer within" in made.outage.reasons[0]


async def test_put_with_the_store_back_goes_there_while_an_old_write_still_hangs():
    async with Made() as made:
        made.store.state = "frozen"
        await made.seconds("first")
        made.store.state, made.outage.is_on = "up", False
        assert await made.seconds("second") < 0.1
        assert made.store.rows == [("t", ("second",))]
        made.store.thawed.set()
        await asyncio.sleep(0.1)
        assert ("t", ("first",)) in made.store.rows  # in both: its key makes it one row


async def test_put_telemetry_alone_in_a_frozen_write_holds_nobody():
    async with Made() as made:
        made.store.state = "frozen"
        made.recorder.offer("t", ("telemetry",))
        await asyncio.sleep(0.5)
        assert await made.seconds("durable") <= 1.1
        assert made.recorder.losses.dropped == 1


async def test_put_store_that_is_gone_is_told_at_once():
    async with Made() as made:
        made.store.state = "away"
        assert await made.seconds("first") < 0.1
        assert made.outage.reasons == ["the server is away"]


async def test_put_refused_row_is_no_outage():
    async with Made() as made:
        results = await asyncio.gather(
            *(made.seconds(name) for name in ["a", "bad", "b"]), return_exceptions=True
        )
        assert [isinstance(each, ValueError) for each in results] == [False, True, False]
        assert made.outage.kept == []


@pytest.mark.real_time
async def test_put_loop_that_was_blocked_is_no_outage():
    async with Made() as made:
        waiting = asyncio.create_task(made.seconds("first"))
        await asyncio.sleep(0.005)
        time.sleep(1.2)  # somebody's plain function
        await waiting
        assert made.outage.kept == []
        assert made.store.rows == [("t", ("first",))]


async def test_telemetry_that_is_lost_is_told_once_a_second(caplog):
    made = Made()
    bus, heard = EventBus(), []
    bus.subscribe(heard.append)
    made.recorder = Recorder(made.store, outage=made.outage, patience=1.0, bus=bus)
    async with made:
        made.outage.is_on = True
        for n in range(50):
            made.recorder.offer("t", (n,))
            await asyncio.sleep(0.1)
    assert made.recorder.losses.dropped == 50
    assert 4 <= len(heard) <= 6
    assert 40 <= sum(event.count for event in heard) <= 50
    assert len([record for record in caplog.records if "rows lost" in record.message]) <= 6


async def test_attempt_of_many_rows_is_bounded_and_ends_with_the_recorder():
    made = Made()
    async with made:
        made.store.state = "frozen"
        error = await made.recorder.attempt(made.store.write([("t", (1,))]), 0.5)
        assert isinstance(error, ConnectionError)
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
