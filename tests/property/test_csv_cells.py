"""Cells: no text becomes a formula, what is left alone is as it was, what is written comes back."""

import csv
import io
import re
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import QuarantineError
from seawall.quarantine.transfer.cells import cell_of, edited, escaped, unescaped, value_of
from support.records import SCALARS, TEXT, same

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NASTY = st.one_of(TEXT, st.tuples(st.sampled_from([*FORMULAS, "'", "'="]), TEXT).map("".join))


@given(text=NASTY)
def test_escaping_is_undone_exactly_and_leaves_no_formula(text):
    cell = escaped(text)
    assert not cell.startswith(FORMULAS)
    assert unescaped(cell) == text


@given(record=st.dictionaries(TEXT, st.one_of(SCALARS, NASTY), max_size=6))
def test_record_whose_cells_are_left_alone_is_the_same(record):
    cells = {name: cell_of(value) for name, value in record.items()}
    assert same(edited(record, cells | {"a field of others": ""}), record)


@given(value=st.one_of(SCALARS, NASTY))
def test_cell_goes_through_a_csv_file_and_runs_nothing(value):
    cell = cell_of(value)
    file = io.StringIO(newline="")
    csv.writer(file).writerow([cell, "end"])
    assert next(csv.reader(io.StringIO(file.getvalue(), newline=""))) == [cell, "end"]
    assert not cell.startswith(FORMULAS) or re.fullmatch(r"-\d[\d.eE+-]*", cell)


@given(
    value=st.one_of(
        NASTY.filter(lambda text: "\x00" not in text and text.isprintable()),
        st.integers(), st.floats(allow_nan=False), st.booleans(), st.uuids(),
        st.datetimes().map(lambda moment: moment.replace(fold=0)), st.dates(),
        st.times().map(lambda moment: moment.replace(fold=0)), st.decimals(allow_nan=False),
    )
)  # fmt: skip
def test_cell_written_for_a_value_reads_as_that_value_of_its_type(value):
    assert same(value_of(cell_of(value), _other(value)), value)


def _other(value):
    """Another value of the same type."""
    return {
        str: "x", int: 0, float: 0.5, bool: True, UUID: UUID(int=1), Decimal: Decimal(1),
        datetime: datetime(2000, 1, 1), date: date(2000, 1, 1), time: time(1),
    }[type(value)]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12), ("-3", -3), ("007", "007"), ("1.50", 1.5), ("1e5", "1e5"), ("true", True),
        ("'=1", "=1"), ("", None), ("nan", "nan"), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_cell_where_nothing_was_is_what_it_looks_like(cell, value):
    assert same(value_of(cell, None), value)


@pytest.mark.parametrize(
    ("cell", "old"),
    [("x", 1), ("x", 1.5), ("yes", True), ("x", Decimal(1)), ("1", UUID(int=1)),
     ("soon", date(2000, 1, 1)), ("{", [1]), ("'-", 5)],
)  # fmt: skip
def test_cell_that_is_no_value_of_its_type_is_refused(cell, old):
    with pytest.raises(QuarantineError, match="can't be read"):
        value_of(cell, old)
