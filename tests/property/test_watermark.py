"""The watermark, alone and under a whole step: any order of ends, any crash, any restart."""

import asyncio
import contextlib
import random
import uuid
from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seawall.checkpoint import Progress, Step, StepKey, StepOptions
from seawall.checkpoint.model import StepState
from seawall.checkpoint.store import CommitUnknownError
from seawall.checkpoint.watermark import Watermark
from support.virtual_time import run

KEY = StepKey("r", "load")


class WatermarkModel(RuleBasedStateMachine):
    """A source of the records 1 to ``total``; the model keeps which of them are done."""

    @initialize(total=st.integers(0, 60))
    def start(self, total):
        self.total = total
        self.saved = (None, ())
        self.done = Counter()  # record -> how often it was committed
        self.given = {}  # first -> last, of what a sink outside was told
        self.restart()

    def restart(self):
        self.watermark = Watermark(*self.saved)
        self.cursor = self.saved[0] or 0  # the last record that was read
        self.in_flight = []

    @rule()
    def crash(self):
        """All that was not saved is gone."""
        self.restart()

    @rule(size=st.integers(1, 9))
    def issue(self, size):
        """Cut as ``Batches`` cuts: up to the next saved span, or exactly that span."""
        while (span := self.watermark.expected) and span.done and span.first == self.cursor + 1:
            self.watermark.pass_by()
            self.cursor = span.last
        first = self.cursor + 1
        if first > self.total:
            return
        if span is None:
            last = min(self.total, self.cursor + size)
        elif span.first == first:
            last = span.last
        else:
            last = min(span.first - 1, self.cursor + size)
        batch = self.watermark.issue(first, last)
        assert batch.announced == (first in self.given)
        if first in self.given:
            assert last == self.given[first], "an announced batch came back with other bounds"
        self.in_flight.append(batch)
        self.cursor = last

    @precondition(lambda self: self.in_flight)
    @rule(choice=st.randoms(use_true_random=False), how=st.sampled_from(["ok", "crash", "fail"]))
    def commit(self, choice, how):
        """Any batch in flight ends; the process may die with the answer on its way."""
        batch = choice.choice(self.in_flight)
        state = self.watermark.state(done=batch)
        if how == "fail":  # rolled back: nothing is saved, and it is tried again
            return
        self.saved = state
        for record in range(batch.first, batch.last + 1):
            self.done[record] += 1
        if how == "crash":
            self.restart()
            return
        self.watermark.complete(batch)
        self.in_flight.remove(batch)

    @precondition(lambda self: any(not each.announced for each in self.in_flight))
    @rule(choice=st.randoms(use_true_random=False), dies=st.booleans())
    def announce(self, choice, dies):
        batch = choice.choice([each for each in self.in_flight if not each.announced])
        self.saved = self.watermark.state(announced=batch)
        self.given[batch.first] = batch.last
        if dies:
            self.restart()
        else:
            batch.announced = True

    @invariant()
    def saved_state_says_exactly_what_is_done(self):
        position, ahead = self.saved
        said = Counter(range(1, (position or 0) + 1))
        last = position or 0
        for span in ahead:
            assert span.first > last, "spans are in the source's order and overlap nothing"
            assert span.first <= span.last <= self.total
            last = span.last
            if span.done:
                said.update(range(span.first, span.last + 1))
        assert said == self.done
        assert not self.done or max(self.done.values()) == 1

    @invariant()
    def ahead_is_bounded_by_what_was_in_flight(self):
        _, ahead = self.watermark.state()
        assert len(ahead) <= self.watermark.pending + len(self.watermark._expected)
        position = self.watermark.position
        assert all(each.first > (position or 0) for each in self.watermark)
        assert not next(iter(self.watermark), None) or not next(iter(self.watermark)).done

    def teardown(self):
        """Whatever happened, one more process without a fault brings it to its end."""
        if not hasattr(self, "total"):
            return
        self.restart()
        while self.cursor < self.total or self.in_flight:
            self.issue(7)
            for batch in reversed(list(self.in_flight)):
                self.saved = self.watermark.state(done=batch)
                self.done.update(range(batch.first, batch.last + 1))
                self.watermark.complete(batch)
                self.in_flight.remove(batch)
        position, ahead = self.watermark.state()
        assert (position or 0, ahead) == (self.total, ())
        assert self.done == Counter(range(1, self.total + 1))


TestWatermarkModel = WatermarkModel.TestCase
TestWatermarkModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


# -- the whole step, over a database that is a few lines ----------------------------------------


class Database:
    """One row of ``checkpoints``, a table, and a server that answers late or not at all."""

    def __init__(self, choice):
        self.choice = choice
        self.progress, self.version, self.fence = Progress(), 0, 0
        self.rows = []
        self.longest = 0

    async def open(self, key, request):
        self.fence += 1
        return Session(self)


