"""CsvSource: what becomes a record, what is Malformed, and where reading goes on behind it."""

import csv
import gzip

import pytest

from seawall import CsvSource, Malformed, RecordSource
from seawall.errors import InvalidConfigError, SourceChangedError, SourceError
from support.sources import read

pytestmark = pytest.mark.real_time  # files are read in threads


@pytest.fixture
def source_of(tmp_path):
    def make(content, name="data.csv", **options):
        path = tmp_path / name
        path.write_bytes(content)
        return CsvSource(path, **options)

    return make


async def records(source, after=None):
    return [record for _, record in await read(source, after)]


async def test_csv_source_gives_dicts_with_the_offsets_of_their_ends(source_of):
    content = b'a,b\r\n1,"x\r\n,y"\r\n\r\n2,\xc3\xa9'
    source = source_of(content)
    assert isinstance(source, RecordSource)
    found = await read(source)
    assert found == [(16, {"a": "1", "b": "x\r\n,y"}), (22, {"a": "2", "b": "é"})]
    assert await read(source, 16) == found[1:]
    assert await read(source, 22) == []
    assert source.fraction(16) == 16 / 22
    assert source.fraction(22) == 1
    assert source.fraction(None) == 0


async def test_csv_source_skips_a_byte_order_mark_but_counts_it(source_of):
    found = await read(source_of(b"\xef\xbb\xbfa\n1\n"))
    assert found == [(7, {"a": "1"})]
    assert await read(source_of(b"\xef\xbb\xbf1\n", header=False, names=["a"])) == [(5, {"a": "1"})]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b", b"a,b\n", b"a,b\n\n"])
async def test_csv_source_without_rows_gives_nothing(source_of, content):
    source = source_of(content)
    assert await read(source) == []
    assert source.fraction(0) == (0 if content else 1)


async def test_csv_source_names_take_the_place_of_the_header(source_of):
    expected = [{"x": "1", "y": "2"}]
    assert await records(source_of(b"a,b\n1,2\n", names=["x", "y"])) == expected
    assert await records(source_of(b"1,2\n", names=["x", "y"], header=False)) == expected


async def test_csv_source_nul_and_odd_separators_stay_in_their_fields(source_of):
    text = "a\x00b\x0b\x0c\x1c\x1d\x85\u2028\u2029c"
    assert await records(source_of(f"h\n{text}\nnext\n".encode())) == [{"h": text}, {"h": "next"}]


@pytest.mark.parametrize("chunk_bytes", [1, 5, 1 << 17])
async def test_csv_source_bad_rows_are_malformed_and_the_others_go_on(source_of, chunk_bytes):
    rows = [
        (b"1,2\n", {"a": "1", "b": "2"}),
        (b"only one\r\n", "1 fields where 2 belong"),
        (b"1,2,3\n", "3 fields where 2 belong"),
        (b"\xff,2\n", "not valid utf-8: invalid start byte"),
        (b'"in\n\xfe\nside",2\n', "not valid utf-8: invalid start byte"),
        (b'"out"of place,2\n', "',' expected after '\"'"),
        (b'5" pipe,3\n', {"a": '5" pipe', "b": "3"}),
        (b'"never closed,4\n', "a quoted field is never closed"),
        (b"last,5", {"a": "last", "b": "5"}),
    ]
    found = await read(source_of(b"a,b\n" + b"".join(r for r, _ in rows), chunk_bytes=chunk_bytes))
    end = 4
    for (raw, expected), (position, record) in zip(rows, found, strict=True):
        end += len(raw)
        assert position == end
        if isinstance(expected, str):
            assert isinstance(record, Malformed)
            assert (record.raw, record.reason) == (raw, expected)
        else:
            assert record == expected
    assert found[3][1].exception_type == "builtins.UnicodeDecodeError"
    assert found[5][1].exception_type == "_csv.Error"


async def test_csv_source_not_strict_takes_what_the_csv_module_takes(source_of):
    content = b'a,b\n"out"of place,2\n'
    assert await records(source_of(content, strict=False)) == [{"a": "outof place", "b": "2"}]


async def test_csv_source_quote_too_many_costs_one_line_of_many(source_of):
    """Without a limit of its own, all to the end of the file would be one field."""
    rows = [b"%d,%s\n" % (n, b"x" * 90) for n in range(5000)]
    rows[1000] = b'1000,"' + b"x" * 90 + b"\n"
    found = await records(source_of(b"n,x\n" + b"".join(rows)))
    assert len(found) == 5000
    bad = [record for record in found if isinstance(record, Malformed)]
    assert [(b.raw, b.reason) for b in bad] == [
        (rows[1000], "field larger than field limit (131072)")
    ]


