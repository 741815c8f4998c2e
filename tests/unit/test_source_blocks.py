"""Blocks of files: cut, converted, placed, and gone on with."""

import gzip
import json
from decimal import Decimal

import pytest

from seawall.errors import InvalidConfigError, SourceChangedError, SourceError
from seawall.records import Malformed
from seawall.source.block_file import CsvBlocks, JsonBlocks
from seawall.source.file_block import escaped_line, escaped_texts
from seawall.source.file_set import FileSet
from seawall.source.inference import infer, type_of_texts, type_of_values
from seawall.source.texts import texts_of


async def blocks(source, after=None):
    return [block async for block in source.chunks(after)]


async def records(source, after=None):
    return [record for block in await blocks(source, after) for record in block.records]


async def test_csv_blocks_resumed_behind_any_record_give_the_rest_with_the_same_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n1,x\r\n2,"y\r\nz"\r\n\r\n3,\r\n4,"q"" "')
    source = CsvBlocks(path, name="a", rows=1)
    every = [pair for block in await blocks(source) for pair in block]
    assert [record["b"] for _, record in every] == ["x", "y\r\nz", None, 'q" ']
    assert [position[2] for position, _ in every] == [2, 4, 6, 7]
    for place, (position, _) in enumerate(every):
        rest = [pair for block in await blocks(source, position) for pair in block]
        assert rest == every[place + 1 :]


async def test_csv_blocks_of_gzip_and_of_another_encoding_hold_the_same(tmp_path):
    text = "name,n\nJosé,1\nMüller,2\n"
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode("latin-1")))
    source = CsvBlocks(tmp_path / "a.csv.gz", encoding="latin-1")
    (block,) = await blocks(source)
    assert block.data == text.partition("\n")[2].encode()
    assert (await records(source))[1] == {"name": "Müller", "n": "2"}


