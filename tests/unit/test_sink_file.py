"""The file sink while nobody dies: rotation, formats, rollbacks, and what it refuses."""

import asyncio
import contextlib
import csv
import dataclasses
import datetime as dt
import errno
import gzip
import io
import json
import resource
import threading

import pytest

from seawall.errors import CodecError, InvalidConfigError, SinkError, StaleRunError
from seawall.scope import Scope, scoped
from seawall.sink import CsvLine, FileSink, committed_files, json_line
from seawall.sink.disk import Disk
from support.sinks import Ledger, hidden, numbers_in

pytestmark = pytest.mark.real_time


async def put(sink, step, *records):
    async with step.transaction() as tx:
        await sink.write(tx, records)


def lines_of(path):
    return gzip.decompress(path.read_bytes()).splitlines()


def sizes(folder):
    return [len(numbers_in([path])) for path in committed_files(folder)]


@pytest.fixture
def ledger():
    return Ledger()


# -- rotation --------------------------------------------------------------------------------


async def test_file_sink_max_records_finishes_files_across_and_inside_batches(tmp_path, ledger):
    sink, step = FileSink(tmp_path, max_records=3), ledger.open()
    await put(sink, step, 0, 1)
    await put(sink, step, *range(2, 11))
    await sink.finish(step)
    assert numbers_in(committed_files(tmp_path)) == list(range(11))
    assert sizes(tmp_path) == [3, 3, 3, 2]


async def test_file_sink_max_bytes_is_passed_by_a_single_record_alone(tmp_path, ledger):
    sink, step = FileSink(tmp_path, max_bytes=10), ledger.open()
    await put(sink, step, 1, 2, 333_333_333_333, 44_444, 555, 6)
    await sink.finish(step)
    texts = [path.read_bytes() for path in committed_files(tmp_path)]
    assert texts == [b"1\n2\n", b"333333333333\n", b"44444\n555\n", b"6\n"]


async def test_file_sink_finished_file_appears_with_the_next_batch(tmp_path, ledger):
    """Not before its last record is committed, and never half."""
    sink, step = FileSink(tmp_path, max_records=2), ledger.open()
    async with step.transaction() as tx:
        await sink.write(tx, [1, 2])
        assert committed_files(tmp_path) == []
    await put(sink, step, 3)
    assert numbers_in(committed_files(tmp_path)) == [1, 2]


async def test_file_sink_state_is_bounded_however_many_files(tmp_path, ledger):
    sink, step = FileSink(tmp_path, max_records=1), ledger.open()
    lengths = []
    for n in range(50):
        await put(sink, step, n)
        lengths.append(len(ledger.states))
    assert max(lengths) < 300


async def test_file_sink_more_records_after_finish_go_into_new_files(tmp_path, ledger):
    sink = FileSink(tmp_path)
    for start in (0, 5):
        step = ledger.open()
        await put(sink, step, *range(start, start + 5))
        await sink.finish(step)
        await sink.finish(step)
    assert sizes(tmp_path) == [5, 5]
    assert numbers_in(committed_files(tmp_path)) == list(range(10))


async def test_file_sink_without_records_leaves_no_file(tmp_path, ledger):
    sink, step = FileSink(tmp_path / "new" / "folder"), ledger.open()
    await put(sink, step)
    await sink.finish(step)
    assert list((tmp_path / "new" / "folder").iterdir()) == []


async def test_committed_files_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("part-1000000.jsonl", "part-999999.jsonl", "part-1.jsonl", "other-000001.jsonl"):
        (tmp_path / name).touch()
    found = [path.name for path in committed_files(tmp_path)]
    assert found == ["part-999999.jsonl", "part-1000000.jsonl"]


# -- formats ---------------------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: int


async def test_file_sink_json_takes_what_records_are_made_of(tmp_path, ledger):
    sink, step = FileSink(tmp_path), ledger.open()
    await put(sink, step, {"at": dt.date(2013, 1, 1)}, (1, None), Point(2), b'"as it is"\n')
    await sink.finish(step)
    assert numbers_in(committed_files(tmp_path)) == [
        {"at": "2013-01-01"}, [1, None], {"x": 2}, "as it is",
    ]  # fmt: skip


