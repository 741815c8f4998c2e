"""Workers that die at a named point, forked from one process that has everything imported.

Reads a job a line (JSON) from stdin; answers each with the exit status of the process that did it:
0, or ``DIED`` where it came to its point.
"""

import asyncio
import contextvars
import json
import os
import sys
import traceback
from pathlib import Path

from seawall import ErrorRecoveryManager
from seawall.checkpoint import Step, StepKey
from seawall.postgres.checkpoint_store import PostgresCheckpointStore
from seawall.postgres.lane import PostgresLane, PostgresUnitOfWork
from seawall.postgres.loading.violations import StagedRecords
from seawall.postgres.step_session import PostgresStepSession

sys.path.insert(0, str(Path(__file__).parents[1]))  # it is started as a file
from support.proxy import Proxy, target_of, through  # noqa: E402

DIED = 77
TOTAL, SIZE = 30, 10
BAD = {4, 15, 26}
TARGET = StepKey("r", "load").batch_id(SIZE + 1)  # the second batch
CONFIG = {"initial_delay": 0.02, "max_delay": 0.2, "connect_timeout": 5, "lease_seconds": 5}

working_on = contextvars.ContextVar("working_on", default=None)


def die():
    os._exit(DIED)


class Trap:
    """Lies in wait at one point.

    Attributes:
        commits: how many transactions the target has begun to commit.
        committing: whose commit is under way (they go one after the other).
    """

    def __init__(self, point, proxy):
        self.point, self.proxy = point, proxy
        self.commits = 0
        self.committing = None
        self.third_is_done = asyncio.Event()

    def at(self, point, *, if_so=True):
        if if_so and self.point == point:
            die()

    def lay(self):
        """Put the trap into the classes that do the work."""
        self._wrap(PostgresCheckpointStore, "_take", after=self._taken)
        self._wrap(PostgresCheckpointStore, "open", after=self._opened)
        self._wrap(PostgresLane, "begin", before=self._beginning, after=self._begun)
        self._wrap(StagedRecords, "violations", before=self._looking)
        self._wrap(PostgresStepSession, "quarantine", before=self._loaded, after=self._aside)
        self._wrap(PostgresUnitOfWork, "commit", before=self._commit, after=self._committed)
        self._wrap(PostgresStepSession, "save", after=self._saved)
        self._wrap(PostgresStepSession, "release", before=self._releasing, after=self._released)
        unknown, source_ended = PostgresUnitOfWork._unknown, Step.source_ended

        def when_unknown(unit):
            if self.proxy.cuts:
                die()
            unknown(unit)

        def when_ended(step):
            self.at("the source is at its end")
            source_ended(step)

        PostgresUnitOfWork._unknown, Step.source_ended = when_unknown, when_ended

    @staticmethod
    def _wrap(owner, name, *, before=None, after=None):
        original = getattr(owner, name)

        async def wrapped(self, *args, **kwargs):
            if before is not None:
                await before(self, *args)
            result = await original(self, *args, **kwargs)
            if after is not None:
                await after(self, *args)
            return result

        setattr(owner, name, wrapped)

    async def _taken(self, store, *args):
        self.at("the lease is being taken")

    async def _opened(self, store, *args):
        self.at("the lease is taken")

    async def _beginning(self, lane, batch_id, *args):
        if batch_id == TARGET:
            if working_on.get() == "side by side":
                await self.third_is_done.wait()
            self.at("the batch is issued")

    async def _begun(self, lane, batch_id, *args):
        self.at("its transaction is begun", if_so=batch_id == TARGET)

    async def _looking(self, staged, *args):
        self.at("its bad rows are being looked for", if_so=working_on.get() == TARGET)

    async def _loaded(self, session, connection, batch_id, *args):
        self.at("its good rows are loaded", if_so=batch_id == TARGET)

    async def _aside(self, session, connection, batch_id, *args):
        self.at("its bad rows are in quarantine", if_so=batch_id == TARGET)
        self.at("its refused records are in quarantine", if_so=batch_id == TARGET)

    async def _commit(self, unit, *args):
        self.committing = unit._batch_id
        self.commits += self.committing == TARGET

    async def _saved(self, session, connection, *args):
        if self.committing != TARGET:
            return
        announcing = self.announcing
        self.at("its end is saved, COMMIT is not sent", if_so=announcing)
        self.at("its position is saved, COMMIT is not sent", if_so=not announcing)
        what = "the end's COMMIT" if announcing else "COMMIT"
        moments = {
            f"{what} is sent, and lost on the way": "commit-lost",
            f"{what} is done, its answer is lost": "commit-answer",
        }
        if self.point in moments:
            self.proxy.cut_port = connection._con._transport.get_extra_info("sockname")[1]
            self.proxy.cut_on = moments[self.point]

    @property
    def announcing(self):
        return self.form == "acknowledged" and self.commits == 1

    async def _committed(self, unit, *args):
        if unit._batch_id == TARGET:
            self.at("its end is announced", if_so=self.announcing)
            self.at("the answer is there, the next batch is not begun", if_so=not self.announcing)

    async def _releasing(self, session, *args):
        self.at("the lease is being given back")

    async def _released(self, session, *args):
        self.at("the lease is given back, the step finished")


class Worker:
    """Does a job's work, with a trap on its way."""

    def __init__(self, job, trap):
        self.job, self.trap = job, trap

    def source(self, position):
        self.trap.at("the source is opened")
        for n in range((position or 0) + 1, TOTAL + 1):
            yield n, "bad" if n in BAD else "good"
            self.trap.at("the first record is read")

    async def in_transactions(self, cp, concurrency):
        trapped = self.trap.point is not None and concurrency > 1

        async def handler(tx, batch):
            working_on.set(batch.id)
            await tx.load("numbers", batch.records)
            if trapped and batch.first_position == 1:
                await asyncio.Event().wait()  # in flight for good
            working_on.set("side by side" if trapped else None)

        if trapped:
            working_on.set("side by side")
        await cp.for_each(
            lambda: self.source(cp.position),
            handler,
            position=lambda row: row[0],
            concurrency=concurrency,
        )

    async def acknowledged(self, cp):
        async for batch in cp.batches(self.source(cp.position), position=lambda row: row[0]):
            async with batch.acknowledge() as ack:
                good = [row[0] for row in batch.records if row[1] != "bad"]
                with open(self.job["sink"], "a") as sink:
                    sink.write(json.dumps([batch.id, good]) + "\n")
                self.trap.at("the sink has been called", if_so=batch.id == TARGET)
                for index, row in enumerate(batch.records):
                    if row[1] == "bad":
                        ack.reject(index, "the sink refuses it")
                self.trap.at("the sink has answered", if_so=batch.id == TARGET)

    async def run(self, dsn):
        def on_progress(progress):
            if progress.counters.batch_count == 1:
                self.trap.third_is_done.set()

        job = self.job
        async with ErrorRecoveryManager(dsn, config=CONFIG) as manager:
            async with manager.checkpoint(
                "r", "load", size=job["size"], on_progress=on_progress
            ) as cp:
                if job["form"] == "acknowledged":
                    await self.acknowledged(cp)
                else:
                    await self.in_transactions(cp, job["concurrency"])


async def main(job):
    async with Proxy(target_of(job["dsn"])) as proxy:
        trap = Trap(job["point"], proxy)
        trap.form = job["form"]
        trap.lay()
        await Worker(job, trap).run(through(job["dsn"], proxy.port))


def in_a_process_of_its_own(job):
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        asyncio.run(main(job))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    for line in sys.stdin:
        print(in_a_process_of_its_own(json.loads(line)), flush=True)
