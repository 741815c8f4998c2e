"""Each step tells of its end once, streaming or not."""

import asyncio

import pytest

from seawall.checkpoint import Step, StepKey, StepOptions
from seawall.errors import ShutdownError, StaleRunError
from seawall.events import EventBus, StepEnded
from seawall.scope import Scope, scoped
from seawall.step_ends import StepEnds
from support.fake_checkpoints import FakeStore


@pytest.fixture
def bus():
    return EventBus()


@pytest.fixture
def ends(bus):
    heard = []
    bus.subscribe(lambda event: heard.append(event) if isinstance(event, StepEnded) else None)
    return heard


def step_of(clock, bus, store=None):
    key = StepKey("r", "load", 3)
    return Step(store or FakeStore(), key, StepOptions(size=2), bus=bus, clock=clock)


async def insert(tx, batch):
    tx.insert(batch.records)


async def test_good_end_carries_the_scope_and_the_release(clock, bus, ends):
    with scoped(Scope("flights", "r", release="1.4")):
        async with step_of(clock, bus) as cp:
            await cp.for_each(range(4), insert)
    (end,) = ends
    assert (end.status, end.partition, end.error_type) == ("succeeded", 3, None)
    assert end.scope == Scope("flights", "r", "load", "1.4")


async def test_failure_is_told_once_with_its_type_and_masked_message(clock, bus, ends):
    with pytest.raises(ConnectionResetError):
        async with step_of(clock, bus):
            raise ConnectionResetError("password=hunter2")
    (end,) = ends
    assert (end.status, end.error_type) == ("failed", "transient")
    assert end.exception_type == "ConnectionResetError"
    assert "hunter2" not in end.message


@pytest.mark.parametrize("error", [ShutdownError("stop"), StaleRunError("taken over")])
async def test_worker_that_was_stopped_or_replaced_has_not_failed(clock, bus, ends, error):
    with pytest.raises(type(error)):
        async with step_of(clock, bus):
            raise error
    assert [(end.status, end.error_type) for end in ends] == [("cancelled", None)]


async def test_cancellation_is_no_failure(clock, bus, ends):
    async def work():
        async with step_of(clock, bus):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [end.status for end in ends] == ["cancelled"]


async def test_failure_while_leaving_is_the_steps_end(clock, bus, ends):
    store = FakeStore()
    step = step_of(clock, bus, store)
    with pytest.raises(OSError, match="cut"):
        async with step:

            async def broken(*, finished):
                raise OSError("cut")

            step._session.release = broken
    assert [(end.status, end.message) for end in ends] == [("failed", "cut")]


def test_nobody_listening_costs_no_classification():
    class Never:
        def classify(self, error):
            raise AssertionError

    StepEnds(bus=EventBus(), classifier=Never()).emit(Scope(), ValueError(), seconds=1)
