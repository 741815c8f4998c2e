"""A worker process for the file sink's tests: writes numbered records under a table's checkpoint.

    python sink_worker.py DSN FOLDER TOTAL FREEZE

At its FREEZE-th point (a call to the disk, the middle of a write, around a commit) it stops itself
with SIGSTOP; 0 for never. Ends with 3 where another worker has taken over.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys

import asyncpg

from seawall.errors import InvalidConfigError, StaleRunError
from seawall.sink import FileSink
from support.sinks import DyingDisk

BATCH = 7


class FreezingDisk(DyingDisk):
    def __init__(self, freeze_at):
        super().__init__()
        self._freeze_at = freeze_at

    def point(self):
        self.points += 1
        if self.points == self._freeze_at:
            os.kill(os.getpid(), signal.SIGSTOP)

    def sync(self, descriptor):
        super().sync(descriptor)
        os.fsync(descriptor)


class Step:
    """A step whose fence, position and states are a row of `ledger`."""

    def __init__(self, connection, disk, row):
        self._connection, self._disk = connection, disk
        self.fence, self.position = row["fence"], row["position"]

    @classmethod
    async def open(cls, connection, disk):
        row = await connection.fetchrow("UPDATE ledger SET fence = fence + 1 RETURNING *")
        return cls(connection, disk, row)

    @contextlib.asynccontextmanager
    async def transaction(self, position=None):
        async with self._connection.transaction():
            text = await self._connection.fetchval("SELECT states FROM ledger")
            self._states, self._saves = json.loads(text), {}
            yield self
            self._disk.point()
            done = await self._connection.execute(
                "UPDATE ledger SET states = $1, position = coalesce($2, position) WHERE fence = $3",
                json.dumps({**self._states, **self._saves}), position, self.fence,
            )  # fmt: skip
            if done != "UPDATE 1":
                raise StaleRunError("another worker has taken over")
        self._disk.point()
        self.position = position

    def saved_state(self, name):
        return self._states.get(name)

    def pending_state(self, name):
        return self._saves.get(name)

    def save_state(self, name, value):
        self._saves[name] = value


async def main(dsn, folder, total, freeze_at):
    disk = FreezingDisk(freeze_at)
    connection = await asyncpg.connect(dsn)
    step = await Step.open(connection, disk)
    async with FileSink(folder, max_records=10, _disk=disk) as sink:
        for start in range(step.position, total, BATCH):
            end = min(start + BATCH, total)
            async with step.transaction(end) as tx:
                await sink.write(tx, range(start, end))
        await sink.finish(step)
    await connection.close()
    print(disk.points, flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    except (StaleRunError, InvalidConfigError):  # the latter: the first file's name is taken
        sys.exit(3)
