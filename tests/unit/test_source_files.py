"""What file sources share: gzip, folders, memory, the event loop; and skipping forward."""

import asyncio
import dataclasses
import gc
import gzip
import io
import logging
import random
import tracemalloc

import pytest

from seawall import CsvSource, FilesSource, JsonLinesSource, Malformed, RecordSource, skip_forward
from seawall.errors import InvalidConfigError, SourceChangedError, SourceError
from support.sources import read

pytestmark = pytest.mark.real_time  # files are read in threads


@dataclasses.dataclass
class Order:
    id: int
    name: str = "?"


async def test_json_lines_source_bad_lines_are_malformed_and_the_others_go_on(tmp_path):
    lines = [
        (b'{"a": 1, "a": 2}\r\n', {"a": 2}),
        (b'{"a": NaN}\n', "JSON is malformed: invalid character"),
        (b'{"a": 1} {"a": 2}\n', "JSON is malformed: trailing characters"),
        (b'{"a":\n', "Input data was truncated"),
        (b'"\xff"\n', "not valid UTF-8: invalid start byte"),
        (b"[" * 100_000 + b"\n", "JSON is nested too deep"),
        (b"123456789012345678901234567890\n", 123456789012345678901234567890),
        (b"\xef\xbb\xbf1\n", "JSON is malformed: invalid character"),
        (b"null", None),
    ]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(raw for raw, _ in lines))
    found = await read(JsonLinesSource(path))
    end = 3
    for (raw, expected), (position, record) in zip(lines, found, strict=True):
        end += len(raw)
        assert position == end
        if isinstance(expected, str):
            assert (record.raw, record.reason) == (raw, expected)
            assert record.exception_type
        else:
            assert record == expected


async def test_json_lines_source_decodes_to_a_type(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"id": 1, "name": "a"}\n{"id": "2"}\n{"name": "b"}\n')
    found = [record for _, record in await read(JsonLinesSource(path, type=Order))]
    assert found[0] == Order(1, "a")
    assert [bad.reason for bad in found[1:]] == [
        "Expected `int`, got `str` - at `$.id`",
        "Object missing required field `id`",
    ]
    lax = JsonLinesSource(path, type=Order, strict=False)
    assert (await read(lax))[1] == (35, Order(2))


async def test_json_lines_source_growing_file_and_its_last_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"1\n23")
    careful = JsonLinesSource(path, complete_lines_only=True)
    assert await read(careful) == [(2, 1)]
    assert await read(JsonLinesSource(path)) == [(2, 1), (4, 23)]
    path.write_bytes(b"1\n234\n")
    assert await read(careful, 2) == [(6, 234)]
    with pytest.raises(SourceChangedError):
        await read(careful, 4)


def numbered(count):
    rng = random.Random(1)
    return b"".join(b'{"n": %d, "x": "%x"}\n' % (n, rng.getrandbits(200)) for n in range(count))


async def test_gzip_is_resumed_by_rescanning_and_says_so_once(tmp_path, caplog):
    path = tmp_path / "x.jsonl.gz"
    content = numbered(20_000)
    cut = len(content) // 3
    path.write_bytes(
        gzip.compress(content[:cut]) + gzip.compress(b"") + gzip.compress(content[cut:])
    )
    source = JsonLinesSource(path)
    assert isinstance(source, RecordSource)
    assert source.fraction(0) is None
    with caplog.at_level(logging.INFO, logger="seawall.source"):
        found = await read(source)
        assert [record["n"] for _, record in found] == list(range(20_000))
        assert not caplog.records
        for taken in (1, 9_999, 20_000):
            assert await read(source, found[taken - 1][0]) == found[taken:]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: gzip has to be read from its start: dropping {found[0][0]} bytes of content"
    ]


async def test_gzip_fraction_follows_the_compressed_bytes(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"0\n" * 500_000 + numbered(10_000)))
    source = JsonLinesSource(path)
    fractions, last = [], None
    async for chunk in source.chunks(None):
        if last is not None:
            fractions.append(source.fraction(last))
        last = chunk[-1][0]
    fractions.append(source.fraction(last))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert fractions[4] < 0.1  # of the content half a million bytes, of the file next to nothing