async def test_file_sink_csv_has_its_header_in_every_file(tmp_path, ledger):
    sink = FileSink(tmp_path, suffix=".csv", encode=CsvLine(["id", "word"]), max_records=2)
    step = ledger.open()
    await put(sink, step, (1, 'a "b",\nc'), {"word": None, "id": 2}, [3, "ü"])
    await sink.finish(step)
    texts = [path.read_text(encoding="utf-8") for path in committed_files(tmp_path, suffix=".csv")]
    rows = [list(csv.reader(io.StringIO(text, newline=""))) for text in texts]
    assert rows == [
        [["id", "word"], ["1", 'a "b",\nc'], ["2", ""]],
        [["id", "word"], ["3", "ü"]],
    ]


async def test_file_sink_gzip_file_is_whole_after_a_cut(tmp_path, ledger):
    """Each batch is a member: a rolled-back one is cut off, and the rest unpacks."""
    sink, step = FileSink(tmp_path, compression="gzip"), ledger.open()
    await put(sink, step, *range(1000))
    with contextlib.suppress(ZeroDivisionError):
        async with step.transaction() as tx:
            await sink.write(tx, range(5000, 9000))
            1 / 0
    step = ledger.open()
    await put(sink, step, *range(1000, 2000))
    await sink.finish(step)
    (file,) = committed_files(tmp_path, suffix=".jsonl.gz")
    assert [int(line) for line in lines_of(file)] == list(range(2000))


async def test_file_sink_gzip_is_finished_by_its_compressed_size(tmp_path, ledger):
    sink, step = FileSink(tmp_path, compression="gzip", max_bytes=3000), ledger.open()
    for start in range(0, 8000, 1000):
        await put(sink, step, *range(start, start + 1000))
    await sink.finish(step)
    files = committed_files(tmp_path, suffix=".jsonl.gz")
    assert len(files) > 2
    assert all(3000 <= path.stat().st_size < 6000 for path in files[:-1])
    assert [int(line) for path in files for line in lines_of(path)] == list(range(8000))


@pytest.mark.parametrize(
    ("encode", "record", "words"),
    [
        (json_line, object(), "written as JSON"),
        (json_line, {"a": "\ud800"}, "written as JSON"),
        (CsvLine(["a"]), {"b": 1}, "the file has a"),
        (CsvLine(["a"]), (1, 2), "has 2 fields, the file has 1"),
        (CsvLine(["a"]), 7, "got int"),
        (CsvLine(["a"]), ("\ud800",), "written as CSV"),
    ],
)
async def test_file_sink_record_that_cannot_be_encoded_leaves_nothing(
    tmp_path, ledger, encode, record, words
):
    sink, step = FileSink(tmp_path, encode=encode), ledger.open()
    with pytest.raises(CodecError, match=words):
        await put(sink, step, b"first\n", record)
    await put(sink, step, b"second\n")
    await sink.finish(step)
    (file,) = committed_files(tmp_path)
    assert file.read_bytes().splitlines()[-1] == b"second"
    assert b"first" not in file.read_bytes()


# -- rollbacks and takeovers -----------------------------------------------------------------


@pytest.mark.parametrize("committed", [0, 1, 2, 3])
async def test_file_sink_rolled_back_batch_is_cut_off(tmp_path, ledger, committed):
    """Whether it went on in a file, began one, or finished some."""
    sink, step = FileSink(tmp_path, max_records=3), ledger.open()
    if committed:
        await put(sink, step, *range(committed))
    for _ in range(2):
        with contextlib.suppress(ZeroDivisionError):
            async with step.transaction() as tx:
                await sink.write(tx, range(100, 108))
                1 / 0
    await put(sink, step, *range(committed, 10))
    await sink.finish(step)
    assert numbers_in(committed_files(tmp_path)) == list(range(10))
    assert sizes(tmp_path) == [3, 3, 3, 1]
    assert hidden(tmp_path) == []


