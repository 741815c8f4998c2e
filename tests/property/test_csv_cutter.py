"""Blocks of CSV: cut anywhere, they hold what the csv module reads, and COPY reads the same."""

import csv
import io

from hypothesis import example, given, settings
from hypothesis import strategies as st

from seawall.records import CopyForm, Malformed
from seawall.source.csv_blocks import CsvCutter
from seawall.source.csv_parser import CsvParser
from seawall.source.csv_rows import CsvFormat

LIMIT = 1 << 20
ODD = st.text(alphabet='",\n\r\\.ab é', max_size=60)
FIELDS = st.text(alphabet='",\n\r\\.ab é\t', max_size=8)


def blocks_of(data, names, size, *, rows=1000, null=""):
    """Drives a cutter as a file's reading does, ``size`` bytes at a time."""
    cutter = CsvCutter(CopyForm(null=null), "utf-8", names, ("f",), LIMIT, rows)
    window, start, line, at, found = b"", 0, 0, 0, []
    while True:
        piece = data[at : at + size]
        at += size
        window += piece
        used = 1
        while used and window:
            block, used = cutter.cut(window, start, line, final=not piece)
            line += window.count(b"\n", 0, used)
            start += used
            window = window[used:]
            if block is not None:
                found.append(block)
        if not piece:
            assert window == b""
            return found


def records_of(blocks):
    return [
        each.raw if isinstance(each, Malformed) else each
        for block in blocks
        for each in block.records
    ]


def copied(data, null=""):
    """The rows that PostgreSQL's COPY makes of CSV (17 and before): a model of its two passes.

    None where it fails. A quote toggles wherever it stands; `\\.` alone on a line ends it all.
    """
    text = data.decode()
    lines, line, quoted, ending = [], "", False, None
    at = 0
    while at < len(text):
        char = text[at]
        if char == '"':
            quoted = not quoted
        if char in "\r\n" and not quoted:
            end = "\r\n" if text.startswith("\r\n", at) else char
            if ending not in (None, end):
                return None
            ending = end
            at += len(end)
            if line == "\\.":
                break
            lines.append(line)
            line = ""
            continue
        line += char
        at += 1
    if quoted:
        return None
    if line and line != "\\.":
        lines.append(line)
    return [fields_of(line, null) for line in lines]


def fields_of(line, null):
    fields, value, saw_quote, quoted, at = [], "", False, False, 0
    while at <= len(line):
        char = line[at : at + 1]
        if not quoted and char in (",", ""):
            fields.append(None if value == null and not saw_quote else value)
            value, saw_quote = "", False
        elif char == '"' and quoted and line[at + 1 : at + 2] == '"':
            value += '"'
            at += 1
        elif char == '"':
            quoted = not quoted
            saw_quote = True
        else:
            value += char
        at += 1
    return fields


def written(rows, end, quoting):
    """CSV, whose line ends in fields are in quotes whatever ends the rows."""
    lines = []
    for row in rows:
        out = io.StringIO()
        csv.writer(out, lineterminator="\r\n", quoting=quoting).writerow(row)
        lines.append(out.getvalue().removesuffix("\r\n") + end)
    return "".join(lines).encode()


@given(
    st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=12),
    st.integers(1, 40),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 20),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(max_examples=300, deadline=None)
def test_cutter_of_what_csv_writes_gives_the_same_rows_wherever_it_is_cut(
    rows, size, end, most, quoting
):
    """Whatever the block boundaries fall into: a field, a quote, a line end in quotes."""
    blocks = blocks_of(written(rows, end, quoting), ("a", "b", "c"), size, rows=most)
    empty = "" if quoting == csv.QUOTE_ALL else None  # without quotes it is NULL, as to COPY
    expected = [[value or empty for value in row] for row in rows]
    assert [list(block.texts(i)) for block in blocks for i in range(len(block))] == expected
    for block in blocks:
        assert block.is_plain
        assert copied(block.data) == [list(block.texts(i)) for i in range(len(block))]


@given(ODD, st.integers(1, 30), st.integers(1, 3))
@example('a"b,c\nd,e"f\n', 3, 2)
@example('"a,b\nc,d\n', 100, 2)
@example('x""y,z\n', 100, 2)
@example("a\n\nb\n", 100, 1)
@example("a\n\\.\nb\n", 100, 1)
@settings(max_examples=600, deadline=None)
def test_cutter_of_any_text_gives_what_the_parser_gives_wherever_it_is_cut(text, size, width):
    """Also of what is no CSV: the same records, the same malformed lines, at the same places."""
    data = text.encode()
    names = tuple("abc"[:width])
    parser = CsvParser(CsvFormat(), "utf-8", names, {}, LIMIT)
    expected, _ = parser.parse(data, 0, final=True)
    blocks = blocks_of(data, names, size)
    assert [
        {key: value or "" for key, value in each.items()} if isinstance(each, dict) else each
        for each in records_of(blocks)
    ] == [each.raw if isinstance(each, Malformed) else each for _, each in expected]
    ends = [block.position(i)[1] for block in blocks for i in range(len(block))]
    assert ends == [end for end, _ in expected]


@given(ODD, st.integers(1, 30), st.integers(1, 3), st.sampled_from(["", "a"]))
@example('a"b,c\nd,e"f\n', 100, 2, "")
@example('"a"b,c\n', 100, 2, "")
@example("a\n\\.\nb\n", 100, 1, "")
@settings(max_examples=600, deadline=None)
def test_plain_block_is_read_by_copy_as_by_the_block_or_refused(text, size, width, null):
    """A block's bytes are passed on only where COPY can't take them for something else."""
    names = tuple("abc"[:width])
    for block in blocks_of(text.encode(), names, size, null=null):
        if not block.is_plain:
            continue
        rows = copied(block.data, null)
        sound = rows is not None and all(len(row) == width for row in rows)
        if sound:  # else the server refuses it, and it is looked at line by line
            assert rows == [list(block.texts(i)) for i in range(len(block))]


@given(ODD, st.integers(1, 3), st.sampled_from(["", "a"]))
@settings(max_examples=300, deadline=None)
def test_line_of_a_record_is_read_by_copy_as_by_the_block(text, width, null):
    """Records taken one by one are written so that COPY reads the same values."""
    names = tuple("abc"[:width])
    for block in blocks_of(text.encode(), names, 1000, null=null):
        for index, line in enumerate(block.lines):
            if isinstance(line, bytes):
                assert copied(b'"0",' + line, null) == [["0", *block.texts(index)]]
