"""Any order of batches, rollbacks, deaths, power cuts, takeovers and thawed writers."""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seawall.errors import InvalidConfigError, StaleRunError
from seawall.sink import FileSink, committed_files
from support.sinks import Died, DyingDisk, Ledger, hidden, numbers_in

# What a replaced worker hears; the last where the new one's first file has appeared.
REFUSED = (StaleRunError, InvalidConfigError)


class Direct(FileSink):
    async def _run(self, work):
        return work()  # no threads: thousands of steps


class Worker:
    def __init__(self, ledger, folder, options, trash):
        self.disk = DyingDisk(trash=trash)
        self.sink = Direct(folder, _disk=self.disk, **options)
        self.step = ledger.open(self.disk)


class FileSinkMachine(RuleBasedStateMachine):
    @initialize(
        options=st.sampled_from(
            [{}, {"max_records": 1}, {"max_records": 3}, {"max_bytes": 9}, {"max_bytes": 40}]
        )
    )
    def start(self, options):
        self.root = Path(tempfile.mkdtemp(prefix="seawall-sink-"))
        self.folder, trash = self.root / "out", self.root / "trash"
        self.folder.mkdir()
        trash.mkdir()
        self.runner = asyncio.Runner()
        self.ledger, self.frozen = Ledger(), []
        self.make = lambda: Worker(self.ledger, self.folder, options, trash)
        self.worker = self.make()

    @rule(count=st.integers(0, 7), parts=st.integers(1, 3))
    def write(self, count, parts):
        self.runner.run(self._write(self.worker, count, parts))

    @rule(count=st.integers(1, 7))
    def roll_back(self, count):
        with contextlib.suppress(ZeroDivisionError):
            self.runner.run(self._write(self.worker, count, 1, fail=True))

    @rule(count=st.integers(0, 7), point=st.integers(1, 25), power=st.booleans(), end=st.booleans())
    def die(self, count, point, power, end):
        disk = self.worker.disk
        disk._die_at = disk.points + point
        try:
            self.runner.run(self._write(self.worker, count, 1))
            if end:
                self.runner.run(self.worker.sink.finish(self.worker.step))
        except Died:
            if power:
                disk.power_cut()
                self.frozen = []  # they were on the same machine
        self.worker = self.make()

    @rule(in_batch=st.integers(0, 5))
    def freeze(self, in_batch):
        """It stops in the middle of a batch, and is replaced."""
        transaction = self.worker.step.transaction(10_000)
        tx = self.runner.run(transaction.__aenter__())
        self.runner.run(self.worker.sink.write(tx, [-1] * in_batch))
        self.frozen.append((self.worker, transaction, tx))
        self.worker = self.make()

    @rule(count=st.integers(1, 7), data=st.data())
    def thaw(self, count, data):
        """It writes on, tries to commit, tries again, tries to finish."""
        if not self.frozen:
            return
        worker, transaction, tx = self.frozen.pop(data.draw(st.integers(0, len(self.frozen) - 1)))
        with contextlib.suppress(*REFUSED):
            self.runner.run(worker.sink.write(tx, [-2] * count))
        with contextlib.suppress(*REFUSED):
            self.runner.run(transaction.__aexit__(None, None, None))
        for again in (
            lambda: self._write(worker, count, 1),
            lambda: worker.sink.finish(worker.step),
        ):
            with contextlib.suppress(*REFUSED):
                self.runner.run(again())

    @rule()
    def finish(self):
        self.runner.run(self.worker.sink.finish(self.worker.step))
        assert numbers_in(committed_files(self.folder)) == list(range(self.ledger.position))

    async def _write(self, worker, count, parts, *, fail=False):
        start = worker.step.position
        async with worker.step.transaction(start + count) as tx:
            for part in range(parts):
                size = -(-count // parts)
                begin = min(part * size, count)
                await worker.sink.write(tx, range(start, start + count)[begin : begin + size])
            if fail:
                1 / 0

    @invariant()
    def readers_see_a_prefix_of_what_is_committed(self):
        if hasattr(self, "folder"):
            seen = numbers_in(committed_files(self.folder))
            assert seen == list(range(len(seen)))
            assert len(seen) <= self.ledger.position

    def teardown(self):
        if hasattr(self, "root"):
            try:
                last = self.make()
                self.runner.run(self._write(last, 2, 1))
                self.runner.run(last.sink.finish(last.step))
                found = numbers_in(committed_files(self.folder))
                assert found == list(range(self.ledger.position))
                assert all(f".f{last.step.fence}." not in name for name in hidden(self.folder))
            finally:
                self.runner.close()
                shutil.rmtree(self.root)


FileSinkMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=25, deadline=None
)
TestFileSinkModel = pytest.mark.timeout(120)(FileSinkMachine.TestCase)