async def test_file_sink_two_writes_of_one_batch_follow_each_other(tmp_path, ledger):
    """Nothing of the first is published before the commit, nor lost where the second fails."""
    sink, step = FileSink(tmp_path, max_records=2), ledger.open()
    async with step.transaction() as tx:
        await sink.write(tx, [0, 1, 2])
        with contextlib.suppress(CodecError):
            await sink.write(tx, [8, 8, 8, object()])
        await sink.write(tx, [3, 4])
        assert committed_files(tmp_path) == []
    await put(sink, step, 5)
    await sink.finish(step)
    assert numbers_in(committed_files(tmp_path)) == list(range(6))
    assert sizes(tmp_path) == [2, 2, 2]


async def test_file_sink_thawed_writer_changes_nothing_that_is_read(tmp_path, ledger):
    old, old_step = FileSink(tmp_path, max_records=4), ledger.open()
    await put(old, old_step, 0, 1)
    frozen = old_step.transaction()
    tx = await frozen.__aenter__()
    await old.write(tx, [100])
    new, step = FileSink(tmp_path, max_records=4), ledger.open()
    await put(new, step, 2)
    await old.write(tx, [101, 102, 103, 104])
    await put(new, step, 3, 4)
    await old.write(tx, [105] * 5)
    with pytest.raises(StaleRunError):
        await frozen.__aexit__(None, None, None)
    with pytest.raises(StaleRunError):
        await old.finish(old_step)
    await new.finish(step)
    assert numbers_in(committed_files(tmp_path)) == list(range(5))


async def test_file_sink_reader_that_takes_files_away_is_no_harm(tmp_path, ledger):
    sink, taken = FileSink(tmp_path, max_records=2), []
    for n in range(9):
        step = ledger.open()
        await put(sink, step, n)
        for path in committed_files(tmp_path):
            taken += numbers_in([path])
            path.unlink()
    await sink.finish(step)
    assert taken + numbers_in(committed_files(tmp_path)) == list(range(9))


# -- what it refuses -------------------------------------------------------------------------


async def test_file_sink_two_batches_at_a_time_are_refused(tmp_path, ledger):
    sink, step = FileSink(tmp_path), ledger.open()
    wrote, over = asyncio.Event(), asyncio.Event()

    async def first():
        async with step.transaction() as tx:
            await sink.write(tx, [0])
            wrote.set()
            await over.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first())
        await wrote.wait()
        with pytest.raises(InvalidConfigError, match="one after the other"):
            await put(sink, step, 1)
        over.set()
    await put(sink, step, 2)
    await sink.finish(step)
    assert numbers_in(committed_files(tmp_path)) == [0, 2]
    assert FileSink.concurrent is False


async def test_file_sink_folder_of_another_run_is_refused(tmp_path):
    """Its files are neither replaced nor added to."""
    for run, name in (("a", "part"), ("b", "part-b")):
        sink, step = FileSink(tmp_path, name=name), Ledger().open()
        with scoped(Scope("p", run, "s")):
            if run == "b":
                with pytest.raises(InvalidConfigError, match="a name of its own"):
                    await put(FileSink(tmp_path), step, 9)
            await put(sink, step, run)
            await sink.finish(step)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "part-000001.jsonl", "part-b-000001.jsonl",
    ]  # fmt: skip
    assert numbers_in(committed_files(tmp_path)) == ["a"]


async def test_file_sink_same_fence_of_another_partition_is_refused(tmp_path):
    steps = Ledger().open(), Ledger().open()
    await put(FileSink(tmp_path), steps[0], 1)
    with pytest.raises(InvalidConfigError, match="each partition a name of its own"):
        await put(FileSink(tmp_path), steps[1], 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_bytes": 0}, "max_bytes=0: must be a whole number, 1 or more"),
        ({"max_records": True}, "max_records=True"),
        ({"compression": "zstd"}, "must be None or 'gzip'"),
        ({"encode": "json"}, "must be a callable"),
        ({"name": ".x"}, "not with a dot first"),
        ({"name": "a/b"}, "without '/'"),
        ({"suffix": "jsonl"}, "such as '.jsonl'"),
    ],
)
def test_file_sink_option_out_of_range_says_what_is_right(tmp_path, options, words):
    with pytest.raises(InvalidConfigError, match=words):
        FileSink(tmp_path, **options)


