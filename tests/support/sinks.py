"""A step's transactions as a file sink sees them, and a disk on which a process can die."""

import contextlib
import json
import os
from pathlib import Path

from seawall.errors import StaleRunError
from seawall.sink.disk import Disk


class Died(BaseException):
    """The process is gone: no handler of the code under test may run, so it is no Exception."""


class Ledger:
    """The database: what is committed, and under which fence commits are taken."""

    def __init__(self):
        self.fence, self.states, self.position = 0, "{}", 0

    def open(self, disk=None):
        self.fence += 1
        return Step(self, self.fence, disk)


class Step:
    """One worker's opened step."""

    def __init__(self, ledger, fence, disk=None):
        self.ledger, self.fence, self._disk = ledger, fence, disk
        self.position = ledger.position

    @contextlib.asynccontextmanager
    async def transaction(self, position=None):
        tx = Transaction(self)
        yield tx
        self._point()
        if self.fence != self.ledger.fence:
            raise StaleRunError("another worker has taken over")
        states = {**json.loads(self.ledger.states), **tx.saves}
        self.ledger.states = json.dumps(states)  # JSON, as a database keeps it
        if position is not None:
            self.ledger.position = self.position = position
        self._point()

    def _point(self):
        if self._disk is not None:
            self._disk.point()


class Transaction:
    def __init__(self, step):
        self.fence, self.saves = step.fence, {}
        self._committed = json.loads(step.ledger.states)

    def saved_state(self, name):
        return self._committed.get(name)

    def pending_state(self, name):
        return self.saves.get(name)

    def save_state(self, name, value):
        self.saves[name] = value


class DyingDisk(Disk):
    """Dies at the n-th point of its life: before a call, in the middle of a write, at a commit.

    A power cut takes what was not synced: bytes, and names. `power_cut` is called after the death.
    """

    def __init__(self, die_at=None, trash=None):
        self.points, self._die_at, self._trash = 0, die_at, trash
        self._paths, self._synced, self._undo = {}, {}, []

    def point(self):
        self.points += 1
        if self.points == self._die_at:
            raise Died(f"at point {self.points}")

    def create(self, path):
        self.point()
        descriptor = super().create(path)
        self._paths[descriptor], self._synced[path] = path, 0
        self._undo.append(lambda: path.unlink(missing_ok=True))
        return descriptor

    def open(self, path):
        self.point()
        descriptor = super().open(path)
        self._paths[descriptor] = path
        self._synced.setdefault(path, path.stat().st_size)
        return descriptor

    def write(self, descriptor, data, offset):
        self.point()
        super().write(descriptor, data[: len(data) // 2], offset)
        self.point()
        super().write(descriptor, data[len(data) // 2 :], offset + len(data) // 2)

    def truncate(self, descriptor, length):
        self.point()
        super().truncate(descriptor, length)
        path = self._paths[descriptor]
        self._synced[path] = min(self._synced[path], length)

    def sync(self, descriptor):
        self.point()
        self._synced[self._paths[descriptor]] = os.fstat(descriptor).st_size

    def publish(self, source, target):
        self.point()
        fresh = not target.exists()
        try:
            os.link(source, target)
        except FileExistsError:
            if not source.samefile(target):
                raise
        if fresh:
            self._undo.append(lambda: target.unlink(missing_ok=True))
            self._synced[target] = self._synced.get(source, source.stat().st_size)
        self.point()
        self.remove(source)

    def remove(self, path):
        self.point()
        if path.exists() and self._trash is not None:
            kept = self._trash / f"{self.points}-{path.name}"
            path.rename(kept)
            self._undo.append(lambda: kept.rename(path))
        else:
            super().remove(path)

    def sync_folder(self, folder):
        self.point()
        self._undo.clear()

    def power_cut(self):
        for undo in reversed(self._undo):
            undo()
        for path, length in self._synced.items():
            if path.exists() and path.stat().st_size > length:
                os.truncate(path, length)


def numbers_in(files):
    return [json.loads(line) for path in files for line in Path(path).read_bytes().splitlines()]


def hidden(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.name.startswith("."))