async def test_csv_blocks_of_bytes_that_are_no_text_set_aside_those_lines_alone(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,x\n2,\xff\n3,y\n4,z\0\n5\n")
    found = await records(CsvBlocks(tmp_path / "a.csv"))
    assert [each.reason for each in found if isinstance(each, Malformed)] == [
        "not valid utf-8: invalid start byte",
        "a NUL byte, which no text can hold",
        "1 fields where 2 belong",
    ]
    assert found[0] == {"a": "1", "b": "x"}
    assert found[1].raw == b"2,\xff\n"


async def test_csv_blocks_of_lone_carriage_returns_are_read_as_lines(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\r1,x\r2,y\r")
    assert await records(CsvBlocks(tmp_path / "a.csv")) == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": "y"},
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n", b"a,b\n\n\n"])
async def test_csv_blocks_of_a_file_without_records_are_none(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    assert await blocks(CsvBlocks(tmp_path / "a.csv")) == []


async def test_csv_blocks_refuse_what_they_can_not_read(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,a\n1,2\n")
    with pytest.raises(SourceError, match="come twice"):
        await blocks(CsvBlocks(tmp_path / "a.csv"))
    with pytest.raises(InvalidConfigError, match="one ASCII character"):
        CsvBlocks(tmp_path / "a.csv", delimiter="::")
    with pytest.raises(InvalidConfigError, match="no delimiter"):
        CsvBlocks(tmp_path / "a.csv", null="a,b")
    with pytest.raises(InvalidConfigError, match="must be"):
        await blocks(CsvBlocks(tmp_path / "a.csv", name="a"), ["b", 3, 1])


async def test_block_cut_holds_its_part_of_the_records(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n2\n3\n")
    (block,) = await blocks(CsvBlocks(tmp_path / "a.csv"))
    part = block[1:]
    assert (part.data, len(part), part.position(0)[2]) == (b"2\n3\n", 2, 3)
    assert list(part.records) == [{"a": "2"}, {"a": "3"}]


async def test_json_blocks_pass_numbers_and_objects_on_as_they_are_written(tmp_path):
    line = '{"n": 0.12345678901234567890, "t": "a\\tb\\\\c", "o": {"x": [1.10, null]}, "b": true}'
    (tmp_path / "a.jsonl").write_text(f'{line}\n\n{{"n": null}}\nnot json\n{{"z": 1}}\n[1]\n')
    source = JsonBlocks(tmp_path / "a.jsonl", name="a", sample=2)
    (block,) = await blocks(source)
    assert escaped_texts(block.lines[0].decode()) == [
        "0.12345678901234567890", "a\tb\\c", '{"x": [1.10, null]}', "true",
    ]  # fmt: skip
    assert block.texts(1) == [None, None, None, None]
    assert block.record(0)["n"] == Decimal("0.12345678901234567890")
    assert [block.position(i)[2] for i in range(len(block))] == [1, 3, 4, 5, 6]
    assert [each.reason for each in block.lines[2:]] == [
        "JSON is malformed: invalid character",
        "the record has 'z', which the load has no column for",
        "Expected `object`, got `array`",
    ]
    assert not block.is_plain


async def test_json_blocks_resumed_give_the_rest(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(10)))
    source = JsonBlocks(path, name="a", rows=3)
    every = [pair for block in await blocks(source) for pair in block]
    assert [record["n"] for _, record in every] == list(range(10))
    rest = [pair for block in await blocks(source, every[4][0]) for pair in block]
    assert rest == every[5:]


def test_escaped_line_comes_back_whatever_it_holds():
    values = ["a\tb", "c\\d\n", None, "", r"\N", "\\", "\r\\\\t"]
    assert escaped_texts(escaped_line(values).decode()) == values


def test_texts_of_values_are_what_the_types_read():
    assert texts_of([True, b"\xff", Decimal("1.10"), {"a": Decimal("1.10")}, None, 3]) == [
        "true", r"\xff", "1.10", '{"a":1.10}', None, "3",
    ]  # fmt: skip


async def test_file_set_goes_on_in_the_file_of_the_position(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text(f"x\n{name}1\n{name}2\n")
    files = FileSet([CsvBlocks(tmp_path / f"{name}.csv", name=name) for name in "abc"])
    every = [pair for block in await blocks(files) for pair in block]
    rest = [pair for block in await blocks(files, every[2][0]) for pair in block]
    assert [record["x"] for _, record in rest] == ["b2", "c1", "c2"]
    assert files.fraction(every[-1][0]) == 1.0
    with pytest.raises(SourceChangedError, match="not named any more"):
        await blocks(files, ["d", 1, 1])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-20", None], "bigint"),
        (["1", "2.5"], "numeric"),
        (["1", "2.5e3"], "double precision"),
        (["007", "1"], "text"),
        (["99999999999999999999"], "numeric"),
        (["true", "F"], "boolean"),
        (["2013-02-28"], "date"),
        (["2013-02-30"], "text"),
        (["2013-02-28", "2013-02-28 10:00"], "timestamp"),
        (["2013-02-28T10:00:00Z", "2013-02-28 10:00:00+02"], "timestamptz"),
        (["2013-02-28T10:00:00Z", "2013-02-28 10:00:00"], "text"),
        (["6f1b7f3e-4d3a-7c11-8f2b-1a2b3c4d5e6f"], "uuid"),
        (["", "1"], "text"),
        ([None], "text"),
        ([], "text"),
    ],
)
def test_type_of_texts_is_the_narrowest_that_reads_all(values, expected):
    assert type_of_texts(values) == expected


def test_type_of_json_values_keeps_numbers_and_texts_apart():
    sample = [
        {"n": 1, "f": 1, "t": "1", "d": "2013-01-01", "o": [1], "m": 1},
        {"n": None, "f": 1.5, "t": "2", "d": "2013-01-02", "o": {"a": 1}, "m": "x"},
    ]
    assert infer(list(sample[0]), sample, type_of_values) == {
        "n": "bigint", "f": "double precision", "t": "text", "d": "date", "o": "jsonb", "m": "text",
    }  # fmt: skip
