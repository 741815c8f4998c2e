"""The journal's files on a real disk: written, held, adopted, at their bound, and when disks fail."""

import asyncio
import fcntl
import os
import resource
from uuid import UUID

import pytest

from seawall.clock import uuid7
from seawall.errors import JournalFullError
from seawall.events import EventBus
from seawall.journal import Journal, JournalFolder
from seawall.journal.frame import Frame, frames
from seawall.outage import OutageJournal

pytestmark = pytest.mark.real_time


def row(text):
    return [("t", (uuid7(), text))]


def texts(folder):
    """What can be read of all files, in order."""
    return [
        text
        for listed in folder.listing()
        for part in frames(listed.path.read_bytes(), UUID(listed.path.stem))
        if isinstance(part, Frame)
        for _, (_, text) in part.rows
    ]


@pytest.fixture
def folder(tmp_path):
    return JournalFolder(tmp_path / "journals" / "db")


@pytest.fixture
async def journal(folder):
    journal = Journal(folder, 2**20)
    yield journal
    await journal.aclose()


async def test_journal_caller_cancelled_while_it_writes_for_others_costs_them_nothing(
    journal, folder
):
    for turn in range(20):
        tasks = [
            asyncio.create_task(journal.append(row(f"{turn}.{n}" + "x" * n * 50)))
            for n in range(20)
        ]
        await asyncio.sleep(0.0005 * (turn % 5))
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[1:] == [None] * 19
    found = texts(folder)
    assert {f"{turn}.{n}" + "x" * n * 50 for turn in range(20) for n in range(1, 20)} <= set(found)
    assert len(found) == len(set(found))


async def test_journal_file_adopted_before_it_is_locked_is_not_written(folder, monkeypatch):
    real, taken = fcntl.flock, []

    def late(descriptor, how):
        if not taken:
            # Another process looks for dead ones' files at this very moment.
            (path,) = folder.path.iterdir()
            taken.append(path)
            path.unlink()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    journal = Journal(folder, 2**20)
    await journal.append(row("kept"))
    assert texts(folder) == ["kept"]
    await journal.aclose()


async def test_journal_full_disk_tells_its_callers_and_the_next_rows_are_whole(journal, folder):
    await journal.append(row("before"))
    (listed,) = folder.listing()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (listed.size + 500, before[1]))
    try:
        with pytest.raises(JournalFullError, match="disk"):
            await journal.append(row("l" * 5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await journal.append(row("after"))
    assert texts(folder) == ["before", "after"]


@pytest.mark.parametrize("failing", ["fsync", "ftruncate"])
async def test_journal_disk_that_fails_loses_nothing_that_was_acknowledged(
    journal, folder, monkeypatch, failing
):
    await journal.append(row("before"))

    def fails(*args):
        raise OSError(5, "Input/output error")

    def writes_in_part(descriptor, data):
        if len(data) < 50:
            raise OSError(5, "Input/output error")
        return real_write(descriptor, data[:40])

    real_write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fails)
        if failing == "ftruncate":
            patch.setattr(os, "write", writes_in_part)
        with pytest.raises(OSError, match="Input/output"):
            await journal.append(row("unsure"))
    await journal.append(row("after"))
    assert [text for text in texts(folder) if text != "unsure"] == ["before", "after"]


async def test_journal_bound_counts_what_other_processes_write(folder):
    first, second = Journal(folder, 2_000), Journal(folder, 2_000)
    await second.append(row("x"))
    for _ in range(3):
        await first.append(row("y" * 500))
    with pytest.raises(JournalFullError, match="journal_max_bytes"):
        await second.append(row("z" * 500))
    await first.aclose()
    await second.aclose()


async def test_journal_row_that_can_not_be_kept_fails_its_own_caller_only(journal, folder):
    results = await asyncio.gather(
        *(journal.append(row(text)) for text in ["a", "\ud800", object(), 2**70, "b"]),
        return_exceptions=True,
    )
    kinds = [type(each) for each in results]
    assert kinds[0] is kinds[4] is type(None)
    assert all(issubclass(kind, Exception) for kind in kinds[1:4])
    assert texts(folder) == ["a", "b"]


class Store:
    """Keeps rows by key; fails where told."""

    def __init__(self):
        self.rows, self.fails = [], False

    async def replay(self, rows):
        if self.fails:
            raise ConnectionError("away")
        self.rows += [row for row in rows if row not in self.rows]
        return []


def outage_in(root, store):
    return OutageJournal(store, bus=EventBus(), root=root, most_bytes=2**20)


async def test_journal_named_folder_is_divided_by_database(tmp_path):
    one, other = outage_in(tmp_path, Store()), outage_in(tmp_path, Store())
    await one.start("server 1 app seawall")
    await other.start("server 2 app seawall")
    await one.journal.append(row("of the first"))
    assert one.journal.folder.path != other.journal.folder.path
    await one.journal.aclose()
    await other.replay()
    assert other._store.rows == []
    await one.replay()
    assert [text for _, (_, text) in one._store.rows] == ["of the first"]
    await one.aclose()
    await other.aclose()


async def test_replay_that_fails_lets_go_of_the_files_that_it_took(tmp_path):
    store = Store()
    outage = outage_in(tmp_path, store)
    await outage.start("db")
    for n in range(3):
        dead = Journal(outage.journal.folder, 2**20)
        await dead.append(row(f"{n}"))
        await dead.aclose()
    store.fails = True
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await outage.replay()
    store.fails = False
    assert (await outage.replay()).files == 3
    assert [text for _, (_, text) in store.rows] == ["0", "1", "2"]
    await outage.aclose()


async def test_journal_forked_child_that_starts_nothing_holds_no_file_of_its_parents(tmp_path):
    outage = outage_in(tmp_path, Store())
    await outage.start("db")
    await outage.journal.append(row("parent's"))
    reading, writing = os.pipe()
    began, begins = os.pipe()
    child = os.fork()
    if not child:
        os.write(begins, b"x")  # what it does by itself after the fork is done
        os.read(reading, 1)
        os._exit(0)
    os.read(began, 1)
    await outage.journal.aclose()  # as a parent that dies lets go
    done = await outage.replay()
    os.write(writing, b"x")
    os.waitpid(child, 0)
    for each in (reading, writing, began, begins):
        os.close(each)
    assert (done.files, done.rows) == (1, 1)
    await outage.aclose()
