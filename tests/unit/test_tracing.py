"""Every span that a step opens is closed, once, by what ended it."""

import pytest

from seawall.checkpoint import Step, StepKey, StepOptions
from seawall.events import EventBus
from seawall.scope import current_scope
from support.fake_checkpoints import FakeStore


class Recorded:
    """A tracer that knows which spans are open, and what ended the others."""

    def __init__(self):
        self.open_ones, self.ended = [], []

    def open(self, kind, attributes):
        span = Span(self, kind, current_scope.get().step, dict(attributes))
        self.open_ones.append(span)
        return span


class Span:
    def __init__(self, tracer, kind, step, attributes):
        self.tracer, self.kind, self.step, self.attributes = tracer, kind, step, attributes

    def close(self, error):
        assert self.tracer.open_ones.pop() is self  # the innermost
        self.tracer.ended.append((self.kind, type(error).__name__ if error else None))


@pytest.fixture
def tracer():
    return Recorded()


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def step(store, tracer, clock):
    bus = EventBus()
    bus.tracer = tracer
    return Step(store, StepKey("r", "load"), StepOptions(size=2), bus=bus, clock=clock)


async def test_batches_are_inside_their_step(step, tracer):
    async with step as cp:
        async for batch in cp.batches(range(3)):
            async with batch.transaction():
                kinds = [span.kind for span in tracer.open_ones]
                assert kinds == ["step", "batch"]
                assert tracer.open_ones[-1].step == "load"
                assert tracer.open_ones[-1].attributes == {
                    "batch_id": batch.id, "partition": 0, "attempt": 1, "records": len(batch)
                }  # fmt: skip
    assert tracer.ended == [("batch", None), ("batch", None), ("step", None)]


async def test_a_block_that_fails_ends_its_spans(step, tracer):
    with pytest.raises(KeyError):
        async with step as cp:
            async for batch in cp.batches(range(3)):
                async with batch.transaction():
                    raise KeyError
    assert tracer.ended == [("batch", "KeyError"), ("step", "KeyError")]
    assert tracer.open_ones == []


async def test_a_commit_that_fails_ends_the_span(step, store, tracer):
    async def on_commit(unit, progress):
        raise OSError

    store.on_commit = on_commit
    with pytest.raises(OSError):
        async with step as cp:
            async for batch in cp.batches(range(3)):
                async with batch.transaction():
                    pass
    assert tracer.ended == [("batch", "OSError"), ("step", "OSError")]


async def test_a_transaction_that_can_not_begin_ends_the_span_and_the_next_try_has_its_own(
    step, store, tracer
):
    async with step as cp:
        async for batch in cp.batches(range(2)):
            begin = batch.lane.begin

            async def broken(*args):
                raise OSError

            batch.lane.begin = broken
            with pytest.raises(OSError):
                async with batch.transaction():
                    raise AssertionError
            batch.lane.begin = begin
            async with batch.transaction():
                assert tracer.open_ones[-1].attributes["attempt"] == 2
    assert tracer.ended == [("batch", "OSError"), ("batch", None), ("step", None)]


async def test_acknowledged_batches_end_their_spans_however_they_end(step, store, tracer):
    async with step as cp:
        async for batch in cp.batches(range(2)):

            async def on_commit(unit, progress):
                raise OSError

            store.on_commit = on_commit
            with pytest.raises(OSError):  # of its announcement
                async with batch.acknowledge():
                    raise AssertionError
            store.on_commit = None
            with pytest.raises(KeyError):
                async with batch.acknowledge():
                    raise KeyError
            with pytest.raises(OSError):
                async with batch.acknowledge():
                    store.on_commit = on_commit
            store.on_commit = None
            async with batch.acknowledge():
                pass
    ends = ["OSError", "KeyError", "OSError", None]
    assert tracer.ended == [*[("batch", end) for end in ends], ("step", None)]
    assert tracer.open_ones == []


async def test_a_step_that_can_not_open_has_no_span(step, store, tracer):
    async def broken(key, request):
        raise OSError

    store.open = broken
    with pytest.raises(OSError):
        async with step:
            raise AssertionError
    assert tracer.open_ones == tracer.ended == []