@pytest.mark.parametrize("damage", ["cut", "flipped", "crc", "garbage behind", "no gzip"])
async def test_gzip_damage_is_an_error_after_the_records_before_it(tmp_path, damage):
    content = numbered(20_000)
    packed = bytearray(gzip.compress(content))
    if damage == "cut":
        del packed[-len(packed) // 4 :]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    elif damage == "crc":
        packed[-5] ^= 0xFF
    elif damage == "garbage behind":
        packed += b"and more"
    else:
        packed = bytearray(content)
    path = tmp_path / "x.gz"
    path.write_bytes(packed)
    found = []
    with pytest.raises(SourceError, match=str(path)):
        async for chunk in JsonLinesSource(path).chunks(None):
            found += chunk
    good = [(p, r) for p, r in found if isinstance(r, dict) and list(r) == ["n", "x"]]
    least = {"cut": 14_000, "flipped": 5_000, "crc": 20_000, "garbage behind": 20_000, "no gzip": 0}
    assert len(good) >= least[damage]
    assert [r["n"] for _, r in good[: least[damage]]] == list(range(least[damage]))


async def test_gzip_of_a_file_that_is_not_named_so(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(gzip.compress(b"a\n1\n"))
    assert await read(CsvSource(path, compression="gzip")) == [(4, {"a": "1"})]
    plain = tmp_path / "plain.gz"
    plain.write_bytes(b"a\n1\n")
    assert await read(CsvSource(plain, compression="none")) == [(4, {"a": "1"})]


@pytest.mark.parametrize("packed", [False, True])
async def test_file_source_memory_is_bounded_by_its_chunks(tmp_path, packed):
    """Also of a gzip file whose content is a thousand times its size."""
    path = tmp_path / "x.jsonl"
    content = b"1\n" * 4_000_000
    path.write_bytes(gzip.compress(content) if packed else content)
    source = JsonLinesSource(path, compression="gzip" if packed else "none")
    count = 0
    tracemalloc.start()
    try:
        async for chunk in source.chunks(None):
            count += len(chunk)
            if count >= 1_000_000:
                break
        del chunk
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32_000_000  # a chunk's 65,536 records, twice; all together take 150 MB


async def test_file_source_lets_others_run(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(b"1\n" * 1_000_000))
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    seen = []
    async for _ in JsonLinesSource(path).chunks(1_000_000):
        seen.append(turns)
    task.cancel()
    assert len(seen) > 10
    assert sorted(set(seen)) == seen, "two chunks without a turn for others between them"


async def test_file_source_is_read_by_two_tasks_at_once(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(numbered(5000))
    source = JsonLinesSource(path, chunk_bytes=1000)
    one, two = await asyncio.gather(read(source), read(source))
    assert one == two
    assert len(one) == 5000


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "2024").mkdir()
    for name, content in (
        ("2024/b", "1\n2\n"),
        ("2024/a", "3\n"),
        ("2025", "4\n5\n"),
        ("empty", ""),
    ):
        (tmp_path / f"{name}.jsonl").write_text(content)
    (tmp_path / "other.txt").write_text("no")
    return tmp_path


async def test_files_source_reads_files_in_the_order_of_their_names(folder):
    source = FilesSource(folder, "**/*.jsonl", JsonLinesSource)
    assert isinstance(source, RecordSource)
    found = await read(source)
    assert found == [
        (["2024/a.jsonl", 2], 3), (["2024/b.jsonl", 2], 1), (["2024/b.jsonl", 4], 2),
        (["2025.jsonl", 2], 4), (["2025.jsonl", 4], 5),
    ]  # fmt: skip
    for taken, (position, _) in enumerate(found, 1):
        assert await read(source, position) == found[taken:]
        assert source.fraction(position) == taken / 5
    assert source.fraction(None) == 0


async def test_files_source_finds_later_files_behind_its_position(folder):
    source = FilesSource(folder, "*.jsonl", JsonLinesSource)
    (folder / "2026.jsonl").write_text("6\n")
    (folder / "1999.jsonl").write_text("0\n")
    assert await read(source, ["2025.jsonl", 4]) == [(["2026.jsonl", 2], 6)]


async def test_files_source_file_that_is_gone_is_an_error_unless_told(folder):
    (folder / "2025.jsonl").unlink()
    (folder / "2026.jsonl").write_text("6\n")
    after = ["2025.jsonl", 2]
    with pytest.raises(SourceChangedError, match="missing_ok"):
        await read(FilesSource(folder, "*.jsonl", JsonLinesSource), after)
    lax = FilesSource(folder, "*.jsonl", JsonLinesSource, missing_ok=True)
    assert await read(lax, after) == [(["2026.jsonl", 2], 6)]


async def test_files_source_wrong_use_is_named(folder):
    with pytest.raises(InvalidConfigError, match="source="):
        FilesSource(folder, "*", "csv")
    for after in (5, ["a"], [1, 2]):
        with pytest.raises(InvalidConfigError, match="file name"):
            await read(FilesSource(folder, "*.jsonl", JsonLinesSource), after)
    with pytest.raises(SourceChangedError, match="no such folder"):
        await read(FilesSource(folder / "none", "*", JsonLinesSource))


async def paged(count, closed):
    try:
        for n in range(count):
            yield {"id": n}
    finally:
        closed.append(True)


def plain(count, closed):
    try:
        for n in range(count):
            yield {"id": n}
    finally:
        closed.append(True)


def by_id(record):
    return record["id"]


async def skipped(make, after, closed, limit=None):
    source = skip_forward(make(1000, closed), after, by_id)
    found = []
    if make is plain:
        for record in source:
            found.append(record["id"])
            if len(found) == limit:
                source.close()
                break
    else:
        async for record in source:
            found.append(record["id"])
            if len(found) == limit:
                await source.aclose()
                break
    return found


@pytest.mark.parametrize("make", [plain, paged])
async def test_skip_forward_begins_behind_the_position_and_says_so(make, caplog):
    closed = []
    with caplog.at_level(logging.INFO, logger="seawall.source"):
        assert await skipped(make, None, closed) == list(range(1000))
        assert not caplog.records
        assert await skipped(make, 700, closed) == list(range(701, 1000))
        assert await skipped(make, 999, closed) == []
        assert await skipped(make, 5, closed, limit=1) == [6]
    assert (
        caplog.messages[0] == "the source can't seek: skipped 701 records, up to the position 700"
    )
    assert len(caplog.messages) == 3
    assert closed == [True] * 4


@pytest.mark.parametrize("make", [plain, paged])
async def test_skip_forward_position_that_never_comes_is_an_error(make):
    closed = []
    with pytest.raises(SourceChangedError, match="none of the source's 1000 records is at .* 5000"):
        await skipped(make, 5000, closed)
    assert closed == [True]


def test_skip_forward_takes_only_what_can_be_iterated():
    with pytest.raises(InvalidConfigError, match="iterable"):
        skip_forward(5, None, by_id)


async def test_skip_forward_lets_others_run():
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    assert [r["id"] async for r in skip_forward(paged(5000, []), 4998, by_id)] == [4999]
    task.cancel()
    assert turns >= 10


def test_malformed_is_public():
    assert Malformed(b"x", "why").exception_type is None


@pytest.mark.parametrize("packed", [False, True])
async def test_file_source_cancelled_or_left_early_closes_its_file(tmp_path, packed):
    """An open file would be told by a ResourceWarning, which is an error here."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(gzip.compress(numbered(50_000)) if packed else numbered(50_000))
    source = JsonLinesSource(path, compression="gzip" if packed else "none")
    assert len(await read(source, limit=10)) == 10
    started = asyncio.Event()

    async def whole():
        async for _ in source.chunks(None):
            started.set()

    task = asyncio.create_task(whole())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    assert not [
        file
        for file in gc.get_objects()
        if isinstance(file, io.BufferedReader) and file.name == path
    ]
