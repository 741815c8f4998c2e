"""Any order of ends, any crash, any size and number of lanes: each record once."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.checkpoint import Step, StepKey, StepOptions
from support.fake_checkpoints import FakeStore
from support.virtual_time import LoopClock, run

TOTAL = 40


@st.composite
def lives(draw):
    """A worker: how its batches are cut, how long each takes, what befalls it, and when."""
    return {
        "size": draw(st.integers(1, 9)),
        "concurrency": draw(st.integers(1, 5)),
        "seconds": draw(st.lists(st.integers(0, 9), min_size=1, max_size=7)),
        "dies_at": draw(st.one_of(st.none(), st.integers(0, 40))),
        "fails_at": draw(st.one_of(st.none(), st.integers(1, TOTAL))),
        "answers": draw(st.lists(st.sampled_from(["ok", "lost", "never"]), max_size=6)),
    }


async def live(store, life):
    seconds = life["seconds"]

    async def handler(tx, batch):
        tx.insert(batch.records)
        await asyncio.sleep(seconds[batch.first_position % len(seconds)] + 0.01)
        if life["fails_at"] in batch.records:
            raise ValueError

    async def work():
        async with Step(
            store, StepKey("r", "s"), StepOptions(size=life["size"]), clock=LoopClock()
        ) as step:
            start = (store.progress.position or 0) + 1
            await step.for_each(
                list(range(start, TOTAL + 1)),
                handler,
                position=lambda n: n,
                concurrency=life["concurrency"],
            )

    store.answers = list(life["answers"])
    task = asyncio.create_task(work())
    await asyncio.wait([task], timeout=life["dies_at"])
    task.cancel()
    await asyncio.wait([task])


def holds(progress):
    done = set(range(1, (progress.position or 0) + 1))
    for span in progress.ahead:
        done |= set(range(span.first, span.last + 1))
    return done


@settings(max_examples=150, deadline=None)
@given(st.lists(lives(), max_size=5))
def test_parallel_whatever_befalls_the_workers_each_record_is_loaded_once(each):
    store = FakeStore()
    calm = {"size": 4, "concurrency": 3, "seconds": [0], "dies_at": None, "fails_at": None}

    async def all_of_them():
        for life in each:
            await live(store, life)
            assert len(store.rows) == len(set(store.rows))
            assert holds(store.progress) == set(store.rows)
            assert store.progress.counters.read_count == len(store.rows)
            assert not store.open_units
        await live(store, {**calm, "answers": []})

    run(all_of_them())
    assert sorted(store.rows) == list(range(1, TOTAL + 1))
    assert (store.progress.position, store.progress.ahead) == (TOTAL, ())


@st.composite
def sinks(draw):
    return {
        "size": draw(st.integers(1, 9)),
        "dies_at": draw(st.one_of(st.none(), st.integers(1, TOTAL))),
        "after": draw(st.booleans()),
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(sinks(), max_size=6))
def test_acknowledged_batches_come_again_as_they_were(each):
    """The sink drops what it has seen by the batch's id alone: it has each record once."""
    store, seen = FakeStore(), {}

    async def life(size, dies_at, after):
        async with Step(
            store, StepKey("r", "s"), StepOptions(size=size), clock=LoopClock()
        ) as step:
            start = (store.progress.position or 0) + 1
            batches = step.batches(list(range(start, TOTAL + 1)), position=lambda n: n)
            async for batch in batches:
                async with batch.acknowledge():
                    if dies_at in batch.records and not after:
                        raise ValueError
                    assert seen.setdefault(batch.id, list(batch.records)) == batch.records
                    if dies_at in batch.records:
                        raise ValueError

    async def all_of_them():
        for one in each:
            try:
                await life(**one)
            except ValueError:
                pass
        await life(4, None, False)

    run(all_of_them())
    assert sorted(n for records in seen.values() for n in records) == list(range(1, TOTAL + 1))