def test_csv_line_columns_must_be_different_names():
    for columns in ([], ["a", "a"], "ab"):
        with pytest.raises(InvalidConfigError, match="different names"):
            CsvLine(columns)


@pytest.mark.parametrize("same_process", [False, True])
@pytest.mark.parametrize("harm", ["gone", "cut off"])
async def test_file_sink_committed_bytes_that_are_missing_are_told(
    tmp_path, ledger, harm, same_process
):
    sink = FileSink(tmp_path)
    step = ledger.open()
    await put(sink, step, *range(10))
    await sink.aclose()
    (file,) = tmp_path.iterdir()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(b"0\n")
    if not same_process:
        step = ledger.open()
    with pytest.raises(SinkError, match=harm):
        await put(sink, step, 10)
    with pytest.raises(SinkError, match=harm):
        await sink.finish(step)


async def test_file_sink_name_in_the_way_is_told_and_kept(tmp_path, ledger):
    sink, step = FileSink(tmp_path), ledger.open()
    await put(sink, step, 1)
    (tmp_path / "part-000001.jsonl").write_bytes(b"precious")
    with pytest.raises(SinkError, match="in the way"):
        await sink.finish(step)
    (tmp_path / "part-000001.jsonl").rename(tmp_path / "moved")
    await sink.finish(step)
    assert numbers_in(committed_files(tmp_path)) == [1]
    assert (tmp_path / "moved").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("state", "words"),
    [({"format": 9, "owner": "x"}, "has format 9"), ([1], "can't be read")],
)
async def test_file_sink_state_of_another_version_is_told(tmp_path, ledger, state, words):
    ledger.states = json.dumps({"files part": state})
    with pytest.raises(SinkError, match=words):
        await put(FileSink(tmp_path), ledger.open(), 1)


# -- the disk --------------------------------------------------------------------------------


async def test_file_sink_full_disk_rolls_the_batch_back_and_gives_the_space_back(tmp_path, ledger):
    """By the process's limit on a file's size: the write goes half through, as on a full disk."""
    sink, step = FileSink(tmp_path), ledger.open()
    await put(sink, step, *range(10))
    (file,) = tmp_path.iterdir()
    committed = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError) as caught:
            await put(sink, step, *range(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert file.read_bytes() == committed
    await put(sink, step, *range(10, 20))
    await sink.finish(step)
    assert numbers_in(committed_files(tmp_path)) == list(range(20))


class WithoutLinks(Disk):
    def publish(self, source, target):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.link", self._refuse)
            super().publish(source, target)

    def _refuse(self, *_):
        raise OSError(errno.EPERM, "no links here")


async def test_file_sink_file_system_without_links_is_served_by_renames(tmp_path, ledger):
    sink, step = FileSink(tmp_path, max_records=2, _disk=WithoutLinks()), ledger.open()
    await put(sink, step, 1, 2, 3)
    await sink.finish(step)
    assert sizes(tmp_path) == [2, 1]
    assert hidden(tmp_path) == []
    await put(sink, step, 4)
    (tmp_path / "part-000003.jsonl").write_bytes(b"precious")
    with pytest.raises(SinkError, match="in the way"):
        await sink.finish(step)


class Slow(Disk):
    def __init__(self):
        self.writing, self.go_on = threading.Event(), threading.Event()

    def write(self, descriptor, data, offset):
        if not self.writing.is_set():
            self.writing.set()
            self.go_on.wait()
        super().write(descriptor, data, offset)


async def test_file_sink_cancelled_batch_whose_thread_still_writes_is_cut_off(tmp_path, ledger):
    """asyncio's own cancellation doesn't wait for the thread; the next call does."""
    disk = Slow()
    sink, step = FileSink(tmp_path, _disk=disk), ledger.open()
    task = asyncio.create_task(put(sink, step, 100))
    await asyncio.to_thread(disk.writing.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    waiting = asyncio.create_task(put(sink, step, 101))
    again = asyncio.create_task(put(sink, step, 1))
    await asyncio.sleep(0)
    waiting.cancel()  # before its thread has the lock
    disk.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await again
    await sink.finish(step)
    assert numbers_in(committed_files(tmp_path)) == [1]