async def test_csv_source_record_of_too_many_lines_is_given_up(source_of):
    content = b'a,b\n"' + b"x\n" * 50 + b"1,2\n"
    found = await records(source_of(content, max_record_bytes=40, chunk_bytes=8))
    assert found[0] == Malformed(b'"x\n', "a quoted field is never closed")
    assert found[-1] == {"a": "1", "b": "2"}
    assert len(found) == 51


async def test_csv_source_line_over_the_limit_is_an_error_that_names_its_offset(source_of):
    source = source_of(b"a\n1\n" + b"x" * 500 + b"\n2\n", max_record_bytes=100, chunk_bytes=16)
    chunks = source.chunks(None)
    assert await anext(chunks) == [(4, {"a": "1"})]
    with pytest.raises(SourceError, match=r"record at byte 4 .*max_record_bytes=100"):
        await anext(chunks)
    longer = source_of(b"a\n1\n" + b"x" * 500 + b"\n2\n", max_record_bytes=1000, chunk_bytes=16)
    assert len(await read(longer, 4)) == 2


async def test_csv_source_converters_make_values_and_malformed(source_of):
    source = source_of(b"n,w\n1,a\nx,b\n3,c\n", converters={"n": int})
    assert await records(source) == [
        {"n": 1, "w": "a"},
        Malformed(b"x,b\n", "column 'n' can't be converted: ValueError", "builtins.ValueError"),
        {"n": 3, "w": "c"},
    ]


async def test_csv_source_numbers_without_quotes_are_floats_where_asked(source_of):
    source = source_of(b'"a","b"\n1.5,"x"\nword,"y"\n2,"z"\n', quoting=csv.QUOTE_NONNUMERIC)
    assert await records(source) == [
        {"a": 1.5, "b": "x"},
        Malformed(b'word,"y"\n', "a field without quotes is no number", "builtins.ValueError"),
        {"a": 2.0, "b": "z"},
    ]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("latin-1", "é"), ("cp1252", "€"), ("shift_jis", "ソ表"), ("gb18030", "字")],
)
async def test_csv_source_reads_other_encodings(source_of, encoding, text):
    content = f"k\n{text}\n".encode(encoding)
    assert await records(source_of(content, encoding=encoding)) == [{"k": text}]


async def test_csv_source_growing_file_goes_on_from_its_position(source_of):
    source = source_of(b"a\n1\n2\n")
    found = await read(source)
    with source.path.open("ab") as file:
        file.write(b"3\n4\n")
    assert await read(source, found[-1][0]) == [(8, {"a": "3"}), (10, {"a": "4"})]


async def test_csv_source_complete_lines_only_leaves_the_last_line_to_a_later_reading(source_of):
    source = source_of(b'a,b\n1,2\n3,"4', complete_lines_only=True)
    assert await read(source) == [(8, {"a": "1", "b": "2"})]
    with source.path.open("ab") as file:
        file.write(b'\n5"')
    assert await read(source, 8) == []
    with source.path.open("ab") as file:
        file.write(b"\n")
    assert await read(source, 8) == [(16, {"a": "3", "b": "4\n5"})]


async def test_csv_source_complete_lines_only_waits_for_its_header(source_of):
    source = source_of(b"a,", complete_lines_only=True)
    assert await read(source) == []
    with source.path.open("ab") as file:
        file.write(b"b\n1,2\n")
    assert await read(source) == [(8, {"a": "1", "b": "2"})]


async def test_csv_source_last_line_that_went_on_growing_is_an_error(source_of):
    source = source_of(b"a\n1\n2")
    assert await read(source) == [(4, {"a": "1"}), (5, {"a": "2"})]
    with source.path.open("ab") as file:
        file.write(b"345\n")
    with pytest.raises(SourceChangedError, match="complete_lines_only"):
        await read(source, 5)


async def test_csv_source_line_end_that_came_later_is_no_row(source_of):
    source = source_of(b"a\r\n1\r\n2\r")
    assert (await read(source))[-1] == (8, {"a": "2"})
    with source.path.open("ab") as file:
        file.write(b"\n3\r\n")
    assert await read(source, 8) == [(12, {"a": "3"})]