class Session:
    set_aside_first = False

    def __init__(self, database):
        self.database, self.fence, self.version = database, database.fence, database.version
        self.dead = False
        self.state = StepState(
            checkpoint_id=uuid.uuid4(),
            fence=self.fence,
            version=self.version,
            progress=database.progress,
            state_version=1,
            start_count=1,
            silent_starts=1,
        )

    async def answer(self):
        """The time that a round trip takes; the dead get none."""
        await asyncio.sleep(self.database.choice.choice([0, 0.01, 0.3]))
        if self.dead:
            await asyncio.Event().wait()

    def lanes(self, number):
        return [self] * number

    async def begin(self, batch_id, rejects, sinks):
        await self.answer()
        return Unit(self)

    async def settle(self):
        await self.answer()
        committed = self.database.version == self.version + 1
        self.version += committed
        return committed

    async def nothing(self, *args, **kwargs):
        return {}

    renew = attempt = release = aclose = quarantined_by_reason = quarantined_for = nothing


class Unit:
    def __init__(self, session):
        self.session, self.outcome, self.rows, self.lost = session, "open", [], None

    @property
    def transaction(self):
        return self.rows

    async def commit(self, progress):
        session, database = self.session, self.session.database
        await session.answer()
        assert (database.fence, database.version) == (session.fence, session.version)
        ends = database.choice.choice(["ok"] * 6 + ["lost", "answer lost"])
        if ends != "lost":
            database.progress, database.version = progress, database.version + 1
            database.rows += self.rows
            database.longest = max(database.longest, len(progress.ahead))
        if ends != "ok":
            self.outcome = "unknown"
            raise CommitUnknownError from ConnectionError()
        await session.answer()
        self.outcome = "committed"
        session.version += 1

    async def rollback(self):
        self.outcome = "rolled back"


async def retrying(work):
    for _ in range(50):
        with contextlib.suppress(ConnectionError):
            return await work()
    raise AssertionError("fifty failures in a row")


async def process(database, work, size, crash_after):
    """One process: works until its end, or dies at its time; whether it came to its end."""
    step = Step(database, KEY, StepOptions(size=size, retrying=retrying))
    ended = []

    async def live():
        async with step:
            await work(step)
            ended.append(True)

    task = asyncio.ensure_future(live())
    done, _ = await asyncio.wait([task], timeout=crash_after)
    if not done:
        if step._session is not None:
            step._session.dead = True
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        return False
    task.result()
    return bool(ended)


restarts = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 4), st.sampled_from([0.0, 0.2, 0.7, 2.0, 6.0])),
    max_size=6,
)
seeds = st.integers(0, 1 << 30)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 80), restarts, st.booleans(), seeds)
def test_step_killed_and_restarted_with_batches_side_by_side_does_each_record_once(
    total, restarts, counted, seed
):
    """Other sizes and numbers of lanes at each restart; with positions, and with counting."""

    async def main():
        choice = random.Random(seed)  # what hypothesis draws itself may fail for ever
        database = Database(choice)
        records = list(range(1, total + 1))
        bound = 0

        for size, concurrency, crash_after in [*restarts, (7, 3, None)]:

            async def handler(rows, batch):
                await asyncio.sleep(choice.choice([0, 0.05, 0.4, 3.0]))
                if choice.random() < 0.1:
                    raise ConnectionError
                rows.extend(batch.records)

            async def work(step, concurrency=concurrency):
                await step.for_each(
                    lambda: records[step.position or 0 :],
                    handler,
                    position=None if counted else lambda record: record,
                    concurrency=concurrency,
                )

            bound = len(database.progress.ahead) + 5 * concurrency
            ended = await process(database, work, size, crash_after)
            assert len(database.progress.ahead) <= bound
        assert ended
        assert sorted(database.rows) == records
        assert (database.progress.position or 0, database.progress.ahead) == (total, ())
        assert database.progress.counters.read_count == total

    run(main())


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 60), restarts, seeds)
def test_acknowledged_batches_come_again_as_they_were_whatever_the_sizes(total, restarts, seed):
    """At least once: every record under exactly one key, and a key always with the same records."""

    async def main():
        choice = random.Random(seed)  # what hypothesis draws itself may fail for ever
        database = Database(choice)
        records = list(range(1, total + 1))
        sink = defaultdict(list)

        for size, _, crash_after in [*restarts, (7, 1, None)]:

            async def work(step):
                source = records[step.position or 0 :]
                async for batch in step.batches(source, position=lambda record: record):

                    async def give(batch=batch):
                        if await batch.settle():
                            return
                        async with batch.acknowledge():
                            await asyncio.sleep(choice.choice([0, 0.2]))
                            sink[batch.id].append(tuple(batch.records))
                            await asyncio.sleep(choice.choice([0, 0.2]))

                    await retrying(give)

            ended = await process(database, work, size, crash_after)
        assert ended
        assert all(len(set(seen)) == 1 for seen in sink.values())
        assert sorted(record for seen in sink.values() for record in seen[0]) == records
        assert (database.progress.position or 0, database.progress.ahead) == (total, ())

    run(main())
