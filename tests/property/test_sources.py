"""Whatever is written, any block size, interrupted anywhere: each record once, no byte lost."""

import asyncio
import csv
import gzip
import io
import json
import tempfile
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from seawall.source import CsvSource, JsonLinesSource, Malformed
from support.sources import read


@pytest.fixture(scope="module")
def run():
    """Files are read in threads, so on a real loop; one for all examples."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner.run


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


SPECIAL = st.sampled_from(
    list(",;\"'\\\n\r\t \x00\x0b\x0c\x1c\x85\u2028\ufeffaé😀") + ["\r\n", '""']
)
field = st.one_of(st.lists(SPECIAL, max_size=6).map("".join), st.text(max_size=8))
sizes = st.one_of(st.integers(1, 40), st.sampled_from([64, 1024, 131072]))

formats = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "quotechar": st.sampled_from("\"'"),
        "doublequote": st.booleans(),
        "escapechar": st.just("\\"),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE]),
    }
)


@st.composite
def tables(draw):
    width = draw(st.integers(1, 4))
    row = st.lists(field, min_size=width, max_size=width)
    return width, draw(st.lists(row, max_size=12))


def stored(rows, form, line_end, last):
    text = io.StringIO(newline="")
    try:
        csv.writer(text, lineterminator=line_end, **form).writerows(rows)
    except csv.Error:  # a lone empty field can't be written without quotes
        reject()
    content = text.getvalue()
    if not last:
        content = content.removesuffix(line_end)
    return content.encode("utf-8", "replace")


@settings(max_examples=300, deadline=None)
@given(
    tables(),
    formats,
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    sizes,
    st.data(),
)
def test_csv_read_in_pieces_is_what_the_csv_module_reads(
    run, folder, table, form, line_end, last, packed, strict, size, data
):
    width, rows = table
    names = [f"c{n}" for n in range(width)]
    content = stored(rows, form, line_end, last)
    path = folder / "table.csv"
    path.write_bytes(gzip.compress(content) if packed else content)

    def source():
        compression = "gzip" if packed else "none"
        return CsvSource(
            path, header=False, names=names, chunk_bytes=size, compression=compression,
            strict=strict, **form,
        )  # fmt: skip

    found = run(read(source()))
    positions = [position for position, _ in found]
    assert positions == sorted(set(positions))
    text = io.StringIO(content.decode().removeprefix("\ufeff"), newline="")
    try:
        expected = [row for row in csv.reader(text, strict=strict, **form) if row]
    except csv.Error:  # not all that the module writes does it read back
        expected = None
    if expected is not None:
        for (_, record), row in zip(found, expected, strict=True):
            if isinstance(record, Malformed):
                assert len(row) != width
            else:
                assert list(record.values()) == row
    stop = data.draw(st.integers(0, len(found)))
    before = run(read(source(), limit=stop)) if stop else []
    after = positions[stop - 1] if stop else None
    assert before + run(read(source(), after)) == found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(json_values, st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n"])), max_size=12),
    st.booleans(), st.booleans(), sizes, st.data(),
)  # fmt: skip
def test_json_lines_read_in_pieces_are_what_was_written(
    run, folder, lines, ascii_only, packed, size, data
):
    content = "".join(json.dumps(v, ensure_ascii=ascii_only) + end for v, end in lines).encode()
    if data.draw(st.booleans()):
        content = content.rstrip()
    path = folder / ("lines.jsonl.gz" if packed else "lines.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    source = JsonLinesSource(path, chunk_bytes=size)
    found = run(read(source))
    assert [record for _, record in found] == [value for value, _ in lines]
    positions = [position for position, _ in found]
    assert positions == sorted(set(positions))
    for stop, after in enumerate([None, *positions]):
        assert run(read(source, after)) == found[stop:]


garbage = st.one_of(
    st.binary(max_size=120),
    st.lists(st.sampled_from([b"a", b"1", b",", b'"', b"\n", b"\r", b"\r\n", b"\xff", b"\xc3\xa9", b"\x00", b"{", b"}", b"[1]", b" ", b"\\"]), max_size=60).map(b"".join),
)  # fmt: skip


def spans_cover(found, content, start, blank):
    """Between two positions stands one record, and blank lines before it; nothing else."""
    before = start
    for position, record in found:
        span = content[before:position]
        assert span.strip(blank)
        if isinstance(record, Malformed):
            assert span.endswith(record.raw)
            assert not span.removesuffix(record.raw).strip(blank)
        before = position
    assert not content[before:].strip(blank)


@settings(max_examples=500, deadline=None)
@given(garbage, sizes, st.booleans(), st.sampled_from(["utf-8", "latin-1", "shift_jis"]), st.data())
def test_csv_garbage_loses_no_byte(run, folder, content, size, strict, encoding, data):
    path = folder / "garbage.csv"
    path.write_bytes(content)

    def source():
        return CsvSource(
            path, encoding=encoding, header=False, names=["a", "b"], chunk_bytes=size, strict=strict
        )

    found = run(read(source()))
    start = 3 if encoding == "utf-8" and content.startswith(b"\xef\xbb\xbf") else 0
    spans_cover(found, content, start, b"\r\n")
    assert (
        run(read(CsvSource(path, encoding=encoding, header=False, names=["a", "b"], strict=strict)))
        == found
    )
    stop = data.draw(st.integers(0, len(found)))
    assert run(read(source(), found[stop - 1][0] if stop else None)) == found[stop:]


@settings(max_examples=300, deadline=None)
@given(garbage, sizes, st.data())
def test_json_garbage_loses_no_byte(run, folder, content, size, data):
    path = folder / "garbage.jsonl"
    path.write_bytes(content)
    found = run(read(JsonLinesSource(path, chunk_bytes=size)))
    start = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    spans_cover(found, content, start, b" \t\r\n")
    stop = data.draw(st.integers(0, len(found)))
    again = run(read(JsonLinesSource(path, chunk_bytes=size), found[stop - 1][0] if stop else None))
    assert [p for p, _ in again] == [p for p, _ in found[stop:]]
    for position, record in found:
        if not isinstance(record, Malformed):
            before = max([start, *(p for p, _ in found if p < position)])
            assert msgspec.json.decode(content[before:position]) == record


contents = st.binary(max_size=200) | st.builds(
    bytes.__mul__, st.binary(max_size=3), st.integers(0, 3000)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(contents, min_size=1, max_size=4), sizes, st.integers(0, 64), st.data())
def test_gzip_cut_anywhere_gives_what_was_before_the_cut(run, folder, members, size, padding, data):
    """Each piece a member of its own; the cut within them is told, and never taken for the end."""
    from seawall.errors import SourceError
    from seawall.source.blocks import opened

    packed = [gzip.compress(member) for member in members]
    whole = b"".join(packed)
    cut = data.draw(st.integers(0, len(whole)))
    path = folder / "cut.gz"
    path.write_bytes(whole[:cut] + (b"\0" * padding if cut == len(whole) else b""))

    async def content():
        found = b""
        async with opened(path, gzip=True) as (blocks, _):
            try:
                while block := await blocks.read(size):
                    assert len(block) <= size
                    found += block
            except SourceError:
                return found, True
        return found, False

    found, failed = run(content())
    ends = [sum(map(len, packed[:n])) for n in range(len(packed) + 1)]
    assert failed == (cut not in ends)
    full = max(n for n, end in enumerate(ends) if end <= cut)
    rest = zlib.decompressobj(31).decompress(whole[ends[full] : cut])
    assert found == b"".join(members[:full]) + rest