@pytest.mark.parametrize("packed", [False, True])
async def test_csv_source_shorter_than_its_position_is_an_error(source_of, packed):
    content = b"a\n1\n22\n"
    source = source_of(gzip.compress(content) if packed else content, "x.gz" if packed else "x.csv")
    assert await read(source, 7) == []
    for after in (8, 9, 1000, 10**9):
        with pytest.raises(SourceChangedError, match=f"ends before byte {after}"):
            await read(source, after)
    with pytest.raises(SourceChangedError, match="within its header"):
        await read(source, 1)
    with pytest.raises(SourceChangedError, match="no record ends at byte 5"):
        await read(source, 5)
    with pytest.raises(SourceChangedError, match="ends before byte 6"):
        await read(source_of(b"", "x.csv", names=["a"], header=False), 6)


@pytest.mark.parametrize("after", [-1, 1.5, "4", True, [4]])
async def test_csv_source_position_of_another_kind_is_an_error(source_of, after):
    with pytest.raises(InvalidConfigError, match="a byte's offset"):
        await read(source_of(b"a\n1\n"), after)


@pytest.mark.parametrize(
    "header", [b"a,b,a\n1,2,3\n", b'a,"b"c\n', b"a,\xff\n1,2\n", b'"a,b\n1,2\n']
)
async def test_csv_source_bad_header_is_an_error(source_of, header):
    with pytest.raises(SourceError, match=r"names must differ|header can't be read"):
        await read(source_of(header))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "utf-16"}, "utf-16.*ASCII's line ends"),
        ({"encoding": "cp500"}, "cp500"),
        ({"encoding": "nonsense"}, "nonsense"),
        ({"encoding": "hex"}, "hex"),
        ({"delimiter": ""}, "delimiter"),
        ({"delimiter": "ab"}, "delimiter"),
        ({"quoting": 17}, "quoting"),
        ({"header": False}, "need names"),
        ({"names": "abc"}, "no list of names"),
        ({"names": []}, "no list of names"),
        ({"names": ["a", "a"]}, "twice"),
        ({"names": ["a"], "converters": {"b": int}}, "converters.*'b'"),
        ({"compression": "zip"}, "compression='zip'"),
        ({"chunk_bytes": 0}, "chunk_bytes=0"),
        ({"max_record_bytes": 0}, "max_record_bytes=0"),
    ],
)
def test_csv_source_wrong_options_are_named(options, message):
    with pytest.raises(InvalidConfigError, match=message):
        CsvSource("x.csv", **options)


async def test_csv_source_unknown_converter_is_an_error_when_the_header_is_read(source_of):
    with pytest.raises(InvalidConfigError, match="converters.*'z'.*has no such column"):
        await read(source_of(b"a\n1\n", converters={"z": int}))


async def test_csv_source_missing_file_is_told_as_it_is(tmp_path):
    source = CsvSource(tmp_path / "missing.csv")
    assert source.fraction(5) is None
    with pytest.raises(FileNotFoundError):
        await read(source)


@pytest.mark.parametrize("chunk_bytes", range(1, 12))
async def test_csv_source_positions_are_the_same_whatever_the_chunks(source_of, chunk_bytes):
    """A chunk may end between CR and LF, which are one line end all the same."""
    content = b"a,b\r\n1,2\r\n333,4444\r\n5,6"
    found = await read(source_of(content, chunk_bytes=chunk_bytes))
    assert [position for position, _ in found] == [10, 20, 23]


async def test_csv_source_with_cr_alone_is_read_in_chunks(source_of):
    content = b"a,b\r" + b"1,2\r" * 1000 + b"3,4"
    source = source_of(content, chunk_bytes=16, max_record_bytes=64)
    found = await read(source)
    assert [record["a"] for _, record in found] == ["1"] * 1000 + ["3"]
    assert await read(source, found[500][0]) == found[501:]


@pytest.mark.parametrize("strict", [False, True])
async def test_csv_source_escaped_line_end_at_the_end_of_the_file_is_a_row(source_of, strict):
    options = {"escapechar": "\\", "quoting": csv.QUOTE_NONE, "strict": strict}
    assert await records(source_of(b"a\n1\n2\\\n", **options)) == [{"a": "1"}, {"a": "2\n"}]
    waiting = source_of(b"a\n1\n2\\\n", complete_lines_only=True, **options)
    assert await records(waiting) == [{"a": "1"}]
